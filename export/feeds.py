"""The inputs of a model's graph: names, types and shapes, random feeds, and checks of given ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mm_edge.errors import InputError
from mm_edge.spec import BATCH, ModelSpec, Shape, TensorSpec, TextInput, modality_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Array: TypeAlias = NDArray[Any]
Feed: TypeAlias = dict[str, Array]  # one run's inputs, or outputs, by tensor name

MASK_SUFFIX = ".mask"
PRESENCE = "presence"


def graph_inputs(spec: ModelSpec) -> tuple[TensorSpec, ...]:
    """Every input of the whole graph, in order: the spec's, each text's mask after it, the presence, the states."""
    tensors: list[TensorSpec] = []
    for item in spec.inputs:
        tensors.append(TensorSpec(item.name, item.dtype, item.shape))
        if isinstance(item, TextInput) and item.prepare.mask:
            tensors.append(TensorSpec(item.name + MASK_SUFFIX, item.dtype, item.shape))
    if spec.presence:
        tensors.append(TensorSpec(PRESENCE, "float32", (BATCH, len(spec.inputs))))
    tensors += [TensorSpec(state.name, state.dtype, state.shape) for state in spec.states]
    return tuple(tensors)


def graph_outputs(spec: ModelSpec) -> tuple[str, ...]:
    """The model's output tensors in the order in which the spec names them, the states last."""
    names = [name for output in spec.outputs for name in output.reads.values()]
    return tuple(dict.fromkeys([*names, *(state.output for state in spec.states)]))


def owner_of(tensor: str) -> str:
    """The input that a graph input belongs to: a mask belongs to its text."""
    return tensor.removesuffix(MASK_SUFFIX)


def fixed_shape(spec: ModelSpec, shape: Shape, sizes: Mapping[str, int] | None = None) -> tuple[int, ...]:
    """`shape` with its named dimensions at `sizes`, else at their usual size."""
    sizes = sizes or {}
    usual = {name: bounds.usual for name, bounds in spec.dims.items()}
    return tuple(dim if isinstance(dim, int) else sizes.get(dim, usual.get(dim, 1)) for dim in shape)


def random_feed(
    spec: ModelSpec, seed: int, sizes: Mapping[str, int] | None = None, vocabulary: Mapping[str, int] | None = None
) -> Feed:
    """A feed made from the spec alone: it exercises the graph, but does not resemble real data."""
    generator = np.random.default_rng(seed)
    modalities = {item.name: modality_of(item) for item in spec.inputs}
    feed: Feed = {}
    for tensor in graph_inputs(spec):
        shape = fixed_shape(spec, tensor.shape, sizes)
        modality = modalities.get(tensor.name)
        if modality in {"image", "video"}:
            feed[tensor.name] = _random_picture(generator, shape)
        elif modality == "audio":
            feed[tensor.name] = np.clip(generator.normal(0, 0.1, shape), -1, 1).astype(np.float32)
        elif modality == "text":
            most = (vocabulary or {}).get(tensor.name, 2)
            feed[tensor.name] = generator.integers(0, most, shape).astype(tensor.dtype)
        elif tensor.name.endswith(MASK_SUFFIX):
            length = generator.integers(1, shape[-1] + 1, shape[:-1])
            feed[tensor.name] = (np.arange(shape[-1]) < length[..., None]).astype(tensor.dtype)
        elif tensor.name == PRESENCE:
            feed[tensor.name] = np.ones(shape, np.float32)
        else:
            feed[tensor.name] = generator.normal(0, 1, shape).astype(tensor.dtype)
    return feed


def _random_picture(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Coarse blotches and noise: pure noise lacks the low frequencies that vision models depend on."""
    *lead, height, width, channels = shape
    coarse = generator.integers(0, 256, (*lead, -(-height // 8), -(-width // 8), channels))
    blotches = coarse.repeat(8, axis=-3).repeat(8, axis=-2)[..., :height, :width, :]
    return np.clip(blotches + generator.normal(0, 12, shape), 0, 255).astype(np.uint8)


def complete_feed(feed: Mapping[str, Array], spec: ModelSpec) -> Feed:
    """Adds what a sample may omit: a presence with all inputs, and states of zeros."""
    filled = dict(feed)
    if spec.presence:
        filled.setdefault(PRESENCE, np.ones((1, len(spec.inputs)), np.float32))
    for state in spec.states:
        filled.setdefault(state.name, np.zeros(fixed_shape(spec, state.shape), np.dtype(state.dtype)))
    return filled


def stack(feeds: Iterable[Feed]) -> Feed:
    """Several feeds as one larger batch."""
    feeds = list(feeds)
    return {name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]}


def check_feed(feed: Mapping[str, Array], wanted: Iterable[TensorSpec], action: str) -> Feed:
    """The feed's arrays in the graph's own order, or an InputError that names the first fault."""
    tensors = list(wanted)
    names = [tensor.name for tensor in tensors]
    if set(feed) != set(names):
        missing, extra = sorted(set(names) - set(feed)), sorted(set(feed) - set(names))
        found = "; ".join(
            [f"missing: {', '.join(missing)}"] * bool(missing) + [f"not known: {', '.join(extra)}"] * bool(extra)
        )
        raise InputError(found, action=action, hint=f"Each sample gives exactly: {', '.join(names)}")
    checked: Feed = {}
    for tensor in tensors:
        array = np.ascontiguousarray(feed[tensor.name])
        _check_array(array, tensor, action)
        checked[tensor.name] = array
    return checked


def _check_array(array: Array, tensor: TensorSpec, action: str) -> None:
    hint = f"'{tensor.name}' is {tensor.dtype} {list(tensor.shape)}"
    if array.dtype != np.dtype(tensor.dtype):
        raise InputError(f"'{tensor.name}' has the type {array.dtype}", action=action, hint=hint)
    fits = array.ndim == len(tensor.shape) and all(
        size == dim if isinstance(dim, int) else size >= 1 for size, dim in zip(array.shape, tensor.shape, strict=True)
    )
    if not fits:
        raise InputError(f"'{tensor.name}' has the shape {list(array.shape)}", action=action, hint=hint)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(
            f"'{tensor.name}' holds NaN or infinity",
            action=action,
            hint="Remove that sample, or find out where it comes from",
        )

"""Traces a torch module, of the user or of the zoo, to one fp32 ONNX graph, and compares the graph with the module."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from mm_edge.errors import UsageError, WorkFailedError
from mm_edge.export.feeds import MASK_SUFFIX, PRESENCE, complete_feed, graph_inputs, graph_outputs, random_feed
from mm_edge.export.graphs.graph import OPSET, rename_values, strip
from mm_edge.export.graphs.runner import ALL_CORES, Runner
from mm_edge.export.model import Labelled, SourceModel
from mm_edge.export.verify.parity import TOLERANCES, relative_error
from mm_edge.spec import TextInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from onnx import ModelProto

    from mm_edge.export.feeds import Feed
    from mm_edge.spec import ModelSpec


LOG = logging.getLogger("mm_edge.export")
TRACE_SIZE = 2  # the tracer takes a dimension of size 1 for a constant
VERIFY_SIZES = (1, 3)  # not the size of the trace
OUTPUT_MARK = "output:"  # the tracer does not detect an output with the name of an inner value
# The first warns that an optional package is missing, which nothing here needs; the second logs every fold it skips.
NOISY = ("torch.onnx._internal.exporter._registration", "onnxscript")


class ByPosition(nn.Module):
    """The module with its inputs in the order of the spec and its outputs as a tuple, as the tracer requires."""

    def __init__(self, module: nn.Module, keywords: tuple[str, ...], outputs: tuple[str, ...]) -> None:
        super().__init__()
        self.module, self.keywords, self.outputs = module, keywords, outputs

    def forward(self, *values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        given = self.module(**dict(zip(self.keywords, values, strict=True)))
        return tuple(named_outputs(given, self.outputs).values())


def named_outputs(given: Any, names: tuple[str, ...]) -> dict[str, torch.Tensor]:
    """A module may return a mapping, a tuple in the spec's order, or a single tensor."""
    if isinstance(given, torch.Tensor):
        given = (given,)
    if isinstance(given, Mapping):
        missing = [name for name in names if name not in given]
        if missing:
            raise UsageError(
                f"the model gives {sorted(given)}, not {missing}",
                action="reading the model's outputs",
                hint="`reads` in the spec's outputs names the model's tensors",
            )
        return {name: given[name] for name in names}
    if isinstance(given, (tuple, list)) and len(given) == len(names):
        return dict(zip(names, given, strict=True))
    size = f"{len(given)} values" if isinstance(given, (tuple, list)) else type(given).__name__
    raise UsageError(
        f"the model gives {size}, the spec names {list(names)}",
        action="reading the model's outputs",
        hint="Return a dict of tensors by name",
    )


def keywords_of(spec: ModelSpec) -> tuple[str, ...]:
    """The parameter names of `forward`, in the order of the graph's inputs."""
    special = {PRESENCE: spec.presence or PRESENCE}
    return tuple(special.get(tensor.name, tensor.name.replace(MASK_SUFFIX, "_mask")) for tensor in graph_inputs(spec))


def from_module(module: nn.Module, spec: ModelSpec, origin: str) -> SourceModel:
    """Traces `module` and compares the graph with it. Its `files` are the tokenizers, by their name in the bundle."""
    module.eval()
    _check_signature(module, spec, origin)
    wrapped = ByPosition(module, keywords_of(spec), graph_outputs(spec)).eval()
    names = [tensor.name for tensor in graph_inputs(spec)]

    def reference(feed: Feed) -> Feed:
        with torch.inference_mode():
            values = wrapped(*(torch.from_numpy(np.ascontiguousarray(feed[name])) for name in names))
        return {name: value.numpy() for name, value in zip(wrapped.outputs, values, strict=True)}

    vocabulary = _vocabulary(module, spec)
    graph, fixed_batch, notes = _trace_and_verify(wrapped, spec, reference, vocabulary, origin)
    files = dict(getattr(module, "files", {}))
    _check_tokenizers(spec, files, origin)
    return SourceModel(
        spec=spec,
        graph=graph,
        reference=reference,
        origin=origin,
        files=files,
        vocabulary=vocabulary,
        fixed_batch=fixed_batch,
        notes=notes,
        made={"torch": str(torch.__version__)},
    )


def _check_signature(module: nn.Module, spec: ModelSpec, origin: str) -> None:
    parameters = inspect.signature(module.forward).parameters
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    keywords = keywords_of(spec)
    if missing := [name for name in keywords if name not in parameters]:
        raise UsageError(
            f"forward takes {list(parameters)}, the spec needs {missing} too",
            action=f"reading {origin}",
            hint="Name forward's arguments like the spec's inputs (a text's mask is NAME_mask)",
        )
    needed = [
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_POSITIONAL
    ]
    if extra := [name for name in needed if name not in keywords]:
        raise UsageError(
            f"forward also needs {extra}, which the spec does not name",
            action=f"reading {origin}",
            hint="Add them to the spec's inputs",
        )


def _vocabulary(module: nn.Module, spec: ModelSpec) -> dict[str, int]:
    """The number of ids of a text: given by the module, or the size of its smallest embedding table."""
    said: dict[str, int] = dict(getattr(module, "vocabulary", {}))
    tables = [layer.num_embeddings for layer in module.modules() if isinstance(layer, nn.Embedding)]
    for item in spec.inputs:
        if isinstance(item, TextInput):
            said.setdefault(item.name, min(tables, default=2))
    return said


def _check_tokenizers(spec: ModelSpec, files: dict[str, Any], origin: str) -> None:
    wanted = {item.prepare.tokenizer for item in spec.inputs if isinstance(item, TextInput)}
    if missing := sorted(wanted - set(files)):
        raise UsageError(
            f"the spec names the tokenizer {missing}, which is not given",
            action=f"reading {origin}",
            hint="Give the module `files = {name: path or bytes}`",
        )


def _trace_and_verify(
    wrapped: ByPosition, spec: ModelSpec, reference: Callable[[Feed], Feed], vocabulary: dict[str, int], origin: str
) -> tuple[ModelProto, bool, list[str]]:
    """Tries several ways of tracing, best first, until a graph agrees with the module."""
    notes: list[str] = []
    first_error: Exception | None = None
    for fixed_batch in (False, True):
        for optimize in (True, False):
            try:
                graph = _trace(wrapped, spec, vocabulary, optimize=optimize, fixed_batch=fixed_batch)
                _verify(graph, spec, reference, vocabulary, (1,) if fixed_batch else VERIFY_SIZES)
            except UsageError:
                raise
            except Exception as error:  # noqa: BLE001  # the tracer raises exceptions of any class; the first is reported if all ways fail
                first_error = first_error or error
                LOG.debug("tracing %s (optimize=%s, fixed_batch=%s): %s", origin, optimize, fixed_batch, error)
                continue
            if fixed_batch:
                notes.append("the batch is fixed at 1: the model cannot be traced with one that varies")
            if not optimize:
                notes.append("traced without the tracer's optimizer, whose graph computed something else")
            return graph, fixed_batch, notes
    raise WorkFailedError(
        _reason(first_error),
        action=f"tracing {origin}",
        hint="Control flow that depends on data (if, loops, .item()) cannot be exported; make it static",
    ) from first_error


def _reason(error: Exception | None) -> str:
    """The innermost exception, which names the cause; the tracer wraps it in long advice."""
    while error is not None and isinstance(error.__cause__, Exception):
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:4])[:600]}"


@contextmanager
def _errors_only(loggers: Sequence[str]) -> Iterator[None]:
    """Leaves the levels of other libraries' loggers as they were."""
    before = {name: logging.getLogger(name).level for name in loggers}
    for name in before:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def _trace(
    wrapped: ByPosition, spec: ModelSpec, vocabulary: dict[str, int], *, optimize: bool, fixed_batch: bool
) -> ModelProto:
    tensors = graph_inputs(spec)
    size = 1 if fixed_batch else TRACE_SIZE
    named = {dim for tensor in tensors for dim in tensor.shape if isinstance(dim, str)}
    feed = random_feed(spec, 0, dict.fromkeys(named, size), vocabulary)
    dims = {name: torch.export.Dim(name) for name in named}
    shapes = tuple(
        {axis: dims[dim] for axis, dim in enumerate(tensor.shape) if isinstance(dim, str)} for tensor in tensors
    )
    with warnings.catch_warnings(record=True) as caught, torch.no_grad(), _errors_only(NOISY):
        warnings.simplefilter("always")
        program = torch.onnx.export(
            wrapped,
            tuple(torch.from_numpy(np.ascontiguousarray(feed[tensor.name])) for tensor in tensors),
            dynamo=True,
            dynamic_shapes=None if fixed_batch else (shapes,),
            opset_version=OPSET,
            input_names=[tensor.name for tensor in tensors],
            output_names=[OUTPUT_MARK + name for name in wrapped.outputs],
            external_data=False,
            optimize=optimize,
            verbose=False,
        )
    for warning in caught:
        LOG.debug("torch: %s", warning.message)
    if program is None:
        raise WorkFailedError("the tracer returned no graph")
    graph: ModelProto = strip(program.model_proto)
    rename_values(graph, {OUTPUT_MARK + name: name for name in wrapped.outputs})
    if unused := {tensor.name for tensor in tensors} - {item.name for item in graph.graph.input}:
        raise UsageError(f"the model does not use {sorted(unused)}", action="tracing", hint="Remove it from the spec")
    return graph


def _verify(
    graph: ModelProto,
    spec: ModelSpec,
    reference: Callable[[Feed], Feed],
    vocabulary: dict[str, int],
    sizes: tuple[int, ...],
) -> None:
    """Compares the graph with the module on random inputs of several sizes."""
    runner = Runner(graph, threads=ALL_CORES)
    named = {dim for tensor in graph_inputs(spec) for dim in tensor.shape if isinstance(dim, str)}
    for seed, size in enumerate(sizes):
        feed = random_feed(spec, seed, dict.fromkeys(named, size), vocabulary)
        wanted, got = reference(feed), runner(feed)
        for name, array in wanted.items():
            error = relative_error(got[name], array)
            if not error <= TOLERANCES["fp32"]:
                raise WorkFailedError(
                    f"the graph's '{name}' differs by {error:.2g} (relative) at size {size}",
                    action="comparing the graph with torch",
                )


def from_zoo(name: str) -> SourceModel:
    """A model of the zoo, with the zoo's own data to calibrate and to verify on."""
    import mm_edge.zoo as zoo  # noqa: PLR0402  # the package itself imports no room

    try:
        module = zoo.load(name)
    except KeyError as error:
        raise UsageError(
            str(error.args[0]), action=f"loading zoo:{name}", hint="`mm-edge zoo` lists the models"
        ) from None
    model = from_module(module, module.spec, f"zoo:{name}")

    def samples(count: int) -> Iterable[Feed]:
        return zoo.calibration(name, count)

    def labelled(count: int) -> Iterable[Labelled]:
        pairs = zoo.labelled(name, "test", count)
        return (Labelled(complete_feed(feed, module.spec), labels) for feed, labels in pairs)

    model.samples, model.labelled = samples, labelled
    return model

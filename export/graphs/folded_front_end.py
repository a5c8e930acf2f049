"""Keeps a picture in uint8 up to the first integer convolution, into which its normalization is folded (CPU, int8)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from .front_end import MOVING, is_cast_to_float, is_read_once, pictures, step_of
from .graph import GraphIndex, drop_unused, sort_nodes, typed
from .weights import constant

if TYPE_CHECKING:
    from collections.abc import Iterable

    from onnx import NodeProto

    from mm_edge.export.feeds import Array

    from .front_end import Step


LARGEST_PIXEL = 255.0
HEIGHT_AND_WIDTH = 2


@dataclass(frozen=True)
class Folded:
    """`pixels`: by value, what was subtracted from its pixels. `nodes`: those between the pictures and these values."""

    graph: ModelProto
    pixels: dict[str, int] = field(default_factory=dict)
    nodes: tuple[str, ...] = ()


@dataclass
class Channels:
    """What a convolution reads, in each channel, in terms of the pixels: `factor * x + shift`."""

    pixels: str
    factor: Array
    shift: Array

    def border(self) -> Array:
        """What becomes 0."""
        return np.asarray((-self.shift / self.factor).astype(np.float32))

    @property
    def middle(self) -> int:
        """The mean of all channels as a pixel."""
        return int(np.clip(np.rint(self.border().mean()), 0, LARGEST_PIXEL))

    def minus(self, pixel: int) -> Channels:
        """In terms of `x - pixel`."""
        return Channels(self.pixels, self.factor, self.shift + self.factor * pixel)


def fold_front_ends(base: ModelProto) -> Folded:
    """A copy of the graph in which every front end that one convolution reads is folded; others stay as they are."""
    model = ModelProto()
    model.CopyFrom(base)
    index = GraphIndex(model.graph)
    pixels: dict[str, int] = {}
    for conv in [node for node in model.graph.node if node.op_type == "Conv"]:
        channels, pads = _channels_of(index, conv), _pads_of(conv)
        if channels is None or pads is None or not _can_be_padded(channels, pads):
            continue
        middle = channels.middle
        centred = channels.minus(middle)
        _fold_weights(model, index, conv, centred)
        nodes = [] if not middle else [_minus(model, channels.pixels, f"{conv.output[0]}:centred", middle)]
        value = nodes[-1].output[0] if nodes else channels.pixels
        if any(pads) and channels.shift.any():
            nodes += _padded(model, value, f"{conv.output[0]}:padded", pads, centred.border())
            value = nodes[-1].output[0]
            _set_pads(conv, [0] * len(pads))
        model.graph.node.extend(nodes)
        conv.input[0] = value
        pixels[value] = middle
    if not pixels:
        return Folded(base)
    sort_nodes(model)
    drop_unused(model)
    folded = typed(model)
    return Folded(folded, pixels, _nodes_before(GraphIndex(folded.graph), pixels))


def _channels_of(index: GraphIndex, conv: NodeProto) -> Channels | None:
    """None unless the convolution is the only reader of arithmetic on the pixels of a picture, of two dimensions."""
    weight = constant(index, conv.input[1])
    bias = constant(index, conv.input[2]) if len(conv.input) > HEIGHT_AND_WIDTH and conv.input[2] else np.zeros(1)
    if weight is None or bias is None or weight.ndim != 2 + HEIGHT_AND_WIDTH:
        return None
    groups = next((item.i for item in conv.attribute if item.name == "group"), 1)
    factor, shift = np.ones(weight.shape[1] * groups), np.zeros(weight.shape[1] * groups)
    value, steps = conv.input[0], 0
    while is_read_once(index, value) and (step := step_of(index, value)) is not None:
        if step.value in pictures(index):
            break  # the Cast of the picture
        if step.operand is not None:
            operand = _by_channel(step.operand, len(factor))
            if operand is None or not _apply(step, operand, factor, shift):
                return None
            steps += 1
        value = step.value
    usable = np.isfinite(factor).all() and np.isfinite(shift).all() and factor.all()
    return Channels(value, factor, shift) if steps and usable and _are_pixels(index, value) else None


def _by_channel(operand: Array, channels: int) -> Array | None:
    """One number, or one for each channel; None for an array that varies within a channel."""
    if operand.size == 1:
        return np.full(channels, operand.reshape(()).astype(np.float64))
    if operand.size == channels and operand.ndim > HEIGHT_AND_WIDTH and operand.shape[-3] == channels:
        return np.asarray(operand.reshape(-1).astype(np.float64))
    return None


def _apply(step: Step, operand: Array, factor: Array, shift: Array) -> bool:
    """Puts one step before those in `factor` and `shift`, in place; whether that is possible."""
    kind, first = step.node.op_type, step.node.input[0] == step.value
    if kind == "Add":
        shift += factor * operand
    elif kind == "Sub":
        shift += factor * operand * (-1 if first else 1)
        factor *= 1 if first else -1
    elif kind == "Mul":
        factor *= operand
    elif kind == "Div" and first and operand.all():
        factor /= operand
    else:
        return False
    return True


def _are_pixels(index: GraphIndex, value: str) -> bool:
    """Whether the value is a uint8 picture that was only cast and moved."""
    while value in index.producer:
        node = index.graph.node[index.producer[value]]
        if is_cast_to_float(node) and node.input[0] in pictures(index):
            return True
        if node.op_type not in MOVING and not is_cast_to_float(node):
            return False
        value = node.input[0]
    return False


def _pads_of(conv: NodeProto) -> list[int] | None:
    """The four numbers of the attribute; None where the size of the picture determines them."""
    attributes = {item.name: helper.get_attribute_value(item) for item in conv.attribute}
    automatic = attributes.get("auto_pad", b"NOTSET")
    if automatic not in {b"NOTSET", b"VALID"}:
        return None
    return list(attributes.get("pads", [0] * 4)) if automatic == b"NOTSET" else [0] * 4


def _set_pads(conv: NodeProto, pads: list[int]) -> None:
    kept = [item for item in conv.attribute if item.name not in {"pads", "auto_pad"}]
    copies = [type(item).FromString(item.SerializeToString()) for item in kept]
    del conv.attribute[:]
    conv.attribute.extend([*copies, helper.make_attribute("pads", pads)])


def _can_be_padded(channels: Channels, pads: list[int]) -> bool:
    """Whether what surrounds the picture is a possible pixel: int8 cuts off any other."""
    border = channels.border()
    return not any(pads) or bool((border >= 0).all() and (border <= LARGEST_PIXEL).all())


def _fold_weights(model: ModelProto, index: GraphIndex, conv: NodeProto, channels: Channels) -> None:
    weight = np.asarray(constant(index, conv.input[1]), np.float64)
    outputs, inputs = weight.shape[:2]
    groups = len(channels.factor) // inputs
    factor, shift = (
        numbers.reshape(groups, inputs).repeat(outputs // groups, axis=0)[:, :, None, None]
        for numbers in (channels.factor, channels.shift)
    )
    bias = (weight * shift).sum(axis=(1, 2, 3))
    if len(conv.input) > HEIGHT_AND_WIDTH and conv.input[2]:
        bias = bias + np.asarray(constant(index, conv.input[2]), np.float64)
    names = [f"{conv.output[0]}:{what}_of_pixels" for what in ("weight", "bias")]
    for name, array in zip(names, (weight * factor, bias), strict=True):
        model.graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), name))
    conv.input[:] = [conv.input[0], *names]


def _minus(model: ModelProto, value: str, name: str, number: int) -> NodeProto:
    model.graph.initializer.append(numpy_helper.from_array(np.array(number, np.float32), f"{name}:by"))
    return helper.make_node("Sub", [value, f"{name}:by"], [name], name=name)


def _padded(model: ModelProto, value: str, name: str, pads: list[int], border: Array) -> list[NodeProto]:
    """Nodes that pad each channel with its own number, since Pad has one for all."""
    top, left, bottom, right = pads
    given = {"pads": np.array([0, 0, top, left, 0, 0, bottom, right]), "ones": np.ones(len(border), np.int64)}
    given |= {f"border_{channel}": number for channel, number in enumerate(border)}
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(a), f"{name}:{k}") for k, a in given.items())

    def pad(source: str, channel: int, target: str) -> NodeProto:
        return helper.make_node("Pad", [source, f"{name}:pads", f"{name}:border_{channel}"], [target], name=target)

    if len(set(border.tolist())) == 1:
        return [pad(value, 0, name)]
    planes = [f"{name}:{channel}" for channel in range(len(border))]
    framed = [f"{plane}:framed" for plane in planes]
    return [
        helper.make_node("Split", [value, f"{name}:ones"], planes, name=f"{name}:split", axis=1),
        *(pad(plane, channel, target) for channel, (plane, target) in enumerate(zip(planes, framed, strict=True))),
        helper.make_node("Concat", framed, [name], name=name, axis=1),
    ]


def _nodes_before(index: GraphIndex, pixels: Iterable[str]) -> tuple[str, ...]:
    """From the inputs of the graph to these values."""
    waiting, found = list(pixels), {}
    while waiting:
        value = waiting.pop()
        if value in index.producer and (node := index.graph.node[index.producer[value]]).name not in found:
            found[node.name] = node
            waiting += node.input
    return tuple(found)


BETWEEN = MOVING | {"Sub", "Pad", "Concat"}  # the last three are those that the fold adds
ROUNDING = "QuantizeLinear"


def keep_uint8(quantized: ModelProto, folded: Folded) -> ModelProto:
    """A copy; a picture whose convolution stays fp32 is cast as before."""
    model = ModelProto()
    model.CopyFrom(quantized)
    for value, middle in folded.pixels.items():
        index = GraphIndex(model.graph)
        rounding = _rounding(index, value, middle)
        between = _nodes_between(index, value)
        if rounding is None or not between or not _read_only_by([*between, rounding], between, index):
            continue
        _remove_floats(model, index, between, rounding, middle)
    drop_unused(model)
    return model


def _rounding(index: GraphIndex, value: str, middle: int) -> NodeProto | None:
    """The node that rounds this value, if it returns the pixels."""
    for number in index.consumers[value]:
        node = index.graph.node[number]
        if node.op_type == ROUNDING and all(name in index.initializers for name in node.input[1:]):
            scale, zero = (numpy_helper.to_array(index.initializers[name]) for name in node.input[1:])
            return node if float(scale) == 1.0 and zero.dtype == np.uint8 and int(zero) == middle else None
    return None


def _nodes_between(index: GraphIndex, value: str) -> list[NodeProto]:
    """From the value back to the cast of a picture, without it; empty if another operator is between them."""
    found: dict[int, NodeProto] = {}
    waiting = [value]
    while waiting:
        name = waiting.pop()
        number = index.producer.get(name, -1)
        if number in found:
            continue
        node = index.graph.node[number] if number >= 0 else None
        if node is None or (node.op_type not in BETWEEN and not _casts_picture(index, node)):
            return []
        if not _casts_picture(index, node):
            found[number] = node
            waiting += node.input if node.op_type == "Concat" else node.input[:1]
    return list(found.values())


def _casts_picture(index: GraphIndex, node: NodeProto) -> bool:
    return is_cast_to_float(node) and node.input[0] in pictures(index)


def _read_only_by(readers: list[NodeProto], nodes: list[NodeProto], index: GraphIndex) -> bool:
    values = {name for node in nodes for name in node.output}
    known = {node.output[0] for node in readers}
    users = {index.graph.node[number].output[0] for name in values for number in index.consumers[name]}
    return users <= known and not values & set(index.outputs)


def _remove_floats(
    model: ModelProto, index: GraphIndex, between: list[NodeProto], rounding: NodeProto, middle: int
) -> None:
    instead = {node.output[0]: node.input[0] for node in index.graph.node if _casts_picture(index, node)}
    instead |= {node.output[0]: node.input[0] for node in between if node.op_type == "Sub"}

    def pixels(name: str) -> str:
        while name in instead:
            name = instead[name]
        return name

    for node in between:
        node.input[:] = [pixels(name) for name in node.input]
        if node.op_type == "Pad":
            border = numpy_helper.to_array(index.initializers[node.input[2]])
            rounded = np.clip(np.rint(border) + middle, 0, np.iinfo(np.uint8).max).astype(np.uint8)
            node.input[2] = f"{node.output[0]}:border"
            model.graph.initializer.append(numpy_helper.from_array(rounded, node.input[2]))
        for name in node.output:
            if name in index.infos:
                index.infos[name].type.tensor_type.elem_type = TensorProto.UINT8
    for number in index.consumers[rounding.output[0]]:
        reader = index.graph.node[number]
        reader.input[:] = [pixels(rounding.input[0]) if name == rounding.output[0] else name for name in reader.input]

"""Leaves a picture in uint8 up to the first integer convolution, in int8 for the CPU.

The convolution reads whole numbers with scale 1 (`folded_front_end`), so the cast to float and the rounding back cancel
out. What is between them only moves pixels, and does that faster in uint8. The result is the same to the last bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from mm_edge.export.graphs.front_end import MOVING, is_cast_to_float, pictures
from mm_edge.export.graphs.graph import GraphIndex, drop_unused

if TYPE_CHECKING:
    from mm_edge.export.graphs.folded_front_end import Folded

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

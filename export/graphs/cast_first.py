"""Moves the cast of a uint8 input to the front: TensorRT takes such an input in Cast and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import TensorProto, helper

from .graph import GraphIndex

if TYPE_CHECKING:
    from onnx import ModelProto

# What moves values and does not compute with them gives the same before and after a cast.
MOVING = {"Gather", "Slice", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Split", "Expand"}


def cast_first(model: ModelProto) -> None:
    """In place, for each uint8 input that other nodes read before it is cast to float."""
    for item in list(model.graph.input):
        if item.type.tensor_type.elem_type != TensorProto.UINT8:
            continue
        index = GraphIndex(model.graph)
        moved = _moved_before_cast(index, item.name)
        if not moved:
            continue
        floats = f"{item.name}_as_float"
        for name in moved:
            if (info := index.infos.get(name)) is not None:
                info.type.tensor_type.elem_type = TensorProto.FLOAT
        for node in model.graph.node:
            node.input[:] = [floats if name == item.name else name for name in node.input]
        cast = helper.make_node("Cast", [item.name], [floats], name=floats, to=TensorProto.FLOAT)
        model.graph.node.insert(0, cast)


def _moved_before_cast(index: GraphIndex, name: str) -> list[str]:
    """The uint8 values between the input and its casts; none where something else is done with one of them."""
    found: list[str] = []
    waiting = [name]
    while waiting:
        value = waiting.pop()
        if value in index.outputs:
            return []
        for user in index.consumers[value]:
            node = index.graph.node[user]
            if node.op_type == "Cast":
                if node.attribute[0].i != TensorProto.FLOAT:
                    return []
            elif node.op_type == "Shape":
                continue
            elif node.op_type in MOVING and value == node.input[0]:
                found += node.output
                waiting += node.output
            else:
                return []
    return found

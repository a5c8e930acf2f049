"""Orders the front end of pictures, in the graph of every source: Cast, then Transpose, then the arithmetic.

TensorRT accepts a uint8 input in Cast only, so Cast is first. Behind the Transpose each channel is a plane, and its
mean is one number for the whole plane. Before it the means of three channels alternate along the inner axis, for which
ONNX Runtime needs several times as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from .graph import GraphIndex, sort_nodes
from .weights import constant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnx import ModelProto, NodeProto

    from mm_edge.export.feeds import Array

# Operators that only move values: the result is the same before and after a cast.
MOVING = {"Gather", "Slice", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Split", "Expand"}
ARITHMETIC = {"Add", "Sub", "Mul", "Div"}


def cast_first(model: ModelProto) -> None:
    """Casts each uint8 input to float first, in place, because TensorRT accepts such an input in Cast only."""
    for name in pictures(GraphIndex(model.graph)):
        index = GraphIndex(model.graph)
        moved = _moved_before_cast(index, name)
        if not moved:
            continue
        floats = f"{name}_as_float"
        for value in moved:
            if (info := index.infos.get(value)) is not None:
                info.type.tensor_type.elem_type = TensorProto.FLOAT
        for node in model.graph.node:
            node.input[:] = [floats if value == name else value for value in node.input]
        cast = helper.make_node("Cast", [name], [floats], name=floats, to=TensorProto.FLOAT)
        model.graph.node.insert(0, cast)


def pictures(index: GraphIndex) -> list[str]:
    """The uint8 inputs of the graph."""
    return [name for name in index.inputs if index.infos[name].type.tensor_type.elem_type == TensorProto.UINT8]


def is_cast_to_float(node: NodeProto) -> bool:
    return node.op_type == "Cast" and any(item.name == "to" and item.i == TensorProto.FLOAT for item in node.attribute)


def _moved_before_cast(index: GraphIndex, name: str) -> list[str]:
    """The uint8 values between the input and its casts; empty if another operator reads one of them."""
    found: list[str] = []
    waiting = [name]
    while waiting:
        value = waiting.pop()
        if value in index.outputs:
            return []
        for user in index.consumers[value]:
            node = index.graph.node[user]
            if node.op_type == "Cast":
                if not is_cast_to_float(node):
                    return []
            elif node.op_type == "Shape":
                continue
            elif node.op_type in MOVING and value == node.input[0]:
                found += node.output
                waiting += node.output
            else:
                return []
    return found


def transpose_second(model: ModelProto) -> None:
    """Moves a Transpose that follows the arithmetic of a picture, in place, to right behind the Cast.

    The same operations run in the same order on the same numbers: the result is the same to the last bit.
    """
    index = GraphIndex(model.graph)
    transposes = [node for node in model.graph.node if node.op_type == "Transpose"]
    moved = [(step, node) for node in transposes for step in _arithmetic_before(index, node)]
    for step, transpose in moved:
        _swap(model, step, transpose)
    if moved:
        sort_nodes(model)
        there = {name for node in model.graph.node for name in node.output}
        kept = [info for info in model.graph.value_info if info.name in there]
        del model.graph.value_info[:]
        model.graph.value_info.extend(kept)


@dataclass(frozen=True)
class Step:
    """One operation on a picture. `operand`: its constant; None for an Identity or a cast from float to float."""

    node: NodeProto
    value: str  # that it reads
    operand: Array | None


def _arithmetic_before(index: GraphIndex, transpose: NodeProto) -> list[Step]:
    """From the Transpose back to the Cast of a picture; empty if anything else is between them."""
    steps: list[Step] = []
    rank = max((len(item.ints) for item in transpose.attribute if item.name == "perm"), default=0)
    value = transpose.input[0]
    while not _is_cast_picture(index, value):
        step = step_of(index, value) if is_read_once(index, value) else None
        if step is None or (step.operand is not None and step.operand.ndim > rank):
            return []
        steps.append(step)
        value = step.value
    return steps if is_read_once(index, value) else []


def is_read_once(index: GraphIndex, value: str) -> bool:
    return len(index.consumers[value]) == 1 and value not in index.outputs


def step_of(index: GraphIndex, value: str) -> Step | None:
    """The operation on a picture that computes `value`; None if it is of another kind."""
    if value not in index.producer:
        return None
    node = index.graph.node[index.producer[value]]
    if node.op_type == "Identity" or is_cast_to_float(node):
        return Step(node, node.input[0], None)
    if node.op_type not in ARITHMETIC:
        return None
    known = {name: constant(index, name) for name in node.input}
    unknown = [name for name in node.input if known[name] is None]
    operand = next((array for array in known.values() if array is not None), None)
    return Step(node, unknown[0], operand) if len(unknown) == 1 and operand is not None else None


def _is_cast_picture(index: GraphIndex, value: str) -> bool:
    node = index.graph.node[index.producer[value]] if value in index.producer else None
    return node is not None and is_cast_to_float(node) and node.input[0] in pictures(index)


def _swap(model: ModelProto, step: Step, transpose: NodeProto) -> None:
    """Transpose(step(x, constant)) becomes step(Transpose(x), transposed constant)."""
    planes = f"{step.value}:transposed"
    names = {step.value: planes}
    if step.operand is not None and step.operand.size > 1:
        perm = helper.get_node_attr_value(transpose, "perm")
        name = f"{step.node.output[0]}:constant"
        model.graph.initializer.append(numpy_helper.from_array(transposed(step.operand, perm), name))
        names |= {old: name for old in step.node.input if old != step.value}
    step.node.input[:] = [names.get(name, name) for name in step.node.input]
    step.node.output[0], transpose.input[0], transpose.output[0] = transpose.output[0], step.value, planes


def transposed(operand: Array, perm: Sequence[int]) -> Array:
    """The constant as it is broadcast to a value of this rank, with its axes in the new order."""
    full = operand.reshape([1] * (len(perm) - operand.ndim) + list(operand.shape))
    return np.ascontiguousarray(full.transpose(perm))

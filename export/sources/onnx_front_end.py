"""Adds preprocessing from uint8 pixels to the float image inputs of an ONNX file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from mm_edge.export.graphs.graph import rename_values

if TYPE_CHECKING:
    from onnx import NodeProto

    from mm_edge.export.feeds import Array

    from .onnx_spec import ForeignSpec, FrontEnd


def prepend_pictures(model: ModelProto, foreign: ForeignSpec) -> None:
    """In place, for each: uint8 NHWC -> Cast -> the graph's own layout -> / scale -> - mean -> / std.

    These are the nodes of `mm_edge.front_ends.Normalize`, for graphs that torch did not make.
    """
    for name, front_end in foreign.front_end.items():
        item = next(item for item in model.graph.input if item.name == name)
        inner = f"{name}_as_float"
        rename_values(model, {name: inner})
        nodes = _nodes(model, name, inner, front_end)
        spec = next(spec for spec in foreign.model.inputs if spec.name == name)
        batch = item.type.tensor_type.shape.dim[0]
        first: int | str = batch.dim_value if batch.HasField("dim_value") else batch.dim_param
        item.CopyFrom(helper.make_tensor_value_info(name, TensorProto.UINT8, [first, *spec.shape[1:]]))
        rest = list(model.graph.node)
        del model.graph.node[:]
        model.graph.node.extend([*nodes, *rest])


def _nodes(model: ModelProto, name: str, inner: str, front_end: FrontEnd) -> list[NodeProto]:
    """A mean of 0 and a deviation of 1 change nothing and have no node."""
    planes = front_end.layout == "nchw"
    nodes = [helper.make_node("Cast", [name], [f"{name}:cast"], to=TensorProto.FLOAT)]
    if planes:
        nodes.append(helper.make_node("Transpose", [nodes[-1].output[0]], [f"{name}:planes"], perm=[0, 3, 1, 2]))
    steps = (
        ("Div", "scale", (front_end.scale,), 1.0),
        ("Sub", "mean", front_end.mean, 0.0),
        ("Div", "std", front_end.std, 1.0),
    )
    for kind, what, numbers, neutral in steps:
        if all(number == neutral for number in numbers):
            continue
        array = np.array(numbers, np.float32).reshape((-1, 1, 1) if planes else -1)
        weight = numpy_helper.from_array(array, f"{name}:{what}")
        model.graph.initializer.append(weight)
        nodes.append(helper.make_node(kind, [nodes[-1].output[0], weight.name], [f"{name}:by_{what}"]))
    nodes[-1].output[0] = inner
    for node in nodes:
        node.name = node.output[0]
    return nodes


def to_pixels(pictures: Array, front_end: FrontEnd) -> Array:
    """The same in numpy: the reference for the nodes above."""
    floats = (pictures.astype(np.float64) / front_end.scale - np.array(front_end.mean)) / np.array(front_end.std)
    laid: Array = np.moveaxis(floats, -1, 1) if front_end.layout == "nchw" else floats
    return laid.astype(np.float32)

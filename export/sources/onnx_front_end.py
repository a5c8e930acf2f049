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
    """In place, for each: uint8 NHWC -> Cast -> / scale -> - mean -> / std -> the graph's own layout."""
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
    steps: list[NodeProto] = []
    value = f"{name}_cast"
    steps.append(helper.make_node("Cast", [name], [value], to=TensorProto.FLOAT, name=value))
    constants = {
        "Div": np.float32(front_end.scale),
        "Sub": np.array(front_end.mean, np.float32),
        "std": np.array(front_end.std, np.float32),
    }
    for kind, constant in constants.items():
        weight, made = f"{name}_{kind}", f"{name}_{kind}_out"
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(constant), weight))
        steps.append(helper.make_node("Div" if kind == "std" else kind, [value, weight], [made], name=made))
        value = made
    if front_end.layout == "nchw":
        steps.append(helper.make_node("Transpose", [value], [inner], perm=[0, 3, 1, 2], name=inner))
    else:
        steps.append(helper.make_node("Identity", [value], [inner], name=inner))
    return steps


def to_pixels(pictures: Array, front_end: FrontEnd) -> Array:
    """The same in numpy: the reference for the nodes above."""
    floats = (pictures.astype(np.float64) / front_end.scale - np.array(front_end.mean)) / np.array(front_end.std)
    laid: Array = np.moveaxis(floats, -1, 1) if front_end.layout == "nchw" else floats
    return laid.astype(np.float32)

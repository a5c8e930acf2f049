"""Spares a quantizer the large weights: it is shown each channel's extremes, which give the scale, and nothing else.

The library copies a weight several times, channel by channel. Here each is rounded once, whole, and kept in a file for
every graph that rounds it alike.
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from .graph import GraphIndex
from .weights import array_of, fill, is_aside, rounded

ROUNDED = "_quantized"  # what the library calls a rounded weight


def show_extremes(model: ModelProto, kinds: set[str]) -> dict[str, TensorProto]:
    """Puts stand-ins in the place of large weights, and gives the weights by name. `kinds` are the nodes to quantize.

    What is not read by such a node stays aside; what has no single axis of channels is read into the graph.
    """
    index = GraphIndex(model.graph)
    aside: dict[str, TensorProto] = {}
    for tensor in model.graph.initializer:
        readers = [model.graph.node[number] for number in index.consumers[tensor.name]]
        if not is_aside(tensor) or tensor.data_type != TensorProto.FLOAT or not kinds & {n.op_type for n in readers}:
            continue
        axes = {_channel_axis(node, tensor) for node in readers}
        axis = axes.pop() if len(axes) == 1 else None
        if axis is None:
            fill(tensor)
            continue
        aside[tensor.name] = TensorProto()
        aside[tensor.name].CopyFrom(tensor)
        tensor.CopyFrom(numpy_helper.from_array(_extremes(tensor, axis), tensor.name))
    return aside


def put_back(model: ModelProto, aside: dict[str, TensorProto]) -> None:
    """The weights themselves where they stayed floats, else rounded by the scales that the quantizer chose."""
    index = GraphIndex(model.graph)
    for name, weight in aside.items():
        if name in index.initializers:
            index.initializers[name].CopyFrom(weight)
        if name + ROUNDED in index.initializers:
            reader = model.graph.node[index.consumers[name + ROUNDED][0]]
            axis = next(helper.get_attribute_value(item) for item in reader.attribute if item.name == "axis")
            scale = numpy_helper.to_array(index.initializers[reader.input[1]])
            index.initializers[name + ROUNDED].CopyFrom(rounded(weight, scale, axis, name + ROUNDED))


def _channel_axis(node: NodeProto, tensor: TensorProto) -> int | None:
    """Along which axis the quantizer gives this weight a scale each, where that is plain."""
    if list(node.input).index(tensor.name) != 1:
        return None
    if node.op_type == "Conv":
        return 0
    if node.op_type == "MatMul" and len(tensor.dims) == 2:
        return 1
    if node.op_type == "Gemm":
        transposed = any(item.name == "transB" and item.i for item in node.attribute)
        return 0 if transposed else 1
    return None


def _extremes(tensor: TensorProto, axis: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """As a weight of the same rank and as many channels, of two numbers each."""
    values = array_of(tensor)
    others = tuple(place for place in range(values.ndim) if place != axis)
    low, high = values.min(axis=others, keepdims=True), values.max(axis=others, keepdims=True)
    return np.concatenate([low, high], axis=others[0])

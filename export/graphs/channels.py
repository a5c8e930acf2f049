"""Spares a quantizer the large weights: it is shown each channel's extremes, which give the scale, and nothing else.

The library goes through a weight channel by channel and copies it several times. Here each is rounded once, whole, and
kept in a file for every graph that rounds it alike; the same bytes come out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from .graph import GraphIndex
from .weights import array_of, fill, is_aside, rounded

if TYPE_CHECKING:
    from mm_edge.export.feeds import Array

ROUNDED = "_quantized"  # what the library calls a rounded weight
LARGEST = 127


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
        low, high = _extremes(tensor, axis)
        if {node.op_type for node in readers} == {"MatMul"}:  # nothing else is made from its scales: one stands for all
            low, high = low.min(keepdims=True), high.max(keepdims=True)
        tensor.CopyFrom(numpy_helper.from_array(np.concatenate([low, high], axis=1 if axis == 0 else 0), tensor.name))
    return aside


def put_back(model: ModelProto, aside: dict[str, TensorProto], least_range: float) -> None:
    """The weights themselves where they stayed floats, else rounded by the scales that the quantizer chose."""
    index = GraphIndex(model.graph)
    for name, weight in aside.items():
        if name in index.initializers:
            index.initializers[name].CopyFrom(weight)
        if name + ROUNDED not in index.initializers:
            continue
        reader = model.graph.node[index.consumers[name + ROUNDED][0]]
        axis = next(helper.get_attribute_value(item) for item in reader.attribute if item.name == "axis")
        scales, zeros = (index.initializers[value] for value in reader.input[1:])
        if list(scales.dims) != [weight.dims[axis]]:
            size, found = [weight.dims[axis]], _scales(*_extremes(weight, axis), least_range)
            scales.CopyFrom(helper.make_tensor(scales.name, TensorProto.FLOAT, size, found.tolist()))
            zeros.CopyFrom(helper.make_tensor(zeros.name, TensorProto.INT8, size, [0] * len(found)))
        rounding = rounded(weight, numpy_helper.to_array(scales), axis, name + ROUNDED)
        index.initializers[name + ROUNDED].CopyFrom(rounding)


def _scales(low: Array, high: Array, least_range: float) -> Array:
    """As the quantizer would choose them: symmetric, of at least that range, and 1 for a channel that is all zeros."""
    low = np.minimum(low.reshape(-1), np.float32(0))
    high = np.maximum(np.maximum(high.reshape(-1), np.float32(0)), low + np.float32(least_range))
    largest = np.maximum(np.abs(low), np.abs(high)).astype(np.float64)
    scales = 2 * largest / (2 * LARGEST)
    return np.asarray(np.where(scales < np.finfo(np.float32).tiny, 1.0, scales).astype(np.float32))


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


def _extremes(tensor: TensorProto, axis: int) -> tuple[Array, Array]:
    """The least and the largest number of each channel, as a weight of the same rank."""
    values = array_of(tensor)
    others = tuple(place for place in range(values.ndim) if place != axis)
    return np.asarray(values.min(axis=others, keepdims=True)), np.asarray(values.max(axis=others, keepdims=True))

"""Rewrites around ONNX Runtime's quantizer: keeps large weights out of it, and restores single nodes to float.

The library copies each weight several times, channel by channel. Here it gets only the extremes of each channel, which
determine the scale; each weight is quantized once, as a whole, and kept in a file for every graph that quantizes it
alike. The bytes are the same. Restoring nodes is faster than quantizing again, and a search tries many sets of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from .graph import GraphIndex
from .rewrite import drop_unused
from .weights import array_of, fill, is_aside, rounded

if TYPE_CHECKING:
    from collections.abc import Collection

    from mm_edge.export.feeds import Array
ROUNDED = "_quantized"  # what the library calls a rounded weight
LARGEST = 127
Q, DQ = "QuantizeLinear", "DequantizeLinear"


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


def restored(
    quantized: ModelProto,
    base: ModelProto,
    kept: Collection[str],
    active: Collection[str],
    rounded_outputs: Collection[str],
) -> ModelProto:
    """`quantized` as if the nodes `kept` of `base` had been left out.

    `active` are the nodes that are quantized in it, `rounded_outputs` the kinds of node whose outputs are rounded too.
    A value stays rounded, for all who read it, as long as one node that is still quantized wants it rounded. A bias
    stays in int32, where it loses nothing.
    """
    graph = ModelProto()
    graph.CopyFrom(quantized)
    weights = {tensor.name: tensor for tensor in base.graph.initializer}
    still = set(active) - set(kept)
    wanted = {
        name
        for node in base.graph.node
        if node.name in still
        for name in (*node.input, *(node.output if node.op_type in rounded_outputs else ()))
    }
    for name in rounded_outside(graph):
        if name not in wanted:
            give_out_unrounded(graph, name)
    known = {name for node in base.graph.node for name in (*node.input, *node.output)} | set(weights)
    index = GraphIndex(graph.graph)
    plain = {}
    for node in index.graph.node:
        if node.op_type != DQ or node.output[0] in known:
            continue
        source = _float_name(node.input[0], index, known)
        if source is not None and source not in wanted:
            plain[node.output[0]] = source
    there = set(index.initializers)
    graph.graph.initializer.extend(
        weights[name] for name in set(plain.values()) if name in weights and name not in there
    )
    for node in graph.graph.node:
        node.input[:] = [plain.get(name, name) for name in node.input]
    drop_unused(graph)
    return graph


def rounded_outside(model: ModelProto) -> list[str]:
    """The outputs of the graph that are rounded before they are given out; the quantizer has renamed what they were."""
    index = GraphIndex(model.graph)
    found = []
    for name in index.outputs:
        last = index.graph.node[index.producer[name]] if name in index.producer else None
        if last is not None and last.op_type == DQ and last.input[0] in index.producer:
            rounding = index.graph.node[index.producer[last.input[0]]]
            if rounding.op_type == Q and rounding.input[0] in index.producer:
                found.append(name)
    return found


def before_rounding(model: ModelProto, name: str) -> str:
    """What one of `rounded_outside` was before it was rounded."""
    index = GraphIndex(model.graph)
    rounding = index.producer[index.graph.node[index.producer[name]].input[0]]
    plain: str = index.graph.node[rounding].input[0]
    return plain


def give_out_unrounded(model: ModelProto, name: str) -> None:
    """Who reads the value rounded still does, under another name."""
    plain, rounded = before_rounding(model, name), f"{name}:rounded"
    new = {plain: name, name: rounded}
    for node in model.graph.node:
        node.input[:] = [new.get(value, value) for value in node.input]
        node.output[:] = [new.get(value, value) for value in node.output]


def _float_name(rounded: str, index: GraphIndex, known: set[str]) -> str | None:
    """The value of the float graph that was rounded, or None where it has lost its name."""
    if rounded in index.producer:
        node = index.graph.node[index.producer[rounded]]
        return node.input[0] if node.op_type == Q and node.input[0] in known else None
    return rounded.removesuffix("_quantized") if rounded.removesuffix("_quantized") in known else None

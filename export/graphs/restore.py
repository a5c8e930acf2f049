"""Takes single nodes of an int8 graph back to float: many sets of them are tried, and quantizing anew is slow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import ModelProto

from .graph import GraphIndex, drop_unused

if TYPE_CHECKING:
    from collections.abc import Collection

Q, DQ = "QuantizeLinear", "DequantizeLinear"


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

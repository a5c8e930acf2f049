"""Rewrites ONNX graphs: extracts subgraphs, folds constants, renames values, sorts nodes, removes unused ones."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper

from .graph import GraphIndex, typed, uses
from .runner import Runner
from .weights import put_aside

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from onnx import ValueInfoProto
LOG = logging.getLogger("mm_edge.export")
STANDARD_DOMAINS = {"", "ai.onnx"}


def base_graph(model: ModelProto, weights: Path | None = None) -> ModelProto:
    """Standard operators only, to serve every engine. Q/DQ pairs would keep a batch norm from its convolution.

    Large weights are put aside in the folder `weights`.
    """
    with tempfile.TemporaryDirectory(prefix="mm-edge-base-") as folder:
        path = Path(folder) / "base.onnx"
        Runner(model, optimize="basic", optimized=path)
        optimized = onnx.load(str(path))
    if any(node.domain not in STANDARD_DOMAINS for node in optimized.graph.node):
        LOG.debug("the optimizer used operators of its own; the graph is taken as it was")
        optimized = ModelProto()
        optimized.CopyFrom(model)
    del optimized.opset_import[:]
    optimized.opset_import.extend(item for item in model.opset_import if item.domain in STANDARD_DOMAINS)
    name_nodes(optimized)
    return typed(optimized if weights is None else put_aside(optimized, weights))


def subgraph(
    model: ModelProto,
    nodes: Iterable[int],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    name: str,
) -> ModelProto:
    """A model of some of the nodes, with copies of the weights that they use."""
    index = GraphIndex(model.graph)
    kept = [model.graph.node[number] for number in sorted(set(nodes))]
    needed = {value for node in kept for value in uses(node)} | {item.name for item in outputs}
    made = {value for node in kept for value in node.output}
    given = {item.name for item in inputs}
    weights = [tensor for key, tensor in index.initializers.items() if key in needed]
    infos = [
        info
        for key, info in index.infos.items()
        if key in made and key not in given and key not in {item.name for item in outputs}
    ]
    graph = helper.make_graph(kept, name, list(inputs), list(outputs), weights, value_info=infos)
    part = helper.make_model(graph, opset_imports=list(model.opset_import), ir_version=model.ir_version)
    part.functions.extend(model.functions)
    return part


def rename_values(model: ModelProto, names: Mapping[str, str]) -> None:
    """Renames in place. A value that already has one of the new names gives way."""
    index = GraphIndex(model.graph)
    there = {*index.producer, *index.initializers, *index.inputs}
    changes = {old: new for old, new in names.items() if old != new}
    for new in changes.values():
        if new in there and new not in changes:
            free = next(name for count in range(1, len(there) + 2) if (name := f"{new}_inner{count}") not in there)
            there.add(free)
            changes = {**changes, new: free}
    _rename(model.graph, changes)


def _rename(graph: GraphProto, changes: Mapping[str, str]) -> None:
    for item in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        item.name = changes.get(item.name, item.name)
    for node in graph.node:
        node.input[:] = [changes.get(name, name) for name in node.input]
        node.output[:] = [changes.get(name, name) for name in node.output]
        for attribute in node.attribute:
            for body in [attribute.g] if attribute.type == AttributeProto.GRAPH else list(attribute.graphs):
                _rename(body, changes)


def name_nodes(model: ModelProto) -> None:
    """A name of its own for every node: block lists and messages go by name."""
    taken: set[str] = set()
    for number, node in enumerate(model.graph.node):
        if not node.name or node.name in taken:
            node.name = f"{node.op_type}_{number}"
        taken.add(node.name)


def sort_nodes(model: ModelProto) -> None:
    """Puts the nodes in topological order, in place: ONNX demands it and TensorRT's parser relies on it."""
    ready = {item.name for item in (*model.graph.input, *model.graph.initializer)} | {""}
    waiting = list(model.graph.node)
    made = {name for node in waiting for name in node.output}
    ordered = []
    users: dict[str, list[int]] = {}
    missing: dict[int, int] = {}
    for number, node in enumerate(waiting):
        needed = {name for name in uses(node) if name in made and name not in ready}
        missing[number] = len(needed)
        for name in needed:
            users.setdefault(name, []).append(number)
    stack = [number for number in reversed(range(len(waiting))) if missing[number] == 0]
    while stack:
        number = stack.pop()
        ordered.append(waiting[number])
        for name in waiting[number].output:
            for user in users.get(name, ()):
                missing[user] -= 1
                if missing[user] == 0:
                    stack.append(user)
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in ordered]
    del model.graph.node[:]
    model.graph.node.extend(copies)


def drop_unused(model: ModelProto) -> None:
    """Removes, in place, the nodes and weights that no output needs."""
    needed = {item.name for item in model.graph.output}
    kept = []
    for node in reversed(model.graph.node):
        if any(name in needed for name in node.output):
            kept.append(NodeProto.FromString(node.SerializeToString()))
            needed.update(uses(node))
    weights = [item for item in model.graph.initializer if item.name in needed]
    copies = [TensorProto.FromString(item.SerializeToString()) for item in weights]
    del model.graph.node[:]
    model.graph.node.extend(reversed(kept))
    del model.graph.initializer[:]
    model.graph.initializer.extend(copies)


def strip(model: ModelProto) -> ModelProto:
    """Removes traces of the machine that made the graph (stack traces, paths): the same model, the same bytes."""
    del model.metadata_props[:]
    model.producer_name, model.producer_version, model.doc_string = "mm-edge", "", ""
    _strip_graph(model.graph)
    for function in model.functions:
        function.doc_string = ""
        del function.metadata_props[:]
        for node in function.node:
            _strip_node(node)
    return model


def _strip_graph(graph: GraphProto) -> None:
    graph.doc_string = ""
    del graph.metadata_props[:]
    for tensor in graph.initializer:
        tensor.doc_string = ""
        del tensor.metadata_props[:]
    for info in (*graph.input, *graph.output, *graph.value_info):
        info.doc_string = ""
        del info.metadata_props[:]
    for node in graph.node:
        _strip_node(node)


def _strip_node(node: NodeProto) -> None:
    node.doc_string = ""
    del node.metadata_props[:]
    for attribute in node.attribute:
        for body in [attribute.g] if attribute.type == AttributeProto.GRAPH else list(attribute.graphs):
            _strip_graph(body)

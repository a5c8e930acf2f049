"""Reads and rewrites ONNX graphs: producers and users of values, types, dimensions, names, order, subgraphs."""

from __future__ import annotations

from collections import defaultdict
from math import prod
from typing import TYPE_CHECKING

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper

from mm_edge.errors import WorkFailedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from onnx import ValueInfoProto

    from mm_edge.spec import DType


OPSET = 20
DTYPES: dict[int, DType] = {
    TensorProto.UINT8: "uint8",
    TensorProto.INT8: "int8",
    TensorProto.INT32: "int32",
    TensorProto.INT64: "int64",
    TensorProto.FLOAT16: "float16",
    TensorProto.FLOAT: "float32",
    TensorProto.BOOL: "bool",
}
ELEMENT_TYPES = {name: number for number, name in DTYPES.items()}


def uses(node: NodeProto) -> list[str]:
    """Every value that a node reads, including those that the bodies of If, Loop and Scan read from outside."""
    names = [name for name in node.input if name]
    for attribute in node.attribute:
        bodies = [attribute.g] if attribute.type == AttributeProto.GRAPH else list(attribute.graphs)
        for body in bodies:
            own = {item.name for item in (*body.input, *body.initializer)} | {
                out for inner in body.node for out in inner.output
            }
            names += [name for inner in body.node for name in uses(inner) if name not in own]
            names += [out.name for out in body.output if out.name not in own]
    return names


class GraphIndex:
    """Look-up tables of one graph, whose nodes are in topological order, as ONNX requires."""

    def __init__(self, graph: GraphProto) -> None:
        self.graph = graph
        self.initializers = {tensor.name: tensor for tensor in graph.initializer}
        self.inputs = [item.name for item in graph.input if item.name not in self.initializers]
        self.outputs = [item.name for item in graph.output]
        self.producer: dict[str, int] = {}
        self.consumers: defaultdict[str, list[int]] = defaultdict(list)
        for index, node in enumerate(graph.node):
            self.producer.update(dict.fromkeys(filter(None, node.output), index))
            for name in dict.fromkeys(uses(node)):
                self.consumers[name].append(index)
        self.infos = {item.name: item for item in (*graph.input, *graph.value_info, *graph.output)}


def dims_of(info: ValueInfoProto | None) -> list[int | str] | None:
    """Sizes and names of dimensions; "" if one is unknown, None if the rank is unknown."""
    if info is None or not info.type.tensor_type.HasField("shape"):
        return None
    return [dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in info.type.tensor_type.shape.dim]


def typed(model: ModelProto) -> ModelProto:
    """The graph with the types of its values, as far as ONNX can infer them."""
    try:
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        raise WorkFailedError(str(error).strip(), action="inferring the types of a graph") from error


def ancestors_of(model: ModelProto, names: Iterable[str]) -> set[str]:
    """The names of all nodes that the named nodes depend on, including themselves."""
    wanted = set(names)
    needed: set[str] = set()
    found: set[str] = set()
    for node in reversed(model.graph.node):
        if node.name in wanted or any(name in needed for name in node.output):
            found.add(node.name)
            needed.update(uses(node))
    return found


def parameter_count(model: ModelProto) -> int:
    """The number of values in all weights, without indices and shapes."""
    floats = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT8, TensorProto.UINT8}
    return sum(prod(tensor.dims) for tensor in model.graph.initializer if tensor.data_type in floats)


def subgraph(
    model: ModelProto,
    nodes: Iterable[int],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    name: str,
) -> ModelProto:
    """A model with some of the nodes and copies of the weights that they use."""
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
    """Renames in place. A value that already has one of the new names gets another name."""
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
    """Gives every node a unique name: block lists and messages refer to nodes by name."""
    taken: set[str] = set()
    for number, node in enumerate(model.graph.node):
        if not node.name or node.name in taken:
            node.name = f"{node.op_type}_{number}"
        taken.add(node.name)


def sort_nodes(model: ModelProto) -> None:
    """Puts the nodes in topological order, in place: ONNX requires it and TensorRT's parser relies on it."""
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
    """Removes stack traces, paths and other metadata, so that the same model always has the same bytes."""
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

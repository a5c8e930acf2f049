"""Reading and cutting ONNX graphs: who makes a value, who uses it, and a graph made of some of the nodes."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

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
    """Every value that a node reads, those that the bodies of If, Loop and Scan take from outside included."""
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
    """Looks up one graph. The nodes are in topological order, as ONNX demands."""

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
    """Sizes and names of dimensions; "" for one that is not known; None where not even the rank is known."""
    if info is None or not info.type.tensor_type.HasField("shape"):
        return None
    return [dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in info.type.tensor_type.shape.dim]


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
    """Removes what tells of the machine that made the graph (stack traces, paths): the same model, the same bytes."""
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


def save(model: ModelProto, path: Path) -> str:
    """Writes the graph with its weights as one file and gives its sha256."""
    from .weights import filled

    content = filled(model).SerializeToString(deterministic=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def load(path: Path) -> ModelProto:
    return onnx.load(str(path))


def parameter_count(model: ModelProto) -> int:
    """How many numbers the weights hold; indices and shapes are no weights."""
    from math import prod

    floats = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT8, TensorProto.UINT8}
    return sum(prod(tensor.dims) for tensor in model.graph.initializer if tensor.data_type in floats)

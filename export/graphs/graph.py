"""Reads ONNX graphs: which node makes a value, which nodes use it, types and dimensions; loads and saves them."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from math import prod
from typing import TYPE_CHECKING

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

from mm_edge.errors import WorkFailedError

from .weights import filled

if TYPE_CHECKING:
    from collections.abc import Iterable
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


def typed(model: ModelProto) -> ModelProto:
    """With the type of every value, as far as ONNX can infer it."""
    try:
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        raise WorkFailedError(str(error).strip(), action="inferring the types of a graph") from error


def ancestors_of(model: ModelProto, names: Iterable[str]) -> set[str]:
    """The names of all nodes that lead to the nodes named, those themselves included."""
    wanted = set(names)
    needed: set[str] = set()
    found: set[str] = set()
    for node in reversed(model.graph.node):
        if node.name in wanted or any(name in needed for name in node.output):
            found.add(node.name)
            needed.update(uses(node))
    return found


def parameter_count(model: ModelProto) -> int:
    """How many numbers the weights hold; indices and shapes are no weights."""
    floats = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT8, TensorProto.UINT8}
    return sum(prod(tensor.dims) for tensor in model.graph.initializer if tensor.data_type in floats)


def save(model: ModelProto, path: Path) -> str:
    """Writes the graph with its weights as one file and gives its sha256."""
    content = filled(model).SerializeToString(deterministic=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def load(path: Path) -> ModelProto:
    return onnx.load(str(path))

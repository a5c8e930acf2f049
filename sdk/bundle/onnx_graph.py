"""Reads what an ONNX file declares, without the onnx package: its inputs and outputs, and what it wants from outside.

A bundle is verified on machines that have no onnx, and an ONNX file may name other files that hold its weights, which
engines would then read from wherever the process was started. The format is protobuf; only the few fields that matter
here are followed (numbers from onnx.proto3), everything else is skipped by its length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mm_edge.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator

DTYPES = {1: "float32", 2: "uint8", 3: "int8", 5: "int16", 6: "int32", 7: "int64", 9: "bool", 10: "float16"}
DTYPES |= {4: "uint16", 11: "float64", 12: "uint32", 13: "uint64"}
MAX_DEPTH = 32  # of graphs within graphs; models have two or three
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
ORT_FORMAT = b"ORTM"  # the mark by which ONNX Runtime takes bytes for its own format, unchecked by this file
EXTERNAL = 1  # TensorProto.DataLocation
# Field numbers. Model: graph, training_info, functions. Graph: node, initializer, input, output, sparse_initializer.
GRAPH, TRAINING, FUNCTIONS = 7, 20, 25
NODES, INITIALIZERS, INPUTS, OUTPUTS, SPARSE = 1, 5, 11, 12, 15
TRAINING_GRAPHS = {1, 2}
FUNCTION_NODES, NODE_ATTRIBUTES, NODE_TYPE = 7, 5, 4
TENSOR_NAME, TENSOR_EXTERNAL, TENSOR_LOCATION = 8, 13, 14
ATTRIBUTE_TENSORS, ATTRIBUTE_GRAPHS, ATTRIBUTE_SPARSE = {5, 10}, {6, 11}, {22, 23}
FILE_NODES = {b"EPContext"}  # a node that stands for an engine in a file of its own


@dataclass(frozen=True)
class Declared:
    """An input or output. A dimension is a number, or None where the file leaves it open or names it."""

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None  # None: of any rank


@dataclass(frozen=True)
class OnnxGraph:
    """The main graph's inputs that no initializer feeds, and its outputs; what is read from other files, by tensor."""

    inputs: tuple[Declared, ...]
    outputs: tuple[Declared, ...]
    outside: tuple[str, ...]


def read_onnx(content: bytes, action: str) -> OnnxGraph:
    """Raises a BundleError where the bytes are no ONNX file."""
    try:
        if content[4:8] == ORT_FORMAT:  # which may be a valid ONNX file at the same time
            raise ValueError("it is a file in the ORT format")
        view = memoryview(content)
        graphs = list(_messages(view, GRAPH))
        if len(graphs) != 1:  # parsers merge several
            raise ValueError(f"there are {len(graphs)} graphs in it" if graphs else "there is no graph in it")
        graph = graphs[0]
        outside = tuple(_outside_model(view))
        initializers = {_text(tensor, TENSOR_NAME) for tensor in _messages(graph, INITIALIZERS)}
        inputs = tuple(each for each in map(_declared, _messages(graph, INPUTS)) if each.name not in initializers)
        return OnnxGraph(inputs, tuple(map(_declared, _messages(graph, OUTPUTS))), outside)
    except (ValueError, IndexError, RecursionError) as error:
        raise BundleError(
            f"it is not an ONNX file that can be read: {error}", action=action, hint="Export the bundle again"
        ) from None


def _fields(view: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Every field of a message: its number, and its value (numbers of fixed width are skipped)."""
    at, end = 0, len(view)
    while at < end:
        tag, at = _varint(view, at)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, at = _varint(view, at)
            yield number, value
        elif kind == BYTES:
            length, at = _varint(view, at)
            if at + length > end:
                raise ValueError("a field is longer than the file")
            yield number, view[at : at + length]
            at += length
        elif kind in {FIXED64, FIXED32}:
            at += 8 if kind == FIXED64 else 4
        else:
            raise ValueError(f"a field has the unknown wire type {kind}")


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number has more than 64 bits")


def _messages(view: memoryview, wanted: int) -> Iterator[memoryview]:
    return (value for number, value in _fields(view) if number == wanted and isinstance(value, memoryview))


def _text(view: memoryview, wanted: int) -> str:
    return next((bytes(value).decode("utf-8", "replace") for value in _messages(view, wanted)), "")


def _outside_model(model: memoryview) -> Iterator[str]:
    for number, value in _fields(model):
        if not isinstance(value, memoryview):
            continue
        if number == GRAPH:
            yield from _outside_graph(value, 0)
        elif number == TRAINING:  # its two graphs
            for field, graph in _fields(value):
                if field in TRAINING_GRAPHS and isinstance(graph, memoryview):
                    yield from _outside_graph(graph, 0)
        elif number == FUNCTIONS:
            for node in _messages(value, FUNCTION_NODES):
                yield from _outside_node(node, 0)


def _outside_graph(graph: memoryview, depth: int) -> Iterator[str]:
    if depth > MAX_DEPTH:
        raise ValueError(f"graphs are nested deeper than {MAX_DEPTH}")
    for number, value in _fields(graph):
        if not isinstance(value, memoryview):
            continue
        if number == NODES:
            yield from _outside_node(value, depth)
        elif number == INITIALIZERS:
            yield from _outside_tensor(value)
        elif number == SPARSE:
            yield from _outside_sparse(value)


def _outside_node(node: memoryview, depth: int) -> Iterator[str]:
    if any(bytes(kind) in FILE_NODES for kind in _messages(node, NODE_TYPE)):
        yield "a node EPContext"
    for attribute in _messages(node, NODE_ATTRIBUTES):
        for number, value in _fields(attribute):
            if not isinstance(value, memoryview):
                continue
            if number in ATTRIBUTE_TENSORS:
                yield from _outside_tensor(value)
            elif number in ATTRIBUTE_GRAPHS:
                yield from _outside_graph(value, depth + 1)
            elif number in ATTRIBUTE_SPARSE:
                yield from _outside_sparse(value)


def _outside_sparse(sparse: memoryview) -> Iterator[str]:
    for number in (1, 2):  # values, indices
        for tensor in _messages(sparse, number):
            yield from _outside_tensor(tensor)


def _outside_tensor(tensor: memoryview) -> Iterator[str]:
    if any(
        number == TENSOR_EXTERNAL or (number == TENSOR_LOCATION and value == EXTERNAL)
        for number, value in _fields(tensor)
    ):
        yield f"the tensor '{_text(tensor, TENSOR_NAME)}'"


def _declared(value_info: memoryview) -> Declared:
    """ValueInfoProto: name 1, type 2 { tensor_type 1 { elem_type 1, shape 2 { dim 1 { dim_value 1 } } } }."""
    name = _text(value_info, 1)
    for kind in _messages(value_info, 2):
        for tensor in _messages(kind, 1):
            code = next((value for number, value in _fields(tensor) if number == 1 and isinstance(value, int)), 0)
            shape = next((tuple(map(_dimension, _messages(each, 1))) for each in _messages(tensor, 2)), None)
            return Declared(name, DTYPES.get(code, f"type {code}"), shape)
    return Declared(name, "no tensor", None)


def _dimension(dim: memoryview) -> int | None:
    return next((value for number, value in _fields(dim) if number == 1 and isinstance(value, int)), None)

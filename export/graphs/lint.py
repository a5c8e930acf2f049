"""Checks a graph against TensorRT's rules: reports the node that would fail to build on the device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from onnx import ModelProto, TensorProto

from .graph import GraphIndex, dims_of, typed, uses
from .weights import array_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from onnx import NodeProto

# The operators of ONNX 1.23 for which `supports_operator` of the parser of TensorRT-RTX 1.7 is false;
# tests/export/test_engine_build.py compares the list with the parser where it is installed.
UNSUPPORTED = frozenset(
    """AffineGrid Bernoulli BitCast BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor CenterCropPad Col2Im
    Compress ConcatFromSequence ConvInteger CumProd DFT DeformConv Det DynamicQuantizeLinear ImageDecoder
    MatMulInteger MaxRoiPool MaxUnpool MelWeightMatrix Multinomial NegativeLogLikelihoodLoss Optional
    OptionalGetElement OptionalHasElement QLinearConv QLinearMatMul RegexFullMatch SequenceAt SequenceConstruct
    SequenceEmpty SequenceErase SequenceInsert SequenceLength SequenceMap SoftmaxCrossEntropyLoss SplitToSequence
    StringConcat StringNormalizer StringSplit SwiGLU TfIdfVectorizer Unique""".split()  # noqa: SIM905  # a list of 46 strings reads worse
)
DATA_DEPENDENT = frozenset(
    {"NonZero", "NonMaxSuppression", "Unique", "Compress"}
)  # the size of their output depends on the data
STANDARD_DOMAINS = {"", "ai.onnx"}
FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16}


@dataclass(frozen=True)
class Finding:
    """One violation of a rule: the node, what was found, and a hint."""

    node: str
    rule: str
    found: str
    hint: str

    def __str__(self) -> str:
        return f"node '{self.node}': {self.found}. {self.hint}"


@dataclass
class Linted:
    """A graph with the types of its values."""

    index: GraphIndex
    types: dict[str, int]

    def type_of(self, name: str) -> int | None:
        return self.types.get(name)


def lint(model: ModelProto) -> list[Finding]:
    """Every violation, in the order of the nodes."""
    inferred = typed(model)
    index = GraphIndex(inferred.graph)
    types = {name: info.type.tensor_type.elem_type for name, info in index.infos.items()}
    types |= {name: tensor.data_type for name, tensor in index.initializers.items()}
    graph = Linted(index, types)
    findings = [finding for node in inferred.graph.node for rule in RULES for finding in rule(node, graph)]
    return findings + list(_graph_rules(graph))


def _operators(node: NodeProto, graph: Linted) -> Iterator[Finding]:
    del graph
    if node.domain not in STANDARD_DOMAINS:
        yield _finding(
            node,
            "operator",
            f"{node.op_type} of the domain {node.domain} needs a plug-in",
            "Build the model from standard operators",
        )
    elif node.op_type in UNSUPPORTED:
        yield _finding(node, "operator", f"{node.op_type} is not supported", "Rewrite it, or move it out of the model")
    elif node.op_type in DATA_DEPENDENT:
        yield _finding(
            node,
            "shape",
            f"{node.op_type} gives as much as the data says",
            "Give a fixed number of candidates and scores; the decoder filters them",
        )


def _quantize(node: NodeProto, graph: Linted) -> Iterator[Finding]:
    """Q and DQ: signed, symmetric, constant and positive scales, one float type along a chain."""
    if node.op_type not in {"QuantizeLinear", "DequantizeLinear"}:
        return
    initializers = graph.index.initializers
    scale = initializers.get(node.input[1])
    if scale is None:
        yield _finding(node, "scale", "its scale is not a constant", "Quantize statically, with calibration")
    else:
        values = array_of(scale).astype(np.float64)
        if not (np.isfinite(values).all() and (values > 0).all()):
            yield _finding(
                node,
                "scale",
                f"its scale is {values.min():g} at its smallest",
                "Calibrate on samples in which that value varies",
            )
    zero = initializers.get(node.input[2]) if len(node.input) > 2 and node.input[2] else None
    if zero is not None and array_of(zero).any():
        yield _finding(node, "zero point", "its zero point is not 0", "Quantize symmetrically")
    quantized = graph.type_of(node.output[0] if node.op_type == "QuantizeLinear" else node.input[0])
    if quantized == TensorProto.INT32:
        yield _finding(node, "bias", "an int32 bias is dequantized", "Leave biases in float (QuantizeBias=False)")
    elif quantized not in {None, TensorProto.INT8}:
        yield _finding(
            node, "type", f"it quantizes to {TensorProto.DataType.Name(quantized or 0)}", "Quantize to signed int8"
        )
    value = node.input[0] if node.op_type == "QuantizeLinear" else node.output[0]
    pair = {kind for kind in (graph.type_of(value), graph.type_of(node.input[1])) if kind in FLOATS}
    if len(pair) > 1:
        yield _finding(
            node,
            "chain",
            "its scale and its value have different float types",
            "Keep a chain in fp32 or in fp16, not in both",
        )


def _softmax(node: NodeProto, graph: Linted) -> Iterator[Finding]:
    """A quantized Softmax: one scale for all probabilities rounds the small ones to zero, without any error."""
    if node.op_type in {"Softmax", "LogSoftmax"}:
        for name in node.output:
            for user in graph.index.consumers[name]:
                if graph.index.graph.node[user].op_type == "QuantizeLinear":
                    yield _finding(
                        node, "softmax", "its output is quantized", "Leave Softmax and the product behind it in float"
                    )


def _uint8(node: NodeProto, graph: Linted) -> Iterator[Finding]:
    """A uint8 network input may only go into Cast."""
    for name in node.input:
        if name in graph.index.inputs and graph.type_of(name) == TensorProto.UINT8 and node.op_type != "Cast":
            yield _finding(
                node, "uint8", f"it reads the uint8 input '{name}'", "Cast it to float first, then change the layout"
            )


def _doubles(node: NodeProto, graph: Linted) -> Iterator[Finding]:
    if any(graph.type_of(name) == TensorProto.DOUBLE for name in node.output):
        yield _finding(node, "type", "it computes in float64", "Use float32: `.float()` in the model")


def _clamped(node: NodeProto, graph: Linted) -> Iterator[Finding]:
    """A weight outside the range of fp16 becomes infinity."""
    for name in uses(node):
        tensor = graph.index.initializers.get(name)
        if tensor is not None and tensor.data_type == TensorProto.FLOAT16 and not np.isfinite(array_of(tensor)).all():
            masked = node.op_type in {"Add", "Where", "Mul", "Min", "Max"}
            if not masked:  # attention masks contain minus infinity on purpose
                yield _finding(node, "range", f"the fp16 constant '{name}' is not finite", "Keep that node in fp32")


RULES: tuple[Callable[[NodeProto, Linted], Iterator[Finding]], ...] = (
    _operators,
    _quantize,
    _softmax,
    _uint8,
    _doubles,
    _clamped,
)


def _graph_rules(graph: Linted) -> Iterator[Finding]:
    for name in graph.index.outputs:
        if dims_of(graph.index.infos.get(name)) is None:
            yield Finding(
                name,
                "rank",
                f"the output '{name}' has no fixed number of dimensions",
                "Reshape it to a fixed rank at the end of the model",
            )


def _finding(node: NodeProto, rule: str, found: str, hint: str) -> Finding:
    return Finding(node.name or f"{node.op_type} -> {node.output[0]}", rule, found, hint)

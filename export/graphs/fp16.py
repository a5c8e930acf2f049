"""Converts graphs to fp16 with ONNX Runtime's converter, and adds the rounding of a GPU to fp16 graphs on the CPU.

ONNX Runtime has few fp16 kernels for the CPU. Where there is none it computes in fp32 and omits the rounding between
two such nodes, so that an overflow that ruins the model on a GPU would not appear here. `as_rounded` therefore computes
in fp32 and rounds every value that a GPU would store in fp16.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from onnx import AttributeProto, ModelProto, TensorProto, helper

from mm_edge.onnx_runtime import import_onnxruntime

from .graph import GraphIndex, ancestors_of, drop_unused, sort_nodes, typed
from .weights import cast, is_aside

if TYPE_CHECKING:
    from collections.abc import Collection

    from onnx import GraphProto, NodeProto


# Overflow or lose all precision in fp16: sums of squares, logarithms of small powers, reciprocals of small numbers.
FP32_KINDS = ("Pow", "Log", "Exp", "Reciprocal", "ReduceL2", "ReduceSumSquare", "LpNormalization", "ReduceLogSumExp")
LARGEST_FRONT_END = 64  # nodes; a logarithm with more ancestors is not part of a spectrogram
SUFFIX = ":fp16"


def fp32_by_nature(base: ModelProto) -> set[str]:
    """The nodes that always stay fp32: the operators above, and a spectrogram up to its logarithm."""
    kinds = {node.name for node in base.graph.node if node.op_type in FP32_KINDS}
    for log in [node.name for node in base.graph.node if node.op_type == "Log"]:
        front_end = ancestors_of(base, [log])
        if len(front_end) <= LARGEST_FRONT_END:
            kinds |= front_end
    return kinds


def to_fp16(base: ModelProto, keep_fp32: Collection[str] = ()) -> ModelProto:
    """The graph in fp16, except for the nodes `keep_fp32`; its inputs and outputs stay fp32."""
    import_onnxruntime()
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    copy = ModelProto()
    copy.CopyFrom(base)
    blocked = fp32_by_nature(copy) | set(keep_fp32)
    _give_own_copies(copy, blocked)
    aside = _hollowed(copy)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", RuntimeWarning
        )  # values outside the range of fp16 are clamped; the parity gate measures the effect
        converted: ModelProto = convert_float_to_float16(
            copy,
            keep_io_types=True,
            disable_shape_infer=True,
            op_block_list=list(DEFAULT_OP_BLOCK_LIST),
            node_block_list=sorted(blocked),
        )
    _refill(converted, aside)
    sort_nodes(converted)
    _drop_round_trips(converted)
    return converted


def _hollowed(model: ModelProto) -> dict[str, TensorProto]:
    """Replaces weights in files by empty ones while the converter runs, because it reads every weight."""
    aside = {}
    for tensor in model.graph.initializer:
        if is_aside(tensor) and tensor.data_type == TensorProto.FLOAT:
            aside[tensor.name] = TensorProto()
            aside[tensor.name].CopyFrom(tensor)
            tensor.CopyFrom(TensorProto(name=tensor.name, data_type=tensor.data_type, dims=[0]))
    return aside


def _refill(model: ModelProto, aside: dict[str, TensorProto]) -> None:
    for info in [item for item in model.graph.value_info if item.name.removesuffix("_cast_to_fp32") in aside]:
        model.graph.value_info.remove(info)  # it has the shape of the empty weight
    for tensor in model.graph.initializer:
        if tensor.name in aside:
            kind = tensor.data_type
            tensor.CopyFrom(aside[tensor.name])
            if kind == TensorProto.FLOAT16:
                cast(tensor, kind)


def _drop_round_trips(model: ModelProto) -> None:
    """Removes the casts to fp16 and back that the converter inserts between two nodes that both stay fp32."""
    index = GraphIndex(model.graph)
    cast_to = {node.output[0]: node for node in model.graph.node if node.op_type == "Cast"}
    kinds = {name: node.attribute[0].i for name, node in cast_to.items()}
    instead: dict[str, str] = {}
    for name, node in cast_to.items():
        inner = cast_to.get(node.input[0])
        if (
            kinds[name] == TensorProto.FLOAT
            and inner is not None
            and kinds[inner.output[0]] == TensorProto.FLOAT16
            and _is_fp32(index, inner, kinds)
        ):
            instead[name] = inner.input[0]
    outputs = set(index.outputs)
    for node in model.graph.node:
        node.input[:] = [instead.get(name, name) for name in node.input]
    for name, source in instead.items():
        if name in outputs:
            cast_to[name].CopyFrom(helper.make_node("Identity", [source], [name], name=cast_to[name].name))
    drop_unused(model)


def _is_fp32(index: GraphIndex, cast: NodeProto, kinds: dict[str, int]) -> bool:
    """Whether the value that is cast to fp16 comes from a node that stays fp32, or from an input of the graph."""
    name = cast.input[0]
    info = index.infos.get(name)
    if name in index.inputs:
        return info is not None and info.type.tensor_type.elem_type == TensorProto.FLOAT
    return name.endswith("_cast_to_fp16") or kinds.get(name) == TensorProto.FLOAT


def _give_own_copies(model: ModelProto, blocked: Collection[str]) -> None:
    """Copies a weight that fp32 and fp16 nodes share: the converter would round it for both."""
    index = GraphIndex(model.graph)
    for name, tensor in list(index.initializers.items()):
        users = [model.graph.node[number] for number in index.consumers[name]]
        kept = [node for node in users if node.name in blocked]
        if kept and len(kept) < len(users):
            own = model.graph.initializer.add()
            own.CopyFrom(tensor)
            own.name = f"{name}_fp32"
            for node in kept:
                node.input[:] = [own.name if value == name else value for value in node.input]


def as_rounded(half: ModelProto) -> ModelProto:
    """Computes in fp32 and rounds each value that `half` holds in fp16, as a GPU stores it."""
    model = typed(half)
    types = {
        item.name: item.type.tensor_type.elem_type
        for item in (*model.graph.input, *model.graph.value_info, *model.graph.output)
    }
    rounded = ModelProto()
    rounded.CopyFrom(half)
    if not any(kind == TensorProto.FLOAT16 for kind in types.values()):
        return rounded
    _widen(rounded.graph, types)
    return rounded


def _widen(graph: GraphProto, types: dict[str, int]) -> None:
    del graph.value_info[:]
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT16:
            cast(tensor, TensorProto.FLOAT)
    nodes: list[NodeProto] = []
    for node in graph.node:
        _widen_attributes(node)
        made = [name for name in node.output if types.get(name) == TensorProto.FLOAT16]
        node.output[:] = [name + SUFFIX if name in made else name for name in node.output]
        nodes.append(node)
        for name in made:
            stored = f"{name}{SUFFIX}:stored"
            nodes.append(helper.make_node("Cast", [name + SUFFIX], [stored], name=stored, to=TensorProto.FLOAT16))
            nodes.append(helper.make_node("Cast", [stored], [name], name=f"{name}{SUFFIX}:read", to=TensorProto.FLOAT))
    copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def _widen_attributes(node: NodeProto) -> None:
    for attribute in node.attribute:
        if attribute.name in {"to", "dtype", "output_dtype"} and attribute.i == TensorProto.FLOAT16:
            attribute.i = TensorProto.FLOAT
        if attribute.type == AttributeProto.TENSOR and attribute.t.data_type == TensorProto.FLOAT16:
            cast(attribute.t, TensorProto.FLOAT)

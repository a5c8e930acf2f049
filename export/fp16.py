"""fp16 with fp32 at the edges of the graph, by the converter that comes with ONNX Runtime."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from onnx import ModelProto

from .base_graph import ancestors_of, sort_nodes
from .graph import GraphIndex

if TYPE_CHECKING:
    from collections.abc import Collection

# What overflows or loses everything in fp16: sums of squares, logarithms of small powers, reciprocals of small numbers.
FP32_KINDS = ("Pow", "Log", "Exp", "Reciprocal", "ReduceL2", "ReduceSumSquare", "LpNormalization", "ReduceLogSumExp")
LARGEST_FRONT_END = 64  # nodes; a logarithm with more than that in front of it is no front end


def fp32_by_nature(base: ModelProto) -> set[str]:
    """The nodes that stay fp32 in any case: those above, and a spectrogram's whole way to its logarithm."""
    kinds = {node.name for node in base.graph.node if node.op_type in FP32_KINDS}
    for log in [node.name for node in base.graph.node if node.op_type == "Log"]:
        front_end = ancestors_of(base, [log])
        if len(front_end) <= LARGEST_FRONT_END:
            kinds |= front_end
    return kinds


def to_fp16(base: ModelProto, keep_fp32: Collection[str] = ()) -> ModelProto:
    """The graph in fp16 but for the nodes named; its inputs and outputs stay fp32."""
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    copy = ModelProto()
    copy.CopyFrom(base)
    blocked = fp32_by_nature(copy) | set(keep_fp32)
    _give_own_copies(copy, blocked)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # numbers beyond fp16 are clamped; the parity gate judges what that costs
        converted: ModelProto = convert_float_to_float16(
            copy, keep_io_types=True, disable_shape_infer=True, op_block_list=list(DEFAULT_OP_BLOCK_LIST), node_block_list=sorted(blocked)
        )
    sort_nodes(converted)
    return converted


def _give_own_copies(model: ModelProto, blocked: Collection[str]) -> None:
    """A weight that both halves use gets a copy: the converter would round it for both."""
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

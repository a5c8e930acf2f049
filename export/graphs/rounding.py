"""An fp16 graph as an fp32 one that rounds where a GPU would: every fp16 value is stored in fp16, whatever computes it.

ONNX Runtime has few fp16 kernels for the CPU. Where it has none it computes in fp32 and leaves out the rounding between
two such nodes, so that an overflow which ruins the model on a GPU does not show here. Explicit casts are left in place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import AttributeProto, ModelProto, TensorProto, helper

from .graph import typed
from .weights import cast

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto

SUFFIX = ":fp16"


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

"""How large the values of a graph are, and how much work each node does; both are read off a real run, not guessed."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from onnx import ModelProto, helper

from .graph import GraphIndex
from .runner import ALL_CORES, Runner

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from onnx import NodeProto

    from mm_edge.export.feeds import Array, Feed


@dataclass(frozen=True)
class Value:
    """Shape and type that a value had in one run."""

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]

    @property
    def size_bytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize


def expose(model: ModelProto, names: Iterable[str]) -> ModelProto:
    """The same graph with these values as its only outputs. Their types are left to the engine to infer."""
    shown = ModelProto()
    shown.CopyFrom(model)
    del shown.graph.output[:]
    shown.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    return shown


def intermediate_values(model: ModelProto, feed: Feed, names: Iterable[str] | None = None) -> dict[str, Array]:
    """The values themselves. Without `names`, all of them: this holds every one in memory at once."""
    index = GraphIndex(model.graph)
    wanted = list(index.producer if names is None else names)
    known = set(index.producer)
    return Runner(expose(model, [name for name in wanted if name in known]), threads=ALL_CORES, optimize="none")(feed)


def measure_values(model: ModelProto, feed: Feed, names: Iterable[str] | None = None) -> dict[str, Value]:
    """Shape and type of every value in one run on `feed`, inputs and weights included."""
    index = GraphIndex(model.graph)
    found = {name: Value(array.shape, array.dtype) for name, array in intermediate_values(model, feed, names).items()}
    for name, array in feed.items():
        found[name] = Value(array.shape, array.dtype)
    for name, tensor in index.initializers.items():
        found[name] = Value(tuple(tensor.dims), helper.tensor_dtype_to_np_dtype(tensor.data_type))
    return found


def node_flops(node: NodeProto, values: dict[str, Value]) -> int:  # noqa: PLR0911
    """Multiplications and additions of one run; for all but the heavy kinds, one for each number that comes out."""
    out = next((values[name] for name in node.output if name in values), None)
    if out is None:
        return 0
    size = prod(out.shape)
    operands = [values[name].shape for name in node.input if name in values]
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    kind = node.op_type
    if kind in {"Conv", "ConvTranspose"}:
        kernel = operands[1]
        base = size if kind == "Conv" else prod(operands[0])
        return 2 * base * prod(kernel[1:])
    if kind in {"MatMul", "MatMulInteger", "QLinearMatMul"}:
        return 2 * size * operands[0][-1]
    if kind == "Gemm":
        return 2 * size * operands[0][0 if attributes.get("transA", 0) else 1]
    if kind == "Einsum":
        return 2 * size * max(prod(shape) for shape in operands) // max(size, 1) if operands else size
    if kind in {"GRU", "LSTM", "RNN"}:
        steps_and_batch = prod(operands[0][:2])
        return 2 * steps_and_batch * (prod(operands[1]) + prod(operands[2]))
    free = {
        "Reshape",
        "Transpose",
        "Squeeze",
        "Unsqueeze",
        "Shape",
        "Identity",
        "Cast",
        "Concat",
        "Slice",
        "Split",
        "Gather",
        "Expand",
        "Constant",
        "ConstantOfShape",
        "Flatten",
    }
    return 0 if kind in free else size

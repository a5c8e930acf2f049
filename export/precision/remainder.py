"""Finds the nodes that must stay fp32: ranks them by the error that each causes when reduced alone, then bisects.

To rank them, both forms of every node run side by side on the fp32 values, in one session for all nodes. This leaves
out how later nodes change an error: it gives an order for the search and verifies nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from math import inf, isfinite, prod
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper

from mm_edge.export.graphs.fp16 import as_rounded
from mm_edge.export.graphs.graph import GraphIndex, drop_unused, sort_nodes, uses
from mm_edge.export.graphs.runner import ALL_CORES, Runner, intermediate_values, run_all
from mm_edge.export.verify.parity import relative_error

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from mm_edge.export.feeds import Array, Feed


RENAMED_OUTPUT = "_QuantizeLinear_Input"  # the quantizer's suffix for an unrounded graph output
TINY = 1e-12
Node = TypeVar("Node", bound="str | tuple[str, str]")  # a node, or a part and a node
MOST_TRIALS = 32
STEPS = 32  # the bisection stops at this fraction of all nodes


@dataclass(frozen=True)
class Sensitivity:
    """`loss` is the relative error of the node's output, worst sample; `work` is in multiplications."""

    node: str
    kind: str
    loss: float
    work: float


def ranked(found: Sequence[Sensitivity]) -> list[str]:
    """Largest squared error for its work first: squared errors add up, and work is the cost of fp32."""
    order = sorted(found, key=lambda item: -(item.loss**2) / max(item.work, 1.0))
    return [item.node for item in order]


def share_of_work(found: Sequence[Sensitivity], nodes: Collection[str]) -> float:
    total = sum(item.work for item in found)
    return sum(item.work for item in found if item.node in nodes) / total if total else 0.0


def sensitivities_to_int8(
    base: ModelProto, quantized: ModelProto, nodes: Collection[str], feeds: Sequence[Feed]
) -> list[Sensitivity]:
    """`quantized` must round the inputs of heavy nodes and none of their outputs."""
    model = ModelProto()
    model.CopyFrom(base)
    there = {tensor.name for tensor in model.graph.initializer}
    model.graph.initializer.extend(item for item in quantized.graph.initializer if item.name not in there)
    made = {name for node in base.graph.node for name in node.output}
    rounded: set[str] = set()  # graph outputs: the rounded value has their name
    reduced = []
    for node in quantized.graph.node:
        own = NodeProto()
        own.CopyFrom(node)
        if node.op_type in {"QuantizeLinear", "DequantizeLinear"}:
            own.input[:] = [name.removesuffix(RENAMED_OUTPUT) for name in node.input]
            own.output[:] = [f"{name}:rounded" if name in made else name for name in node.output]
            rounded |= {name for name in node.output if name in made}
            model.graph.node.append(own)
        elif node.name in nodes:
            reduced.append(own)
    for node in reduced:
        node.input[:] = [f"{name}:rounded" if name in rounded else name for name in node.input]
    return _measured(model, base, reduced, feeds)


def sensitivities_to_fp16(base: ModelProto, nodes: Collection[str], feeds: Sequence[Feed]) -> list[Sensitivity]:
    """The operands and results of each node rounded to fp16, if they are floats."""
    model = ModelProto()
    model.CopyFrom(base)
    index = GraphIndex(base.graph)
    floats = {name for name, info in index.infos.items() if info.type.tensor_type.elem_type == TensorProto.FLOAT}
    floats |= {name for name, tensor in index.initializers.items() if tensor.data_type == TensorProto.FLOAT}
    halved: set[str] = set()
    reduced = []
    for node in base.graph.node:
        if node.name not in set(nodes) or node.op_type == "Cast" or node.output[0] not in floats:
            continue
        own = NodeProto()
        own.CopyFrom(node)
        for place, name in enumerate(node.input):
            if name in floats:
                own.input[place] = f"{name}:half"
                if name not in halved:
                    model.graph.node.extend(_through_fp16(name, f"{name}:half"))
                    halved.add(name)
        reduced.append(own)
    return _measured(model, base, reduced, feeds, rounds=True)


def _through_fp16(source: str, target: str) -> list[NodeProto]:
    return [
        helper.make_node("Cast", [source], [f"{target}:down"], name=f"{target}:down", to=TensorProto.FLOAT16),
        helper.make_node("Cast", [f"{target}:down"], [target], name=f"{target}:up", to=TensorProto.FLOAT),
    ]


def _measured(
    model: ModelProto, base: ModelProto, reduced: Sequence[NodeProto], feeds: Sequence[Feed], *, rounds: bool = False
) -> list[Sensitivity]:
    """Adds the nodes `reduced` to `model` (`base` and their inputs), with three numbers each as the only outputs."""
    weights = {tensor.name: tensor for tensor in base.graph.initializer}
    originals = {node.name: node for node in base.graph.node}
    numbers = {"error": TensorProto.FLOAT, "norm": TensorProto.FLOAT, "size": TensorProto.INT64}
    for node in reduced:
        original = originals[node.name]
        name = given = original.output[0]
        copy = model.graph.node.add()
        copy.CopyFrom(node)
        copy.name = f"{name}:reduced"
        copy.output[:] = [value and f"{value}:reduced" for value in original.output]
        given = f"{name}:reduced"
        if rounds:
            model.graph.node.extend(_through_fp16(given, f"{name}:stored"))
            given = f"{name}:stored"
        difference = f"{name}:difference"
        model.graph.node.extend(
            (
                helper.make_node("Sub", [given, name], [difference], name=difference),
                helper.make_node("ReduceL2", [difference], [f"{name}:error"], name=f"{name}:error", keepdims=0),
                helper.make_node("ReduceL2", [name], [f"{name}:norm"], name=f"{name}:norm", keepdims=0),
                helper.make_node("Size", [name], [f"{name}:size"], name=f"{name}:size"),
            )
        )
    measured = [originals[node.name] for node in reduced]
    del model.graph.output[:]
    model.graph.output.extend(
        helper.make_tensor_value_info(f"{node.output[0]}:{what}", kind, [])
        for node in measured
        for what, kind in numbers.items()
    )
    sort_nodes(model)
    drop_unused(model)
    runs = run_all(Runner(model, threads=ALL_CORES, optimize="none"), feeds)
    return [
        Sensitivity(
            node.name,
            node.op_type,
            max(_relative(run[f"{node.output[0]}:error"], run[f"{node.output[0]}:norm"]) for run in runs),
            float(runs[0][f"{node.output[0]}:size"]) * _work_a_number(node, weights),
        )
        for node in measured
    ]


def _relative(error: Array, norm: Array) -> float:
    value = float(error) / max(float(norm), TINY)
    return value if isfinite(value) else inf


def _work_a_number(node: NodeProto, weights: dict[str, TensorProto]) -> float:
    """Multiplications for each output value: the weight without its channel axis."""
    dims = list(weights[node.input[1]].dims) if len(node.input) > 1 and node.input[1] in weights else []
    if node.op_type in {"Conv", "ConvTranspose"}:
        return float(prod(dims[1:]))
    if node.op_type in {"MatMul", "Gemm"} and len(dims) > 1:
        transposed = any(item.name == "transB" and item.i for item in node.attribute)
        return float(dims[-1] if transposed else dims[-2])
    return 1.0


def worst_node(reference: ModelProto, reduced: ModelProto, feed: Feed) -> str:
    """`node 'NAME' (Conv), value 'x': relative error 0.3`, among the values that both graphs have."""
    known = GraphIndex(reduced.graph).producer
    index = GraphIndex(reference.graph)
    shared = [name for name in index.producer if name in known]
    wanted, got = intermediate_values(reference, feed, shared), intermediate_values(as_rounded(reduced), feed, shared)
    errors = {
        name: relative_error(got[name], wanted[name])
        for name in shared
        if np.issubdtype(wanted[name].dtype, np.floating)
    }
    if not errors:
        return "none of its values can be compared"
    growth = {
        name: error
        - max((errors.get(source, 0.0) for source in uses(index.graph.node[index.producer[name]])), default=0.0)
        for name, error in errors.items()
    }
    name = max(growth, key=lambda item: growth[item])
    node = index.graph.node[index.producer[name]]
    return f"node '{node.name}' ({node.op_type}), value '{name}': relative error {errors[name]:.3g}"


@dataclass
class Search(Generic[Node]):
    """The trials. `loss_of` runs the graph with these nodes in fp32 and returns the relative error."""

    loss_of: Callable[[frozenset[Node]], float]
    tolerance: float
    seconds: float = float("inf")  # then the best result so far is used
    most_trials: int = MOST_TRIALS
    trials: int = 0
    stopped: bool = False  # by the time limit, before the search was complete
    known: dict[frozenset[Node], float] = field(default_factory=dict)
    start: float = field(init=False)

    def __post_init__(self) -> None:
        self.start = time.monotonic()

    def loss(self, kept: frozenset[Node]) -> float:
        if kept not in self.known:
            self.trials += 1
            self.known[kept] = self.loss_of(kept)
        return self.known[kept]

    def passes(self, kept: frozenset[Node]) -> bool:
        return self.loss(kept) <= self.tolerance

    def out_of_time(self) -> bool:
        """Checked before trials that improve a result, not before those that are needed to have one."""
        over = time.monotonic() - self.start > self.seconds
        self.stopped = self.stopped or over
        return over


def smallest_remainder(
    ranked: Sequence[Node], search: Search[Node], longest: int | None = None
) -> frozenset[Node] | None:
    """The nodes to keep in fp32, out of the first `longest` of `ranked`; None when even those are not enough.

    `ranked` starts with the node whose fp32 gains most for its cost. The ranking only sets the order of the trials:
    every result was tried.
    """
    if search.passes(frozenset()):
        return frozenset()
    high = len(ranked) if longest is None else longest
    if not high or not search.passes(frozenset(ranked[:high])):
        return None
    low, step = 0, max(1, len(ranked) // STEPS)
    while high - low > step and not search.out_of_time():
        middle = (low + high) // 2
        if search.passes(frozenset(ranked[:middle])):
            high = middle
        else:
            low = middle
    return _shrunk(list(ranked[:high]), search)


def _shrunk(kept: list[Node], search: Search[Node]) -> frozenset[Node]:
    """Removes nodes that need not stay fp32: halves of what is kept, then quarters, and so on, the last ones first."""
    size = len(kept) // 2
    while size and search.trials < search.most_trials:
        for start in reversed(range(0, len(kept), size)):
            if search.trials >= search.most_trials or search.out_of_time():
                return frozenset(kept)
            without = kept[:start] + kept[start + size :]
            if without and search.passes(frozenset(without)):
                kept = without
        size //= 2
    return frozenset(kept)

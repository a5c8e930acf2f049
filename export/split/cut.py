"""Decides which nodes belong to which input's encoder: first by what depends on one input alone, then by a minimum cut.

The cut weighs the bytes that cross it at every tick against the work that would be repeated at every tick.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from onnx import helper

from mm_edge.export.graphs.graph import uses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from onnx import NodeProto

    from mm_edge.export.graphs.graph import GraphIndex
    from mm_edge.export.graphs.runner import Value
    from mm_edge.export.recipe import Recipe
    from mm_edge.spec import ModelSpec
LEAST_ENCODER_FLOPS = 200_000  # below this, starting a part costs more than running it: 10 us at 20 GFLOP/s
# What things cost at every tick, in picoseconds: round figures of one core. Only their ratio matters.
PS_PER_BYTE = 100  # 10 GB/s
PS_PER_FLOP = 50  # 20 GFLOP/s
PS_PER_NODE = 1_000_000  # 1 us to start a kernel
FUSION = "*"  # the colour of what depends on several inputs, on the presence or on a state


def choose_cuts(
    index: GraphIndex, owners: dict[str, str], values: dict[str, Value], recipe: Recipe, spec: ModelSpec
) -> tuple[dict[str, list[str]], list[str]]:
    """Which inputs get an encoder, and where each ends."""
    if recipe.split == "never":
        return {}, ["exported as one part, as requested"]
    if len(spec.inputs) == 1 and not (spec.presence or spec.states):
        return {}, ["exported as one part: the model has one input"]
    crossing, notes = {}, []
    for owner, names in crossing_values(index, owners, values).items():
        flops = sum(node_flops(index.graph.node[number], values) for number in ancestors(index, names, set()))
        if not names:
            notes.append(f"'{owner}' has no encoder: its first node also reads another input")
        elif flops < LEAST_ENCODER_FLOPS and recipe.split == "auto":
            notes.append(f"'{owner}' has no encoder: its {flops:,} operations cost less than running a separate part")
        else:
            crossing[owner] = names
    if not crossing:
        notes.insert(0, "exported as one part: no input has enough work of its own")
    return crossing, notes


def crossing_values(index: GraphIndex, owners: Mapping[str, str], values: Mapping[str, Value]) -> dict[str, list[str]]:
    """For every input, the values at which its encoder ends; an input without an encoder has none."""
    of_node = colours(index, owners)
    found: dict[str, list[str]] = {}
    for owner in dict.fromkeys(owners.values()):
        if owner == FUSION:
            continue
        nodes = [number for number, colour in enumerate(of_node) if colour == {owner}]
        kept = _kept_by_cut(index, nodes, [name for name, own in owners.items() if own == owner], values)
        found[owner] = _boundary(index, kept)
    return found


def colours(index: GraphIndex, owners: Mapping[str, str]) -> list[frozenset[str]]:
    """For every node, the inputs that it depends on; `owners` names each graph input's."""
    of_value: dict[str, frozenset[str]] = {name: frozenset({owner}) for name, owner in owners.items()}
    result = []
    for node in index.graph.node:
        union: frozenset[str] = frozenset().union(*(of_value.get(name, frozenset()) for name in uses(node)))
        result.append(union)
        of_value.update(dict.fromkeys(node.output, union))
    return result


def _boundary(index: GraphIndex, kept: set[int]) -> list[str]:
    """What the kept nodes make and others use, or the model gives."""
    outputs = set(index.outputs)
    made = [name for number in sorted(kept) for name in index.graph.node[number].output if name]
    return [name for name in made if name in outputs or any(user not in kept for user in index.consumers[name])]


def _kept_by_cut(index: GraphIndex, nodes: list[int], inputs: list[str], values: Mapping[str, Value]) -> set[int]:
    """The nodes on the encoder's side of the cheapest cut."""
    import networkx as nx  # type: ignore[import-untyped]  # comes with torch

    inside = set(nodes)
    flow = nx.DiGraph()
    source, sink = "encoder", "fusion"
    flow.add_node(source)
    flow.add_node(sink)
    for number in nodes:
        node = index.graph.node[number]
        flow.add_edge(source, number, capacity=PS_PER_NODE + PS_PER_FLOP * node_flops(node, dict(values)))
        for name in filter(None, node.output):
            _add_value(flow, number, name, index, inside, sink, values)
    for name in inputs:
        _add_value(flow, source, name, index, inside, sink, values)
    _, (encoder_side, _) = nx.minimum_cut(flow, source, sink)
    return {number for number in encoder_side if isinstance(number, int)}


def _add_value(  # noqa: PLR0917
    flow: object,
    maker: int | str,
    name: str,
    index: GraphIndex,
    inside: set[int],
    sink: str,
    values: Mapping[str, Value],
) -> None:
    """It costs its bytes when a user is on the other side from its maker; a user never stays behind its maker."""
    users = index.consumers[name]
    if not users:
        return
    value = f"value:{name}"
    size = values[name].size_bytes if name in values else 0
    add = flow.add_edge  # type: ignore[attr-defined]
    add(maker, value, capacity=PS_PER_BYTE * size)
    for user in users:
        if user not in inside:
            add(value, sink)  # no capacity means that it cannot be cut
        else:
            add(value, user)
            if isinstance(maker, int):
                add(user, maker)


def ancestors(index: GraphIndex, names: list[str], stop: set[str]) -> set[int]:
    """All nodes that the values need, down to the values in `stop`."""
    found: set[int] = set()
    waiting = [name for name in names if name not in stop]
    while waiting:
        number = index.producer.get(waiting.pop())
        if number is None or number in found:
            continue
        found.add(number)
        waiting += [name for name in uses(index.graph.node[number]) if name not in stop]
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

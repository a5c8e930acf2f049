"""Decides which nodes belong to which input's encoder: first by what depends on one input alone, then by a minimum cut.

The cut weighs what crosses it (moved at every tick) against work that would be done anew at every tick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mm_edge.export.graphs.work import node_flops

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mm_edge.export.graphs.graph import GraphIndex
    from mm_edge.export.graphs.work import Value

# What things cost at every tick, in picoseconds: round figures of one core. Only their ratio matters.
PS_PER_BYTE = 100  # 10 GB/s
PS_PER_FLOP = 50  # 20 GFLOP/s
PS_PER_NODE = 1_000_000  # 1 us to start a kernel
FUSION = "*"  # the colour of what depends on several inputs, on the presence or on a state


def colours(index: GraphIndex, owners: Mapping[str, str]) -> list[frozenset[str]]:
    """For every node, the inputs that it depends on; `owners` names each graph input's."""
    from mm_edge.export.graphs.graph import uses

    of_value: dict[str, frozenset[str]] = {name: frozenset({owner}) for name, owner in owners.items()}
    result = []
    for node in index.graph.node:
        union: frozenset[str] = frozenset().union(*(of_value.get(name, frozenset()) for name in uses(node)))
        result.append(union)
        of_value.update(dict.fromkeys(node.output, union))
    return result


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

"""Decides where a model is cut, and makes each part read its own inputs only.

A node belongs to the encoder of an input if it depends on that input alone, up to a minimum cut: it weighs the bytes
that cross the cut at every tick against the work that would be repeated at every tick.

A tracer writes `Shape(image)` once and uses the batch size everywhere, in the text encoder too. Each such size becomes
a value `dim:NAME`, which every part reads from one of its own inputs.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from mm_edge.export.graphs.graph import GraphIndex, dims_of, sort_nodes, uses

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from onnx import ModelProto, NodeProto

    from mm_edge.export.graphs.runner import Value
    from mm_edge.export.recipe import Recipe
    from mm_edge.spec import ModelSpec


LEAST_ENCODER_FLOPS = 200_000  # 10 us at 20 GFLOP/s: below this, starting a part costs more than running it
# Cost at every tick in picoseconds, estimated for one core. Only the ratio matters.
PS_PER_BYTE = 100  # 10 GB/s
PS_PER_FLOP = 50  # 20 GFLOP/s
PS_PER_NODE = 1_000_000  # 1 us to start a kernel
FUSION = "*"  # the owner of nodes that depend on several inputs, on the presence or on a state
PREFIX = "dim:"


def choose_cuts(
    index: GraphIndex, owners: dict[str, str], values: dict[str, Value], recipe: Recipe, spec: ModelSpec
) -> tuple[dict[str, list[str]], list[str]]:
    """The values at which the encoder of each input ends, and notes about inputs without one."""
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
    """The outputs of the kept nodes that other nodes use or that are outputs of the model."""
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
    """Adds a value: it costs its bytes if a user is on the other side of the cut; users never precede the producer."""
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
    """All nodes that the values depend on, up to the values in `stop`."""
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
    """Multiplications and additions of one run; for all but the heavy operators, one for each output value."""
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


def lift_dimensions(model: ModelProto) -> None:
    """Replaces, in place, each Shape node that returns numbers and named dimensions of the graph's inputs."""
    index = GraphIndex(model.graph)
    named = {dim for name in index.inputs for dim in dims_of(index.infos[name]) or () if isinstance(dim, str) and dim}
    nodes: list[NodeProto] = []
    for number, node in enumerate(model.graph.node):
        dims = dims_of(index.infos.get(node.input[0])) if node.op_type == "Shape" else None
        if dims is None:
            nodes.append(node)
            continue
        bounds = {attribute.name: attribute.i for attribute in node.attribute}
        wanted = dims[bounds.get("start", 0) : bounds.get("end", len(dims))]
        if not wanted or not all(isinstance(dim, int) or dim in named for dim in wanted):
            nodes.append(node)
            continue
        nodes += _rewritten(model, node, wanted, number)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _rewritten(model: ModelProto, node: NodeProto, dims: Sequence[int | str], number: int) -> list[NodeProto]:
    pieces: list[str] = []
    for axis, dim in enumerate(dims):
        if isinstance(dim, str):
            pieces.append(PREFIX + dim)
            continue
        name = f"size_{number}_{axis}"
        model.graph.initializer.append(numpy_helper.from_array(np.array([dim], np.int64), name))
        pieces.append(name)
    return [helper.make_node("Concat", pieces, [node.output[0]], axis=0)]


def bind_dimensions(model: ModelProto) -> None:
    """Adds a node for each `dim:NAME` value of the graph that reads the size from one of its own inputs."""
    index = GraphIndex(model.graph)
    wanted = sorted(
        {name for node in model.graph.node for name in uses(node) if name.startswith(PREFIX)} - set(index.producer)
    )
    added = []
    for dim in wanted:
        source = next((found for name in index.inputs if (found := _source(index, name, dim)) is not None), None)
        if source is None:
            raise ValueError(f"no input of this part has the dimension {dim.removeprefix(PREFIX)!r}")
        added.append(source)
    if added:
        model.graph.node.extend(added)
        sort_nodes(model)


def _source(index: GraphIndex, name: str, dim: str) -> NodeProto | None:
    """Reads the size from the input, or from its cast if it is uint8: TensorRT accepts such an input in Cast only."""
    info = index.infos[name]
    value = name
    if info.type.tensor_type.elem_type == TensorProto.UINT8:
        casts = [index.graph.node[user] for user in index.consumers[name] if index.graph.node[user].op_type == "Cast"]
        value = casts[0].output[0] if casts else name
    for axis, size in enumerate(dims_of(info) or ()):
        if size == dim.removeprefix(PREFIX):
            return helper.make_node("Shape", [value], [dim], start=axis, end=axis + 1)
    return None

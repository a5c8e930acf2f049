"""Takes sizes out of the data flow, so that no part reads another part's input only to learn the batch size.

A tracer writes `Shape(image)` once and uses the batch size everywhere, in the text's encoder too. Here each such size
becomes a value `dim:NAME`, and every part reads it off an input of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from .base_graph import sort_nodes
from .graph import GraphIndex, dims_of, uses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnx import ModelProto, NodeProto

PREFIX = "dim:"


def lift_dimensions(model: ModelProto) -> None:
    """Rewrites, in place, each Shape node that gives numbers and named dimensions of the graph's inputs."""
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
    """Gives a graph that uses `dim:NAME` values a node that reads each off one of the graph's own inputs."""
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
    """Reads the size off the input, or off its cast where it is uint8: TensorRT lets such an input go nowhere else."""
    info = index.infos[name]
    value = name
    if info.type.tensor_type.elem_type == TensorProto.UINT8:
        casts = [index.graph.node[user] for user in index.consumers[name] if index.graph.node[user].op_type == "Cast"]
        value = casts[0].output[0] if casts else name
    for axis, size in enumerate(dims_of(info) or ()):
        if size == dim.removeprefix(PREFIX):
            return helper.make_node("Shape", [value], [dim], start=axis, end=axis + 1)
    return None

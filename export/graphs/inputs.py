"""Rewrites how a graph reads its inputs, so that it can be split by input and built by TensorRT.

A tracer writes `Shape(image)` once and uses the batch size everywhere, in the text encoder too. Each such size becomes
a value `dim:NAME`, which every part reads from an input of its own. A uint8 input is cast first: TensorRT accepts such
an input in Cast only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from .graph import GraphIndex, dims_of, uses
from .rewrite import sort_nodes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnx import ModelProto, NodeProto
PREFIX = "dim:"
# What moves values and does not compute with them gives the same before and after a cast.
MOVING = {"Gather", "Slice", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Split", "Expand"}


def cast_first(model: ModelProto) -> None:
    """In place, for each uint8 input that other nodes read before it is cast to float."""
    for item in list(model.graph.input):
        if item.type.tensor_type.elem_type != TensorProto.UINT8:
            continue
        index = GraphIndex(model.graph)
        moved = _moved_before_cast(index, item.name)
        if not moved:
            continue
        floats = f"{item.name}_as_float"
        for name in moved:
            if (info := index.infos.get(name)) is not None:
                info.type.tensor_type.elem_type = TensorProto.FLOAT
        for node in model.graph.node:
            node.input[:] = [floats if name == item.name else name for name in node.input]
        cast = helper.make_node("Cast", [item.name], [floats], name=floats, to=TensorProto.FLOAT)
        model.graph.node.insert(0, cast)


def _moved_before_cast(index: GraphIndex, name: str) -> list[str]:
    """The uint8 values between the input and its casts; none where something else is done with one of them."""
    found: list[str] = []
    waiting = [name]
    while waiting:
        value = waiting.pop()
        if value in index.outputs:
            return []
        for user in index.consumers[value]:
            node = index.graph.node[user]
            if node.op_type == "Cast":
                if node.attribute[0].i != TensorProto.FLOAT:
                    return []
            elif node.op_type == "Shape":
                continue
            elif node.op_type in MOVING and value == node.input[0]:
                found += node.output
                waiting += node.output
            else:
                return []
    return found


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

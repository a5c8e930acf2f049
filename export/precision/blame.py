"""Finds where a reduced graph goes wrong: the node at which the error grows most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mm_edge.export.graphs.graph import GraphIndex, uses
from mm_edge.export.graphs.rounding import as_rounded
from mm_edge.export.graphs.work import intermediate_values
from mm_edge.export.verify.parity import relative_error

if TYPE_CHECKING:
    from onnx import ModelProto

    from mm_edge.export.feeds import Feed


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
        return "no value of it can be compared"
    growth = {
        name: error
        - max((errors.get(source, 0.0) for source in uses(index.graph.node[index.producer[name]])), default=0.0)
        for name, error in errors.items()
    }
    name = max(growth, key=lambda item: growth[item])
    node = index.graph.node[index.producer[name]]
    return f"node '{node.name}' ({node.op_type}), value '{name}': relative error {errors[name]:.3g}"

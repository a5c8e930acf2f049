"""Gives values of a graph other names, everywhere that they are used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import AttributeProto

from .graph import GraphIndex

if TYPE_CHECKING:
    from collections.abc import Mapping

    from onnx import GraphProto, ModelProto


def rename_values(model: ModelProto, names: Mapping[str, str]) -> None:
    """Renames in place. A value that already has one of the new names gives way."""
    index = GraphIndex(model.graph)
    there = {*index.producer, *index.initializers, *index.inputs}
    changes = {old: new for old, new in names.items() if old != new}
    for new in changes.values():
        if new in there and new not in changes:
            free = next(name for count in range(1, len(there) + 2) if (name := f"{new}_inner{count}") not in there)
            there.add(free)
            changes = {**changes, new: free}
    _rename(model.graph, changes)


def _rename(graph: GraphProto, changes: Mapping[str, str]) -> None:
    for item in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        item.name = changes.get(item.name, item.name)
    for node in graph.node:
        node.input[:] = [changes.get(name, name) for name in node.input]
        node.output[:] = [changes.get(name, name) for name in node.output]
        for attribute in node.attribute:
            for body in [attribute.g] if attribute.type == AttributeProto.GRAPH else list(attribute.graphs):
                _rename(body, changes)

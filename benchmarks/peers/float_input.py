"""Adds a float input to a graph, for libraries that preprocess pictures themselves: values from 0 to 1, channels first.
Four small nodes and the metadata that Ultralytics reads; the graph and its weights are unchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto, helper

if TYPE_CHECKING:
    from pathlib import Path

NAME = "images"
LEVELS = 255.0


def with_float_input(model: Path, made: Path, classes: int) -> Path:
    graph_file = onnx.load(model)
    graph = graph_file.graph
    old = graph.input[0]
    batch, height, width, channels = (each.dim_value or 1 for each in old.type.tensor_type.shape.dim)
    levels = helper.make_tensor("peer_levels", TensorProto.FLOAT, [], [LEVELS])
    nodes = [
        helper.make_node("Mul", [NAME, levels.name], ["peer_scaled"]),
        helper.make_node("Round", ["peer_scaled"], ["peer_rounded"]),
        helper.make_node("Cast", ["peer_rounded"], ["peer_bytes"], to=TensorProto.UINT8),
        helper.make_node("Transpose", ["peer_bytes"], [old.name], perm=[0, 2, 3, 1]),
    ]
    graph.input.remove(old)
    graph.input.insert(0, helper.make_tensor_value_info(NAME, TensorProto.FLOAT, [batch, channels, height, width]))
    graph.initializer.append(levels)
    for node in reversed(nodes):
        graph.node.insert(0, node)
    properties = {
        "task": "classify",
        "stride": "1",
        "batch": str(batch),
        "imgsz": str([height, width]),
        "names": str({number: f"class {number}" for number in range(classes)}),
    }
    helper.set_model_props(graph_file, properties)
    onnx.checker.check_model(graph_file)
    onnx.save(graph_file, made)
    return made

"""The graph that fp16 and int8 are made from: constants and norms folded, nodes named, types known."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
from onnx import ModelProto

from mm_edge.errors import WorkFailedError

from .graph import uses
from .runner import Runner
from .weights import put_aside

if TYPE_CHECKING:
    from collections.abc import Iterable

LOG = logging.getLogger("mm_edge.export")
STANDARD_DOMAINS = {"", "ai.onnx"}


def base_graph(model: ModelProto, weights: Path | None = None) -> ModelProto:
    """Standard operators only, to serve every engine. Q/DQ pairs would keep a batch norm from its convolution.

    Large weights are put aside in the folder `weights`.
    """
    with tempfile.TemporaryDirectory(prefix="mm-edge-base-") as folder:
        path = Path(folder) / "base.onnx"
        Runner(model, optimize="basic", optimized=path)
        optimized = onnx.load(str(path))
    if any(node.domain not in STANDARD_DOMAINS for node in optimized.graph.node):
        LOG.debug("the optimizer used operators of its own; the graph is taken as it was")
        optimized = ModelProto()
        optimized.CopyFrom(model)
    del optimized.opset_import[:]
    optimized.opset_import.extend(item for item in model.opset_import if item.domain in STANDARD_DOMAINS)
    name_nodes(optimized)
    return typed(optimized if weights is None else put_aside(optimized, weights))


def name_nodes(model: ModelProto) -> None:
    """A name of its own for every node: block lists and messages go by name."""
    taken: set[str] = set()
    for number, node in enumerate(model.graph.node):
        if not node.name or node.name in taken:
            node.name = f"{node.op_type}_{number}"
        taken.add(node.name)


def typed(model: ModelProto) -> ModelProto:
    """With the type of every value, as far as ONNX can infer it."""
    try:
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        raise WorkFailedError(str(error).strip(), action="inferring the types of a graph") from error


def sort_nodes(model: ModelProto) -> None:
    """Puts the nodes in topological order, in place: ONNX demands it and TensorRT's parser relies on it."""
    ready = {item.name for item in (*model.graph.input, *model.graph.initializer)} | {""}
    waiting = list(model.graph.node)
    made = {name for node in waiting for name in node.output}
    ordered = []
    users: dict[str, list[int]] = {}
    missing: dict[int, int] = {}
    for number, node in enumerate(waiting):
        needed = {name for name in uses(node) if name in made and name not in ready}
        missing[number] = len(needed)
        for name in needed:
            users.setdefault(name, []).append(number)
    stack = [number for number in reversed(range(len(waiting))) if missing[number] == 0]
    while stack:
        number = stack.pop()
        ordered.append(waiting[number])
        for name in waiting[number].output:
            for user in users.get(name, ()):
                missing[user] -= 1
                if missing[user] == 0:
                    stack.append(user)
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in ordered]
    del model.graph.node[:]
    model.graph.node.extend(copies)


def ancestors_of(model: ModelProto, names: Iterable[str]) -> set[str]:
    """The names of all nodes that lead to the nodes named, those themselves included."""
    wanted = set(names)
    needed: set[str] = set()
    found: set[str] = set()
    for node in reversed(model.graph.node):
        if node.name in wanted or any(name in needed for name in node.output):
            found.add(node.name)
            needed.update(uses(node))
    return found

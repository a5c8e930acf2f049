"""A model from an ONNX file, with a spec in TOML or a guessed one that is printed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from mm_edge.errors import UsageError
from mm_edge.export.feeds import graph_inputs, graph_outputs
from mm_edge.export.graphs.graph import OPSET, strip
from mm_edge.export.graphs.runner import Runner
from mm_edge.export.model import SourceModel
from mm_edge.spec import BATCH, ModelSpec, TextInput

from .onnx_front_end import prepend_pictures, to_pixels
from .onnx_guess import guess_spec, tidy
from .onnx_spec import read_spec, spec_toml

if TYPE_CHECKING:
    from onnx import ModelProto

    from mm_edge.export.feeds import Feed
    from mm_edge.export.recipe import Recipe

    from .onnx_spec import ForeignSpec

RUNNABLE_DOMAINS = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft"}
OLDEST_OPSET = 13


def from_onnx_file(source: str, recipe: Recipe) -> SourceModel:
    path = Path(source)
    graph = _load(path)
    notes: list[str] = []
    if recipe.spec:
        foreign, folder = read_spec(Path(recipe.spec)), Path(recipe.spec).parent
    else:
        foreign, guessed = guess_spec(graph, path)
        folder = path.parent
        notes.append(
            "the spec was guessed; save what follows as a file, correct it, and give it with --spec:\n"
            + spec_toml(foreign)
        )
        notes += guessed
    tidy(graph, foreign.rename)
    _check_names(graph, foreign, path)
    original = onnx.ModelProto()
    original.CopyFrom(graph)
    runner = Runner(original, optimize="none")
    prepend_pictures(graph, foreign)
    _name_batch(graph, foreign.model)
    graph = _newer(graph, notes)
    fixed = not any(dim.dim_param == BATCH for item in graph.graph.input for dim in item.type.tensor_type.shape.dim)

    def reference(feed: Feed) -> Feed:
        """The original graph with its original preprocessing."""
        return runner(
            {
                name: to_pixels(value, foreign.front_end[name]) if name in foreign.front_end else value
                for name, value in feed.items()
            }
        )

    files: dict[str, bytes | Path] = {name: folder / file for name, file in foreign.tokenizers.items()}
    for item in foreign.model.inputs:
        if isinstance(item, TextInput) and item.prepare.tokenizer not in files:
            raise UsageError(
                f"no file is given for the tokenizer '{item.prepare.tokenizer}'",
                action=f"reading {path.name}",
                hint="Name it under [tokenizers] in the spec",
            )
    if fixed:
        notes.append("the batch is fixed in the graph")
    return SourceModel(
        foreign.model,
        strip(graph),
        reference,
        path.name,
        files=files,
        vocabulary=_vocabulary(graph, foreign.model),
        fixed_batch=fixed,
        notes=notes,
    )


def _load(path: Path) -> ModelProto:
    action = f"reading {path}"
    try:
        graph = onnx.load(str(path))  # external data too
        onnx.checker.check_model(graph)
    except FileNotFoundError as error:
        raise UsageError(
            f"there is no file {Path(error.filename or path).name}",
            action=action,
            hint="A model with external data needs those files beside it",
        ) from None
    except Exception as error:  # noqa: BLE001  # the library's exceptions share no base class
        raise UsageError(
            str(error).strip().splitlines()[0], action=action, hint="Check it: python -m onnx.checker"
        ) from None
    opset = next((item.version for item in graph.opset_import if item.domain in {"", "ai.onnx"}), 0)
    if opset < OLDEST_OPSET:
        raise UsageError(
            f"it has opset {opset}", action=action, hint=f"Export it again with opset {OLDEST_OPSET} or newer"
        )
    _check_operators(graph, action)
    return graph


def _check_operators(graph: ModelProto, action: str) -> None:
    """Reports the node; the engine would report only the operator."""
    functions = {(item.domain, item.name) for item in graph.functions}
    for node in graph.graph.node:
        if node.domain not in RUNNABLE_DOMAINS and (node.domain, node.op_type) not in functions:
            raise UsageError(
                f"node '{node.name or node.output[0]}' is the operator {node.op_type} of the domain {node.domain}, "
                "which no engine here has",
                action=action,
                hint="Export the model with standard operators, or with that operator as a function of the model",
            )


def _newer(graph: ModelProto, notes: list[str]) -> ModelProto:
    """Converts the graph to the opset of all exports; fp16 scales of Q/DQ require opset 19."""
    opset = next(item.version for item in graph.opset_import if item.domain in {"", "ai.onnx"})
    if opset >= OPSET:
        return graph
    try:
        return onnx.version_converter.convert_version(graph, OPSET)
    except Exception as error:  # noqa: BLE001  # the library's exceptions share no base class
        notes.append(f"opset {opset} is kept, int8 for TensorRT may be refused: {str(error).strip().splitlines()[0]}")
        return graph


def _check_names(graph: ModelProto, foreign: ForeignSpec, path: Path) -> None:
    weights = {item.name for item in graph.graph.initializer}
    there = {item.name for item in graph.graph.input} - weights
    wanted = {tensor.name for tensor in graph_inputs(foreign.model)}
    if there != wanted:
        raise UsageError(
            f"the graph takes {sorted(there)}, the spec {sorted(wanted)}",
            action=f"reading {path.name}",
            hint="[rename] in the spec maps the graph's names",
        )
    if missing := sorted(set(graph_outputs(foreign.model)) - {item.name for item in graph.graph.output}):
        raise UsageError(
            f"the graph does not give {missing}",
            action=f"reading {path.name}",
            hint="`reads` in the spec names the graph's outputs",
        )
    kept = [item for item in graph.graph.output if item.name in graph_outputs(foreign.model)]
    del graph.graph.output[:]
    graph.graph.output.extend(kept)


def _name_batch(graph: ModelProto, spec: ModelSpec) -> None:
    """Names the variable first dimension of every input `batch`."""
    names = {tensor.name: tensor.shape for tensor in graph_inputs(spec)}
    called: dict[str, str] = {}
    for item in graph.graph.input:
        for dim, wanted in zip(item.type.tensor_type.shape.dim, names.get(item.name, ()), strict=False):
            if isinstance(wanted, str) and not dim.HasField("dim_value"):
                called[dim.dim_param] = wanted
                dim.dim_param = wanted
            elif isinstance(wanted, int) and not dim.HasField("dim_value"):
                dim.dim_value = wanted
    for item in (*graph.graph.output, *graph.graph.value_info):
        for dim in item.type.tensor_type.shape.dim:
            if dim.dim_param in called:
                dim.dim_param = called[dim.dim_param]


def _vocabulary(graph: ModelProto, spec: ModelSpec) -> dict[str, int]:
    """The number of ids of each text input: the size of the embedding table that it indexes."""
    sizes = {item.name: item.dims[0] for item in graph.graph.initializer if len(item.dims) == 2}
    found = {}
    for item in spec.inputs:
        if isinstance(item, TextInput):
            tables = [
                sizes[node.input[0]]
                for node in graph.graph.node
                if node.op_type == "Gather" and node.input[1] == item.name and node.input[0] in sizes
            ]
            found[item.name] = min(tables, default=2)
    return found

"""Splits a graph by input: what depends on one input alone becomes its encoder, the rest the fusion."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from onnx import ModelProto, helper

from mm_edge.bundle.manifest import Read
from mm_edge.errors import WorkFailedError
from mm_edge.export.feeds import PRESENCE, fixed_shape, graph_inputs, graph_outputs, owner_of, random_feed
from mm_edge.export.graphs.cast_first import cast_first
from mm_edge.export.graphs.dimensions import bind_dimensions, lift_dimensions
from mm_edge.export.graphs.graph import DTYPES, ELEMENT_TYPES, GraphIndex, parameter_count, subgraph, uses
from mm_edge.export.graphs.rename import rename_values
from mm_edge.export.graphs.work import Value, measure_values, node_flops
from mm_edge.spec import BATCH, TensorSpec

from .cut import FUSION, crossing_values

if TYPE_CHECKING:
    from onnx import ValueInfoProto

    from mm_edge.export.model import SourceModel
    from mm_edge.export.recipe import Recipe
    from mm_edge.spec import DType, ModelSpec

LEAST_ENCODER_FLOPS = 200_000  # below this, starting a part costs more than running it: 10 us at 20 GFLOP/s
FUSE = "fuse"


@dataclass
class PartGraph:
    """One part before it is packed: its fp32 graph and how it is fed."""

    name: str
    kind: Literal["encode", "fuse", "decode"]
    graph: ModelProto
    reads: dict[str, Read]
    takes: tuple[TensorSpec, ...]
    gives: tuple[TensorSpec, ...]
    flops: int = 0
    parameters: int = 0
    note: str = ""

    @property
    def stands_alone(self) -> bool:
        """It reads no other part: what it gives in the chain is what it gives by itself."""
        return not any(read.source.startswith("part:") for read in self.reads.values())


@dataclass
class Split:
    """A model in parts. `outputs` tells which part gives each of the model's output tensors."""

    parts: list[PartGraph]
    outputs: dict[str, str]
    notes: list[str] = field(default_factory=list)
    crossing_bytes: int = 0

    def part(self, name: str) -> PartGraph:
        return next(part for part in self.parts if part.name == name)

    def saved_when_only(self, name: str) -> float:
        """The share of the work that is not done when only this input has something new."""
        total = sum(part.flops for part in self.parts)
        idle = sum(part.flops for part in self.parts if part.kind == "encode" and part.name != f"encode_{name}")
        return idle / total if total else 0.0


def split_model(model: SourceModel, recipe: Recipe) -> Split:
    """The parts of the model, or the whole as one part with the reason why."""
    graph = ModelProto()
    graph.CopyFrom(model.graph)
    cast_first(graph)
    lift_dimensions(graph)
    index = GraphIndex(graph.graph)
    bound = ModelProto()
    bound.CopyFrom(graph)
    bind_dimensions(bound)
    values = measure_values(bound, random_feed(model.spec, 0, None, model.vocabulary))
    owners = {tensor.name: owner_of(tensor.name) for tensor in graph_inputs(model.spec)}
    owners |= {name: FUSION for name in (PRESENCE, *(state.name for state in model.spec.states)) if name in owners}
    crossing, notes = _choose(index, owners, values, recipe, model.spec)
    shapes = _named_shapes(bound, model, values, sorted({name for names in crossing.values() for name in names}))
    return _build(graph, model.spec, crossing, shapes, values, notes)


def _choose(
    index: GraphIndex, owners: dict[str, str], values: dict[str, Value], recipe: Recipe, spec: ModelSpec
) -> tuple[dict[str, list[str]], list[str]]:
    """Which inputs get an encoder, and where each ends."""
    if recipe.split == "never":
        return {}, ["kept whole, as asked"]
    if len(spec.inputs) == 1 and not (spec.presence or spec.states):
        return {}, ["kept whole: it has one input"]
    crossing, notes = {}, []
    for owner, names in crossing_values(index, owners, values).items():
        flops = sum(node_flops(index.graph.node[number], values) for number in _ancestors(index, names, set()))
        if not names:
            notes.append(f"'{owner}' has no encoder: it meets the other inputs at once")
        elif flops < LEAST_ENCODER_FLOPS and recipe.split == "auto":
            notes.append(f"'{owner}' has no encoder of its own: {flops:,} operations cost less than starting a part")
        else:
            crossing[owner] = names
    if not crossing:
        notes.insert(0, "kept whole: no input has work of its own that is worth a part")
    return crossing, notes


def _ancestors(index: GraphIndex, names: list[str], stop: set[str]) -> set[int]:
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


def _named_shapes(
    graph: ModelProto, model: SourceModel, values: dict[str, Value], names: list[str]
) -> dict[str, tuple[int | str, ...]]:
    """Shapes with names for what varies: from the run that gave `values`, and one with other sizes of what is named."""
    named = sorted({dim for tensor in graph_inputs(model.spec) for dim in tensor.shape if isinstance(dim, str)})
    if not names or model.fixed_batch:
        return {name: values[name].shape for name in names}
    usual = dict(zip(named, fixed_shape(model.spec, tuple(named)), strict=True))
    other = {dim: size + 1 + place for place, (dim, size) in enumerate(usual.items())}
    changed = measure_values(graph, random_feed(model.spec, 0, other, model.vocabulary), names)
    shapes: dict[str, tuple[int | str, ...]] = {}
    for name in names:
        dims: list[int | str] = []
        for a, b in zip(values[name].shape, changed[name].shape, strict=True):
            match = next((dim for dim in named if (usual[dim], other[dim]) == (a, b)), None)
            if a != b and match is None:
                raise WorkFailedError(
                    f"'{name}' has a dimension that varies with the data ({a}, then {b})",
                    action="splitting the model",
                    hint="Export it whole: --split never",
                )
            dims.append(a if match is None else match)
        shapes[name] = tuple(dims)
    return shapes


def _build(  # noqa: PLR0917
    graph: ModelProto,
    spec: ModelSpec,
    crossing: dict[str, list[str]],
    shapes: dict[str, tuple[int | str, ...]],
    values: dict[str, Value],
    notes: list[str],
) -> Split:
    index = GraphIndex(graph.graph)
    outputs = list(graph_outputs(spec))
    inputs = {tensor.name: tensor for tensor in graph_inputs(spec)}
    split = Split([], {}, notes)
    given: dict[
        str, tuple[str, TensorSpec]
    ] = {}  # what the parts so far give: where it comes from, by the whole graph's name
    order = [item.name for item in spec.inputs if item.name in crossing]
    for owner in order:
        name = f"encode_{owner}"
        inner = [value for value in crossing[owner] if value not in outputs]
        public = {
            value: value if value in outputs else "embedding" + (f"_{place}" if len(inner) > 1 else "")
            for place, value in enumerate(crossing[owner])
        }
        if len(inner) > 1:
            public |= {value: f"embedding_{place}" for place, value in enumerate(inner)}
        gives = {value: TensorSpec(public[value], _dtype(values[value]), shapes[value]) for value in crossing[owner]}
        split.parts.append(_part(index, graph, name, "encode", gives, {}, inputs, values))
        given |= {value: (f"part:{name}.{tensor.name}", tensor) for value, tensor in gives.items()}
    rest = [name for name in outputs if name not in given]
    if rest:
        gives = {name: TensorSpec(name, _dtype(values[name]), _output_shape(index, name, values)) for name in rest}
        part = _part(index, graph, FUSE, "fuse", gives, given, inputs, values)
        part.reads = {name: _with_state(read, spec) for name, read in part.reads.items()}
        part.note = "; ".join(notes)
        split.parts.append(part)
    split.outputs = {name: given[name][0] if name in given else f"part:{FUSE}.{name}" for name in outputs}
    split.crossing_bytes = sum(values[value].size_bytes for value in given if index.consumers[value])
    return split


def _output_shape(index: GraphIndex, name: str, values: dict[str, Value]) -> tuple[int | str, ...]:
    from mm_edge.export.graphs.graph import dims_of

    dims = dims_of(index.infos.get(name))
    if dims is None or not all(dims):
        return (BATCH, *values[name].shape[1:])
    return tuple(dims)


def _with_state(read: Read, spec: ModelSpec) -> Read:
    output = next((state.output for state in spec.states if read.source == f"input:{state.name}"), None)
    return Read(f"state:{output}") if output else read


def _part(  # noqa: PLR0917
    index: GraphIndex,
    graph: ModelProto,
    name: str,
    kind: Literal["encode", "fuse"],
    gives: dict[str, TensorSpec],
    given: dict[str, tuple[str, TensorSpec]],
    inputs: dict[str, TensorSpec],
    values: dict[str, Value],
) -> PartGraph:
    nodes = _ancestors(index, list(gives), set(given))
    used = {value for number in nodes for value in uses(index.graph.node[number])}
    takes: dict[str, TensorSpec] = {}
    reads: dict[str, Read] = {}
    for value, tensor in inputs.items():
        if value in used:
            takes[value] = tensor
            reads[value] = Read(PRESENCE if value == PRESENCE else f"input:{value}")
    for value, (source, tensor) in given.items():
        if value in used:
            public = _fusion_name(source)
            takes[value] = TensorSpec(public, tensor.dtype, tensor.shape)
            reads[public] = Read(source)
    infos_in = [_info(value, tensor) for value, tensor in takes.items()]
    infos_out = [_info(value, tensor) for value, tensor in gives.items()]
    part = subgraph(graph, nodes, infos_in, infos_out, name)
    bind_dimensions(part)
    rename_values(part, {value: tensor.name for value, tensor in (takes | gives).items()})
    return PartGraph(
        name=name,
        kind=kind,
        graph=part,
        reads=reads,
        takes=tuple(takes.values()),
        gives=tuple(gives.values()),
        flops=sum(node_flops(index.graph.node[number], values) for number in nodes),
        parameters=parameter_count(part),
    )


def _fusion_name(source: str) -> str:
    """From part:encode_image.embedding to image_embedding."""
    return re.sub(r"^part:(?:encode_)?", "", source).replace(".", "_")


def _info(name: str, tensor: TensorSpec) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, ELEMENT_TYPES[tensor.dtype], list(tensor.shape))


def _dtype(value: Value) -> DType:
    return DTYPES[helper.np_dtype_to_tensor_dtype(value.dtype)]

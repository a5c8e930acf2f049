"""Splits a graph by input: what depends on one input alone becomes that input's encoder, the rest the fusion."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from onnx import ModelProto, helper

from mm_edge.bundle.manifest import Read
from mm_edge.errors import WorkFailedError
from mm_edge.export.feeds import PRESENCE, fixed_shape, graph_inputs, graph_outputs, owner_of, random_feed
from mm_edge.export.graphs.front_end import cast_first, transpose_second
from mm_edge.export.graphs.graph import (
    DTYPES,
    ELEMENT_TYPES,
    GraphIndex,
    dims_of,
    parameter_count,
    rename_values,
    subgraph,
    uses,
)
from mm_edge.export.graphs.runner import Value, measure_values
from mm_edge.spec import BATCH, TensorSpec

from .cut import FUSION, ancestors, bind_dimensions, choose_cuts, lift_dimensions, node_flops

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from onnx import ValueInfoProto

    from mm_edge.export.feeds import Array, Feed
    from mm_edge.export.model import SourceModel
    from mm_edge.export.recipe import Recipe

    Pairs: TypeAlias = list[tuple[Feed, Feed]]  # a feed, and the outputs of the fp32 part for it
    from mm_edge.spec import DType, ModelSpec


FUSE = "fuse"


@dataclass(frozen=True)
class PartGraph:
    """One part before it is packed: its fp32 graph, and where each of its inputs comes from."""

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
        """Whether it reads no other part, so that its outputs are the same in every chain."""
        return not any(read.source.startswith("part:") for read in self.reads.values())

    def feed(self, values: Mapping[str, Array]) -> Feed:
        """Its inputs, taken from the values of a chain by reference (`input:image`, `part:encode_image.embedding`)."""
        return {name: values[read.source] for name, read in self.reads.items()}

    def outputs(self, values: Mapping[str, Array]) -> Feed:
        """Its outputs, taken from the values of a chain, by its own names."""
        return {tensor.name: values[f"part:{self.name}.{tensor.name}"] for tensor in self.gives}

    def by_reference(self, outputs: Feed) -> dict[str, Array]:
        """The opposite of `outputs`."""
        return {f"part:{self.name}.{name}": value for name, value in outputs.items()}


@dataclass(frozen=True)
class SplitModel:
    """A model in parts. `outputs` maps each of the model's output tensors to the part that computes it."""

    source: SourceModel
    parts: tuple[PartGraph, ...]
    outputs: dict[str, str]
    notes: tuple[str, ...] = ()
    crossing_bytes: int = 0

    def part(self, name: str) -> PartGraph:
        return next(part for part in self.parts if part.name == name)

    def values_of(self, feed: Feed) -> dict[str, Array]:
        """A feed of the whole model by reference: `input:NAME`, `presence`, `state:OUTPUT`."""
        states = {state.name: f"state:{state.output}" for state in self.source.spec.states}
        return {states.get(name, name if name == PRESENCE else f"input:{name}"): value for name, value in feed.items()}

    def outputs_of(self, values: Mapping[str, Array]) -> Feed:
        """The model's output tensors, taken from the values of a chain."""
        return {name: values[source] for name, source in self.outputs.items()}

    def saved_when_only(self, name: str) -> float:
        """The share of the work that is skipped when only this input changes."""
        total = sum(part.flops for part in self.parts)
        idle = sum(part.flops for part in self.parts if part.kind == "encode" and part.name != f"encode_{name}")
        return idle / total if total else 0.0

    def makers(self) -> dict[str, str]:
        """The node that computes each tensor that a part gives, for error messages."""
        return {
            name: f"node '{node.name}' ({node.op_type}) of '{part.name}'"
            for part in self.parts
            for node in part.graph.graph.node
            for name in node.output
            if name in {tensor.name for tensor in part.gives}
        }


def split_model(model: SourceModel, recipe: Recipe) -> SplitModel:
    """Splits the model into parts, or into one part with a note that gives the reason."""
    graph = ModelProto()
    graph.CopyFrom(model.graph)
    cast_first(graph)
    lift_dimensions(graph)
    transpose_second(graph)
    index = GraphIndex(graph.graph)
    bound = ModelProto()
    bound.CopyFrom(graph)
    bind_dimensions(bound)
    values = measure_values(bound, random_feed(model.spec, 0, None, model.vocabulary))
    owners = {tensor.name: owner_of(tensor.name) for tensor in graph_inputs(model.spec)}
    owners |= {name: FUSION for name in (PRESENCE, *(state.name for state in model.spec.states)) if name in owners}
    crossing, notes = choose_cuts(index, owners, values, recipe, model.spec)
    shapes = _named_shapes(bound, model, values, sorted({name for names in crossing.values() for name in names}))
    return _build(graph, model, crossing, shapes, values, notes)


def _named_shapes(
    graph: ModelProto, model: SourceModel, values: dict[str, Value], names: list[str]
) -> dict[str, tuple[int | str, ...]]:
    """Shapes with named dimensions, found by comparing `values` with a run in which every named size differs."""
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
    model: SourceModel,
    crossing: dict[str, list[str]],
    shapes: dict[str, tuple[int | str, ...]],
    values: dict[str, Value],
    notes: list[str],
) -> SplitModel:
    index, spec = GraphIndex(graph.graph), model.spec
    outputs = list(graph_outputs(spec))
    inputs = {tensor.name: tensor for tensor in graph_inputs(spec)}
    parts: list[PartGraph] = []
    given: dict[str, tuple[str, TensorSpec]] = {}  # outputs of the parts so far, by their name in the whole graph
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
        parts.append(_part(index, graph, name, "encode", gives, {}, inputs, values))
        given |= {value: (f"part:{name}.{tensor.name}", tensor) for value, tensor in gives.items()}
    rest = [name for name in outputs if name not in given]
    if rest:
        gives = {name: TensorSpec(name, _dtype(values[name]), _output_shape(index, name, values)) for name in rest}
        part = _part(index, graph, FUSE, "fuse", gives, given, inputs, values)
        reads = {name: _with_state(read, spec) for name, read in part.reads.items()}
        parts.append(replace(part, reads=reads, note="; ".join(notes)))
    return SplitModel(
        source=model,
        parts=tuple(parts),
        outputs={name: given[name][0] if name in given else f"part:{FUSE}.{name}" for name in outputs},
        notes=tuple(notes),
        crossing_bytes=sum(values[value].size_bytes for value in given if index.consumers[value]),
    )


def _output_shape(index: GraphIndex, name: str, values: dict[str, Value]) -> tuple[int | str, ...]:
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
    nodes = ancestors(index, list(gives), set(given))
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


@dataclass(frozen=True)
class Fp32Parts:
    """The fp32 parts as files, and all values of their chain for the samples, by reference."""

    paths: dict[str, Path]
    unseen: list[dict[str, Array]]
    calibration: list[dict[str, Array]]
    spare: list[dict[str, Array]]

    @property
    def searched_on(self) -> list[dict[str, Array]]:
        return [*self.spare, *self.calibration] or self.unseen


@dataclass(frozen=True)
class PartSamples:
    """The feeds of one part, and the outputs of the fp32 part for them."""

    calibration: list[Feed]
    unseen: list[Feed]
    unseen_outputs: list[Feed]
    searched_on: Pairs  # a search uses the first ones

    @classmethod
    def of(cls, part: PartGraph, fp32: Fp32Parts) -> PartSamples:
        return cls(
            calibration=[part.feed(values) for values in fp32.calibration],
            unseen=[part.feed(values) for values in fp32.unseen],
            unseen_outputs=[part.outputs(values) for values in fp32.unseen],
            searched_on=[(part.feed(values), part.outputs(values)) for values in fp32.searched_on],
        )

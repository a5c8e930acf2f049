"""The plan of a bundle: its parts as stages, in an order in which they can run."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from mm_edge.runtime.decode import decoder
from mm_edge.runtime.prepare import prompts_of
from mm_edge.spec import ImageInput, SimilarityOutput, TextInput, TextOutput, VideoInput

from .decode_stage import STATE, TOKEN, DecodeStage, Decoding, Feed, GenerateStage
from .stages import HistoryStage, PartStage, PrepareStage, PresenceStage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mm_edge.bundle.manifest import Manifest, Part, Read
    from mm_edge.runtime.engine import Engine, Executable
    from mm_edge.runtime.prepare import Preparer

    from .stage import Stage


class Plan(Struct, frozen=True):
    """Stages, each after those it needs; the last one decodes."""

    stages: tuple[Stage, ...]
    width: int  # how many parts can run at the same time for one moment

    def own_places(self, depth: int) -> None:
        """Allocates all buffers for `depth` moments in flight and the newest result, which the next moment may reuse.
        In an in-order stage each moment also reads the previous result, and moments may finish out of order.
        """
        for stage in self.stages:
            stage.own_places(2 * depth if stage.in_order else depth + 1)

    def drop_places(self) -> None:
        for stage in self.stages:
            stage.drop_places()

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(stage.label for stage in self.stages if not stage.silent)


class _Builder:
    """Adds a stage when another one reads it; a part that no output depends on gets none."""

    def __init__(
        self,
        manifest: Manifest,
        executables: Mapping[str, Executable],
        engine: Engine,
        preparers: Mapping[str, Preparer],
        read_file: Callable[[str], bytes],
    ) -> None:
        self.manifest, self.executables, self.engine = manifest, executables, engine
        self.preparers, self.read_file = preparers, read_file
        self.stages: list[Stage] = []
        self._found: dict[str, int] = {}

    def build(self) -> Plan:
        texts = {output.part: output for output in self.manifest.outputs if isinstance(output, TextOutput)}
        wanted = _parts_behind_outputs(self.manifest)
        for part in self.manifest.parts:
            if part.name not in texts and part.name in wanted:
                self._found[f"part:{part.name}"] = self._add(self._part(part))
        # Decode parts run last: they may read any other part.
        for name, output in texts.items():
            self._found[f"part:{name}"] = self._add(self._generate(output))
        self._add(self._decode())
        width = sum(
            isinstance(stage, PartStage) and not any(isinstance(self.stages[i], PartStage) for i in stage.needs)
            for stage in self.stages
        )
        return Plan(tuple(self.stages), max(1, width))

    def _add(self, stage: Stage) -> int:
        stage.index = len(self.stages)
        self.stages.append(stage)
        return stage.index

    def _once(self, name: str, make: Callable[[], Stage]) -> int:
        if name not in self._found:
            self._found[name] = self._add(make())
        return self._found[name]

    def _part(self, part: Part) -> PartStage:
        needs: list[int] = []
        feeds: list[tuple[int, str]] = []
        states: list[tuple[int, str]] = []
        for tensor in part.takes:
            read = part.reads[tensor.name]
            if read.source.startswith("state:"):
                states.append((len(feeds), read.source.removeprefix("state:")))
                feeds.append((-1, ""))
                continue
            stage, name = self._source(read)
            feeds.append((_position(needs, stage), name))
        for index, name in states:
            feeds[index] = (len(needs), name)  # just after the needed stages: the part's own newest result
        return PartStage(part, self.executables[part.name], needs, feeds)

    def _source(self, read: Read) -> tuple[int, str]:
        """The stage that gives what `read` names, and the name of the tensor in that stage."""
        stage, name = self._source_now(read.source)
        if read.history == 1:
            return stage, name
        shape, dtype = self._shape(read.source)
        label = f"{read.source} x {read.history}"
        return self._once(
            label, lambda: HistoryStage(stage, name, read.history, self.engine, shape=shape, dtype=dtype)
        ), ""

    def _source_now(self, source: str) -> tuple[int, str]:
        kind, _, rest = source.partition(":")
        base, _, field = rest.partition(".")
        if kind == "input":
            return self._once(f"input:{base}", partial(self._prepare, base)), field
        if kind == "presence":
            names = [spec.name for spec in self.manifest.inputs]
            return self._once("presence", lambda: PresenceStage(names, self.engine, self.manifest.usual("batch"))), ""
        return self._found[f"part:{base}"], field

    def _on_host(self, stage: int, tensor: str) -> None:
        """Marks a tensor that is read on the host, so that a device copies it there right after the run."""
        part = self.stages[stage]
        if isinstance(part, PartStage):
            part.to_host.add(tensor)

    def _prepare(self, name: str) -> PrepareStage:
        made = self.preparers[name]
        shapes = {field: self.manifest.fixed(spec.shape) for field, spec in made.fields.items()}
        return PrepareStage(name, made, self.engine, shapes)

    def _shape(self, source: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        kind, _, rest = source.partition(":")
        base, _, field = rest.partition(".")
        if kind == "input":
            spec = self.manifest.input(base)
            return self.manifest.fixed(spec.shape), np.dtype(spec.dtype)
        tensor = next(tensor for tensor in self.manifest.part(base).gives if tensor.name == field)
        return self.manifest.fixed(tensor.shape), np.dtype(tensor.dtype)

    def _generate(self, output: TextOutput) -> GenerateStage:
        part = self.manifest.part(output.part)
        needs: list[int] = []
        feeds: list[Feed] = []
        token: tuple[tuple[int, ...], np.dtype[Any]] = ((1, 1), np.dtype(np.int64))
        for tensor in part.takes:
            source = part.reads[tensor.name].source
            if source == "loop:token":
                token = (self.manifest.fixed(tensor.shape), np.dtype(tensor.dtype))
                feeds.append(Feed(TOKEN, ""))
            elif source.startswith("state:"):
                feeds.append(Feed(STATE, source.removeprefix("state:")))
            else:
                stage, name = self._source(part.reads[tensor.name])
                feeds.append(Feed(_position(needs, stage), name))
        return GenerateStage(output, self.executables[part.name], self.engine, needs=needs, feeds=feeds, token=token)

    def _decode(self) -> DecodeStage:
        needs: list[int] = []
        decodings = []
        for output in self.manifest.outputs:
            if isinstance(output, TextOutput):
                roles = {"tokens": (_position(needs, self._found[f"part:{output.part}"]), "")}
            else:
                found = {role: self._source_now(source) for role, source in output.reads.items()}
                for stage, name in found.values():
                    self._on_host(stage, name)
                roles = {str(role): (_position(needs, stage), name) for role, (stage, name) in found.items()}
            decodings.append(Decoding(decoder(output, self.manifest, self.read_file), roles))
        shown = {output.input for output in self.manifest.outputs if hasattr(output, "input")}
        pictures = [
            spec.name
            for spec in self.manifest.inputs
            if isinstance(spec, (ImageInput, VideoInput)) and spec.name in shown
        ]
        geometries = {
            name: _position(needs, self._found[f"input:{name}"]) for name in pictures if f"input:{name}" in self._found
        }
        requested = {output.input for output in self.manifest.outputs if isinstance(output, SimilarityOutput)}
        prompts = {
            spec.name: partial(_prompts, most=spec.prepare.prompts)
            for spec in self.manifest.inputs
            if isinstance(spec, TextInput) and spec.name in requested
        }
        return DecodeStage(decodings, needs, geometries, prompts)


def share_results(plans: Sequence[Plan], driver: str) -> None:
    """Lets the plans of several streams use each other's results of the stages that do not depend on `driver`, so that
    a text or sound is encoded once for all of them. Called before the plans own places: these are shared too.
    """
    shared: set[int] = set()
    for stages in zip(*(plan.stages for plan in plans), strict=True):
        first = stages[0]
        if isinstance(first, PrepareStage):
            is_shared = first.input != driver
        else:
            is_shared = bool(first.needs) and shared.issuperset(first.needs) and not first.ends_moment
        if is_shared and not first.in_order:
            shared.add(first.index)
            for stage in stages:
                stage.free, stage.twins = first.free, tuple(other for other in stages if other is not stage)


def build_plan(
    manifest: Manifest,
    executables: Mapping[str, Executable],
    engine: Engine,
    preparers: Mapping[str, Preparer],
    read_file: Callable[[str], bytes],
) -> Plan:
    return _Builder(manifest, executables, engine, preparers, read_file).build()


def _parts_behind_outputs(manifest: Manifest) -> set[str]:
    """The parts that some output needs, directly or through others."""
    sources = [source for output in manifest.outputs for source in output.reads.values()]
    sources += [f"part:{output.part}." for output in manifest.outputs if isinstance(output, TextOutput)]
    wanted: set[str] = set()
    while sources:
        kind, _, rest = sources.pop().partition(":")
        name = rest.partition(".")[0]
        if kind == "part" and name not in wanted:
            wanted.add(name)
            sources += [read.source for read in manifest.part(name).reads.values()]
    return wanted


def _position(needs: list[int], stage: int) -> int:
    if stage not in needs:
        needs.append(stage)
    return needs.index(stage)


def _prompts(text: str, most: int) -> tuple[str, ...]:
    return tuple(prompts_of(text)[:most]) if most > 1 else (text,)

"""Reads samples from a take by playing it through the runtime's own sources, aligner and preparation."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mm_edge.config import EngineConfig, RunConfig, SourcesConfig
from mm_edge.errors import InputError, SourceLostError, UsageError
from mm_edge.export.feeds import MASK_SUFFIX, PRESENCE, random_feed
from mm_edge.export.graphs.weights import save
from mm_edge.export.package.pack import write
from mm_edge.export.package.verified_model import VerifiedModel
from mm_edge.export.recipe import Recipe
from mm_edge.export.split.partition import split_model
from mm_edge.sample import Event, Prediction

if TYPE_CHECKING:
    from collections.abc import Callable

    from mm_edge.export.feeds import Feed
    from mm_edge.export.model import SourceModel
    from mm_edge.runtime.prepare import Preparer
    from mm_edge.runtime.sink import RunInfo, Summary


FAILED_STATES = {"lost", "failed"}  # of a source, of the engine


def read_take(folder: Path, model: SourceModel, count: int) -> list[Feed]:
    """Feeds of ticks at even distances: all, or between `count` and twice as many. A take that fails is an error."""
    from mm_edge.runtime.prepare import preparer
    from mm_edge.runtime.session.open import open_session

    prepare = {item.name: preparer(item, lambda name: _bytes(model, name)) for item in model.spec.inputs}
    ticks = Ticks(count, lambda prediction: _feed(prediction, model, prepare))
    action = f"playing the take {folder.name}"
    with tempfile.TemporaryDirectory(prefix="mm-edge-take-") as work:
        bundle = Path(work) / "whole.mmb"
        _write_unsplit(bundle, model, Path(work))
        config = RunConfig(
            sources=SourcesConfig(speed="max"), engine=EngineConfig(name="onnxruntime", precision="fp32")
        )
        with open_session(bundle, take=folder, config=config, sinks=[ticks]) as live:
            live.wait()
        try:
            live.raise_error()  # a missing package, for example: no fault of the take
        except (UsageError, SourceLostError) as error:
            ticks.failure = ticks.failure or str(error)
        if ticks.failure:
            raise InputError(
                f"{ticks.failure}; {ticks.seen} ticks were read until then",
                action=action,
                hint="Repair it or end it before that place: part of a take does not stand for all of it",
            )
    if not ticks.kept:
        raise InputError(
            "it produced no tick",
            action=action,
            hint="It must contain the input that drives the model, for example camera.mp4",
        )
    return ticks.kept


class Ticks:
    """A sink that keeps ticks at even distances, at most twice `count`: how many a take has is not known before."""

    name = "calibration"
    wants_samples = True

    def __init__(self, count: int, feed_of: Callable[[Prediction], Feed]) -> None:
        self.count, self.feed_of = count, feed_of
        self.kept: list[Feed] = []
        self.seen = 0
        self.failure = ""
        self._every = 1

    def open(self, run: RunInfo) -> None:
        """Nothing to open."""

    def take(self, item: Prediction | Event | Summary) -> None:
        if isinstance(item, Event):
            if item.state in FAILED_STATES and not self.failure:
                self.failure = f"{item.source}: {item.detail}"
        elif isinstance(item, Prediction):
            if self.seen % self._every == 0:
                self._keep(self.feed_of(item))
            self.seen += 1

    def close(self) -> None:
        """Nothing to close."""

    def _keep(self, feed: Feed) -> None:
        if len(self.kept) == 2 * self.count:  # the next one is at the new distance too
            self.kept = self.kept[::2]
            self._every *= 2
        self.kept.append(feed)


def _feed(prediction: Prediction, model: SourceModel, prepare: dict[str, Preparer]) -> Feed:
    """The feed of the graph at this tick; a missing input is zeros, and marked as missing in the presence."""
    feed: Feed = {}
    present = []
    for item in model.spec.inputs:
        sample = prediction.sources.get(item.name)
        present.append(sample is not None)
        fields = prepare[item.name].fields
        arrays = {
            key: np.zeros([dim if isinstance(dim, int) else 1 for dim in field.shape], np.dtype(field.dtype))
            for key, field in fields.items()
        }
        if sample is not None:
            prepare[item.name].write(sample.payload, arrays)
        feed |= {item.name + (MASK_SUFFIX if key else ""): array for key, array in arrays.items()}
    if model.spec.presence:
        feed[PRESENCE] = np.array([present], np.float32)
    return feed


def _write_unsplit(target: Path, model: SourceModel, work: Path) -> None:
    """The model as one fp32 part: all that the runtime needs to play the take."""
    recipe = Recipe(split="never", golden=1)
    split = split_model(model, recipe)
    (part,) = split.parts
    path = work / "whole.onnx"
    save(part.graph, path)
    golden = [random_feed(model.spec, 0, None, model.vocabulary)]
    write(target, VerifiedModel(split, {part.name: {"fp32": path}}, golden), {}, recipe)


def _bytes(model: SourceModel, name: str) -> bytes:
    content = model.files[name]
    return content if isinstance(content, bytes) else Path(content).read_bytes()

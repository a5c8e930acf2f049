"""Reads samples from a take by playing it through the runtime's own sources, aligner and preparation."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mm_edge.config import EngineConfig, RunConfig, SourcesConfig
from mm_edge.errors import InputError
from mm_edge.export.feeds import MASK_SUFFIX, PRESENCE, random_feed
from mm_edge.export.graphs.graph import save
from mm_edge.export.package.pack import write
from mm_edge.export.package.verified_model import VerifiedModel
from mm_edge.export.recipe import Recipe
from mm_edge.export.split.partition import split_model

if TYPE_CHECKING:
    from mm_edge.export.feeds import Feed
    from mm_edge.export.model import SourceModel
    from mm_edge.runtime.prepare import Preparer
    from mm_edge.sample import Prediction


def read_take(folder: Path, model: SourceModel) -> list[Feed]:
    """One feed for each tick of the take."""
    from mm_edge.runtime.prepare import preparer
    from mm_edge.runtime.session.open import open_session

    prepare = {item.name: preparer(item, lambda name: _bytes(model, name)) for item in model.spec.inputs}
    feeds: list[Feed] = []
    with tempfile.TemporaryDirectory(prefix="mm-edge-take-") as work:
        bundle = Path(work) / "whole.mmb"
        _write_unsplit(bundle, model, Path(work))
        config = RunConfig(
            sources=SourcesConfig(speed="max"), engine=EngineConfig(name="onnxruntime", precision="fp32")
        )
        with open_session(
            bundle, take=folder, config=config, on_prediction=lambda p: feeds.append(_feed(p, model, prepare))
        ) as live:
            live.wait()
    if not feeds:
        raise InputError(
            "it produced no tick",
            action=f"playing the take {folder.name}",
            hint="It must contain the input that drives the model, for example camera.mp4",
        )
    return feeds


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

"""Gathers the samples of an export: real ones, or random inputs when there are none."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mm_edge.errors import InputError
from mm_edge.export.feeds import check_feed, complete_feed, fixed_shape, graph_inputs, random_feed
from mm_edge.export.model import Dataset
from mm_edge.export.workspace import digest_of_feeds
from mm_edge.spec import modality_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mm_edge.export.feeds import Feed
    from mm_edge.export.model import SourceModel
    from mm_edge.export.recipe import Recipe
    from mm_edge.spec import ModelSpec

RANDOM_NOTE = "no samples were given, so parity was verified on random inputs only; give samples with --calibrate"
UNSEEN_SEED = 10_000  # not a seed that verified the trace
LEAST_SAMPLES = 4


def gather_dataset(model: SourceModel, recipe: Recipe) -> Dataset:
    """Samples from the recipe's folder, else from the source, else random ones. The last samples stay unseen."""
    found, source = _samples_of(model, recipe)
    if found is None:
        unseen = [
            random_feed(model.spec, UNSEEN_SEED + number, None, model.vocabulary) for number in range(recipe.unseen)
        ]
        return Dataset([], unseen, "random", "random", _golden(unseen, model.spec, recipe), notes=(RANDOM_NOTE,))
    action = f"reading the samples of {source}"
    feeds = [
        check_feed(complete_feed(feed, model.spec), graph_inputs(model.spec), action)
        for feed in islice(found, _most(recipe))
    ]
    if len(feeds) < LEAST_SAMPLES:
        raise InputError(
            f"found {len(feeds)} samples",
            action=action,
            hint=f"Give at least {LEAST_SAMPLES}, preferably 32: most are calibrated on, the rest verified on",
        )
    kept = min(recipe.unseen, max(1, len(feeds) // 4))
    seen, unseen = feeds[:-kept], feeds[-kept:]
    calibration = seen[: recipe.samples]
    check_variety(calibration, model.spec, action)
    labelled = model.labelled if recipe.calibrate is None else None
    return Dataset(
        calibration=calibration,
        unseen=unseen,
        kind="unseen",
        source=source,
        golden=_golden(unseen + calibration, model.spec, recipe),
        labelled=list(labelled(recipe.unseen * 8)) if labelled is not None else (),
        spare=seen[recipe.samples :],
        digest=digest_of_feeds(calibration),
    )


def _most(recipe: Recipe) -> int:
    """How many samples are read: to calibrate on, to search on, to verify on."""
    return recipe.samples + recipe.samples // 2 + recipe.unseen


def _golden(feeds: Sequence[Feed], spec: ModelSpec, recipe: Recipe) -> list[Feed]:
    """Golden samples start with empty states, as a run does."""
    zeros = {state.name: np.zeros(fixed_shape(spec, state.shape), np.dtype(state.dtype)) for state in spec.states}
    return [{**feed, **zeros} for feed in feeds[: recipe.golden]]


def _samples_of(model: SourceModel, recipe: Recipe) -> tuple[Iterable[Feed] | None, str]:
    if recipe.calibrate is not None:
        from .samples import read_samples

        return read_samples(Path(recipe.calibrate), model, _most(recipe)), Path(recipe.calibrate).resolve().name
    if model.samples is not None:
        return model.samples(_most(recipe)), model.origin
    return None, "random"


def check_variety(feeds: Sequence[Feed], spec: ModelSpec, action: str) -> None:
    """Rejects constant samples: ranges calibrated on them would not cover real inputs."""
    for item in spec.inputs:
        values = [feed[item.name] for feed in feeds]
        if modality_of(item) == "text":
            continue  # the same sentence in every sample is normal
        if all(np.array_equal(values[0], value) for value in values[1:]):
            raise InputError(
                f"'{item.name}' is the same in all {len(feeds)} samples",
                action=action,
                hint="Give samples from real operation",
            )
        if all(value.min() == value.max() for value in values):
            raise InputError(
                f"'{item.name}' is constant within every sample",
                action=action,
                hint="Give samples from real operation",
            )

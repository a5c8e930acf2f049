"""What the export calibrates and proves on: samples of the world, or random inputs where there are none."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from mm_edge.errors import InputError
from mm_edge.export.feeds import PRESENCE, check_feed, fixed_shape, graph_inputs, random_feed
from mm_edge.export.store import digest_of_feeds
from mm_edge.spec import modality_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mm_edge.export.feeds import Feed
    from mm_edge.export.model import Labelled, SourceModel
    from mm_edge.export.recipe import Recipe
    from mm_edge.spec import ModelSpec

RANDOM_NOTE = "no samples were given, so parity was proven on random inputs only; give some with --calibrate"
UNSEEN_SEED = 10_000  # random feeds to prove on come from other seeds than those that verified the trace


@dataclass
class Data:
    """Feeds of batch 1. `calibration` is empty when there is nothing real to calibrate on.

    `spare` ones were not calibrated on either, and nothing is proven on them: the searches look at them, who would
    else see no value that leaves the calibrated ranges. A small set leaves none to spare.
    """

    calibration: list[Feed]
    unseen: list[Feed]
    kind: Literal["unseen", "random"]
    source: str
    golden: list[Feed]
    labelled: list[Labelled] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    spare: list[Feed] = field(default_factory=list)

    @property
    def digest(self) -> str:
        """Of every byte that was calibrated on."""
        return digest_of_feeds(self.calibration)


def gather_data(model: SourceModel, recipe: Recipe) -> Data:
    """Samples named by the recipe, else the source's own, else random ones. The last are kept unseen."""
    given, source = _given(model, recipe)
    if given is None:
        unseen = [
            random_feed(model.spec, UNSEEN_SEED + number, None, model.vocabulary) for number in range(recipe.unseen)
        ]
        return Data([], unseen, "random", "random", _golden(unseen, model.spec, recipe), notes=[RANDOM_NOTE])
    action = f"reading the samples of {source}"
    feeds = [
        check_feed(completed(feed, model.spec), graph_inputs(model.spec), action)
        for feed in islice(given, _most(recipe))
    ]
    if len(feeds) < 4:
        raise InputError(
            f"{len(feeds)} samples",
            action=action,
            hint="Give at least 4, better 32: most to calibrate on, the rest to prove on",
        )
    kept = min(recipe.unseen, max(1, len(feeds) // 4))
    seen, unseen = feeds[:-kept], feeds[-kept:]
    calibration, spare = seen[: recipe.samples], seen[recipe.samples :]
    check_variety(calibration, model.spec, action)
    labelled = (
        list(model.labelled(recipe.unseen * 8)) if model.labelled is not None and recipe.calibrate is None else []
    )
    golden = _golden(unseen + calibration, model.spec, recipe)
    return Data(calibration, unseen, "unseen", source, golden, labelled, spare=spare)


def _most(recipe: Recipe) -> int:
    """Samples that are asked for: to calibrate on, to spare for the searches, to prove on."""
    return recipe.samples + recipe.samples // 2 + recipe.unseen


def completed(feed: Feed, spec: ModelSpec) -> Feed:
    """A sample need not name what is not of the world: all inputs are present, and states are zeros."""
    filled = dict(feed)
    if spec.presence:
        filled.setdefault(PRESENCE, np.ones((1, len(spec.inputs)), np.float32))
    for state in spec.states:
        filled.setdefault(state.name, np.zeros(fixed_shape(spec, state.shape), np.dtype(state.dtype)))
    return filled


def _golden(feeds: Sequence[Feed], spec: ModelSpec, recipe: Recipe) -> list[Feed]:
    """Golden samples start with empty states, as a run does."""
    zeros = {state.name: np.zeros(fixed_shape(spec, state.shape), np.dtype(state.dtype)) for state in spec.states}
    return [{**feed, **zeros} for feed in feeds[: recipe.golden]]


def _given(model: SourceModel, recipe: Recipe) -> tuple[Iterable[Feed] | None, str]:
    if recipe.calibrate is not None:
        from .samples import read_samples

        return read_samples(Path(recipe.calibrate), model, _most(recipe)), Path(recipe.calibrate).resolve().name
    if model.samples is not None:
        return model.samples(_most(recipe)), model.origin
    return None, "random"


def check_variety(feeds: Sequence[Feed], spec: ModelSpec, action: str) -> None:
    """A set that never changes, or is flat, calibrates ranges that the world will leave."""
    for item in spec.inputs:
        values = [feed[item.name] for feed in feeds]
        if modality_of(item) == "text":
            continue  # a robot may well be told the same sentence all day
        if all(np.array_equal(values[0], value) for value in values[1:]):
            raise InputError(
                f"'{item.name}' is the same in all {len(feeds)} samples",
                action=action,
                hint="Give samples of what the model will really meet",
            )
        if all(value.min() == value.max() for value in values):
            raise InputError(
                f"'{item.name}' is constant within every sample",
                action=action,
                hint="Give samples of what the model will really meet",
            )

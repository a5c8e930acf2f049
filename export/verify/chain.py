"""Runs a model's parts one after another, each fed with what its reads name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mm_edge.bundle.manifest import Read
    from mm_edge.export.feeds import Array, Feed
    from mm_edge.export.graphs.runner import Runner
    from mm_edge.export.split.partition import PartGraph

STATE = "state:"


def sources_of(feed: Feed, states: Mapping[str, str]) -> dict[str, Array]:
    """A whole graph's feed by reference (`input:NAME`, `presence`, `state:OUTPUT`). `states`: input to output."""
    named = {}
    for name, value in feed.items():
        if name in states:
            named[STATE + states[name]] = value
        else:
            named[name if name == "presence" else f"input:{name}"] = value
    return named


def part_feed(reads: Mapping[str, Read], values: Mapping[str, Array]) -> Feed:
    return {name: values[read.source] for name, read in reads.items()}


def part_outputs(part: PartGraph, values: Mapping[str, Array]) -> Feed:
    """What the part gave in a run of the chain, by its own names."""
    return {tensor.name: values[f"part:{part.name}.{tensor.name}"] for tensor in part.gives}


def run_part(part: PartGraph, runner: Runner, values: dict[str, Array]) -> None:
    """Adds what the part makes of what is there."""
    made = runner(part_feed(part.reads, values))
    values |= {f"part:{part.name}.{name}": value for name, value in made.items()}


def run_chain(
    parts: Sequence[PartGraph], runners: Mapping[str, Runner], values: Mapping[str, Array]
) -> dict[str, Array]:
    """Everything that was fed or made, by reference (`input:image`, `part:fuse.logits`)."""
    known = dict(values)
    for part in parts:
        run_part(part, runners[part.name], known)
    return known


def run_one_by_one(
    parts: Sequence[PartGraph], opened: Callable[[PartGraph], Runner], values: Sequence[dict[str, Array]]
) -> None:
    """The same for many samples at once, in place, with one part loaded at a time: each holds its weights once more."""
    for part in parts:
        runner = opened(part)
        for known in values:
            run_part(part, runner, known)
        del runner  # before the next one is opened

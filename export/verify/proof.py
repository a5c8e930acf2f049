"""Proves that the parts in a chain are the model: against the whole graph, and against where the model came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mm_edge.errors import WorkFailedError
from mm_edge.export.feeds import graph_inputs, random_feed
from mm_edge.export.graphs.runner import ALL_CORES, Runner, run_all

from .chain import run_chain, run_one_by_one, sources_of
from .parity import relative_error

if TYPE_CHECKING:
    from mm_edge.export.feeds import Feed
    from mm_edge.export.model import SourceModel
    from mm_edge.export.split.partition import Split

CHAIN_TOLERANCE = 1e-6
BATCHES = (1, 3)


def prove_split(model: SourceModel, split: Split) -> float:
    """The parts against the whole fp32 graph on random inputs of several batch sizes; gives the largest relative error.

    Both run without the engine's optimizer: what is proven is that the cut lost nothing, not how kernels round. One
    graph is loaded at a time, as each holds its weights once more.
    """
    states = {state.name: state.output for state in model.spec.states}
    sizes = (1,) if model.fixed_batch else BATCHES
    feeds = [_feed(model, 100 + seed, size) for seed, size in enumerate(sizes)]
    wanted = run_all(Runner(model.graph, threads=ALL_CORES, optimize="none"), feeds)
    made = [sources_of(feed, states) for feed in feeds]
    run_one_by_one(split.parts, lambda part: Runner(part.graph, threads=ALL_CORES, optimize="none"), made)
    largest = 0.0
    for size, values, given in zip(sizes, made, wanted, strict=True):
        for name, value in given.items():
            error = relative_error(values[split.outputs[name]], value)
            largest = max(largest, error)
            if error > CHAIN_TOLERANCE:
                raise WorkFailedError(
                    f"'{name}' of the chained parts is off by {error:.2g} (relative, batch {size})",
                    action="proving the split",
                    hint="Export it whole: --split never",
                )
    return largest


def _feed(model: SourceModel, seed: int, size: int) -> Feed:
    """Every dimension that varies has a size of its own, but for the smallest, where all are 1."""
    named = sorted({dim for tensor in graph_inputs(model.spec) for dim in tensor.shape if isinstance(dim, str)})
    sizes = {dim: size + place for place, dim in enumerate(named)} if size > 1 else dict.fromkeys(named, 1)
    return random_feed(model.spec, seed, sizes, model.vocabulary)


def chain_outputs(split: Split, runners: dict[str, Runner], feed: Feed, states: dict[str, str]) -> Feed:
    """What the chained parts give for the model's own output tensors."""
    made = run_chain(split.parts, runners, sources_of(feed, states))
    return {name: made[source] for name, source in split.outputs.items()}

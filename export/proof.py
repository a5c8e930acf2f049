"""Proves that the parts in a chain are the model: against the whole graph, and against where the model came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mm_edge.errors import WorkFailedError

from .chain import run_chain, sources_of
from .feeds import graph_inputs, random_feed
from .parity import relative_error
from .runner import Runner

if TYPE_CHECKING:
    from .feeds import Feed
    from .model import SourceModel
    from .partition import Split

CHAIN_TOLERANCE = 1e-6
BATCHES = (1, 2, 5)


def prove_split(model: SourceModel, split: Split) -> float:
    """The parts against the whole fp32 graph on random inputs of several batch sizes; gives the largest relative error.

    Both run without the engine's optimizer: what is proven is that the cut lost nothing, not how kernels round.
    """
    whole = Runner(model.graph, optimize="none")
    runners = {part.name: Runner(part.graph, optimize="none") for part in split.parts}
    states = {state.name: state.output for state in model.spec.states}
    named = sorted({dim for tensor in graph_inputs(model.spec) for dim in tensor.shape if isinstance(dim, str)})
    largest = 0.0
    for seed, size in enumerate((1,) if model.fixed_batch else BATCHES):
        sizes = {dim: size + place for place, dim in enumerate(named)} if size > 1 else dict.fromkeys(named, 1)
        feed = random_feed(model.spec, 100 + seed, sizes, model.vocabulary)
        wanted = whole(feed)
        made = run_chain(split.parts, runners, sources_of(feed, states))
        for name, value in wanted.items():
            error = relative_error(made[split.outputs[name]], value)
            largest = max(largest, error)
            if error > CHAIN_TOLERANCE:
                raise WorkFailedError(
                    f"'{name}' of the chained parts is off by {error:.2g} (relative, batch {size})",
                    asked="proving the split",
                    todo="Export it whole: --split never",
                )
    return largest


def chain_outputs(split: Split, runners: dict[str, Runner], feed: Feed, states: dict[str, str]) -> Feed:
    """What the chained parts give for the model's own output tensors."""
    made = run_chain(split.parts, runners, sources_of(feed, states))
    return {name: made[source] for name, source in split.outputs.items()}

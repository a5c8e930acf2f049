"""One part in one reduced precision: makes it, searches for what must stay fp32, measures what it costs and loses."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

import mm_edge
from mm_edge.errors import MmEdgeError
from mm_edge.export.graphs.base_graph import base_graph
from mm_edge.export.graphs.graph import save
from mm_edge.export.graphs.restore import restored
from mm_edge.export.graphs.rounding import as_rounded
from mm_edge.export.graphs.runner import ALL_CORES, Runner, open_artefact, race, run_all
from mm_edge.export.graphs.weights import WEIGHTS, digest_of_model, put_aside
from mm_edge.export.store import Store, digest_of, digest_of_feeds
from mm_edge.export.verify.parity import relative_error, usual_norm
from mm_edge.onnx_runtime import import_onnxruntime

from .bisect import Search, smallest_remainder
from .blame import worst_node
from .fp16 import fp32_by_nature, to_fp16
from .int8 import (
    CALIBRATED,
    FORMS,
    HEAVY,
    calibrate,
    fp16_between,
    quantizable,
    rounded_outputs,
    to_int8_cpu,
    to_int8_trt_in_fp32,
)
from .sensitivity import harms_of_fp16, harms_of_int8, ranked, share_of_work

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from onnx import ModelProto

    from mm_edge.bundle.manifest import Precision
    from mm_edge.export.feeds import Feed
    from mm_edge.export.recipe import Recipe
    from mm_edge.export.split.partition import PartGraph

    from .int8 import Form
    from .sensitivity import Harm

    Maker: TypeAlias = Callable[[frozenset[str]], ModelProto]
    Pairs: TypeAlias = list[tuple[Feed, Feed]]  # what is fed, and what the part in fp32 gives for it


LOG = logging.getLogger("mm_edge.export")
SEARCH_SAMPLES, SEARCH_SAMPLES_OF_LARGE = 8, 4  # the search looks at a few samples; the proof, at unseen ones
SEARCH_MARGIN = 0.7  # of the tolerance, because unseen samples lose a little more
STRICTER = 3  # times that the search is tried again with half of what was allowed
MOST_KEPT = 2 / 3  # of a part's work; with more of it in fp32 a reduced precision hardly pays
FAILED = float("inf")
LARGE_PARAMETERS, LARGE_WORK = 20_000_000, 5_000_000_000  # such a part takes seconds a trial: one form, fewer trials
LARGE_TRIALS = 12


@dataclass
class Candidate:
    """A part in a precision, with what was measured. `loss` is the relative error of its worst output and sample."""

    part: str
    precision: Precision
    path: Path
    loss: float
    kept: frozenset[str] = frozenset()
    ms: float | None = None
    fp32_ms: float | None = None  # of the same part in the same minute
    size: int = 0
    trials: int = 0
    form: Form | None = None  # of int8 for the CPU
    note: str = ""
    stopped: bool = False  # the search ran out of time: more is kept in fp32 than must be
    given: list[Feed] | None = None  # for the unseen samples, while the export that made it runs


RECORDED = ("part", "precision", "loss", "ms", "fp32_ms", "size", "trials", "form", "note", "stopped")


@dataclass
class PartWork:
    """A part with what its candidates share: the base graph, the samples, the ranges of its values."""

    part: PartGraph
    recipe: Recipe
    folder: Path
    calibration: list[Feed]
    proof: list[Feed]
    wanted_proof: list[Feed]  # what the part in fp32 gives for them
    looked_at: Pairs  # by searches, the first ones first
    store: Store
    share: float = 1.0  # of the tolerance: parts that fail alone are searched so that they pass together
    failure: str = ""  # why the last precision could not be had
    kept: dict[Precision, frozenset[str]] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=count)  # of the files that were written
    _quantized: dict[Form | None, ModelProto] = field(default_factory=dict)  # with nothing kept
    _harms: dict[bool, list[Harm]] = field(default_factory=dict)  # of fp16, and of both kinds of int8

    @cached_property
    def base(self) -> ModelProto:
        return base_graph(self.part.graph, self.weights)

    @property
    def weights(self) -> Path:
        """Where the large weights of every graph of this part lie while it is worked on."""
        return self.folder / WEIGHTS

    @property
    def large(self) -> bool:
        return self.part.parameters >= LARGE_PARAMETERS or self.part.flops >= LARGE_WORK

    @property
    def most_kept(self) -> float:
        """The share of the work beyond which a precision is given up, unless it was asked for by name."""
        return 1.0 if self.recipe.precisions else MOST_KEPT

    @cached_property
    def _heavy(self) -> frozenset[str]:
        """Where the work is: a graph that keeps all of these in fp32 has not been reduced."""
        return frozenset(
            node.name for node in self.base.graph.node if node.op_type in {*HEAVY, "Einsum", "GRU", "LSTM", "RNN"}
        )

    @cached_property
    def ranges(self) -> Any:
        kinds = CALIBRATED if "integers" in self._forms("int8-cpu") else HEAVY
        return calibrate(self.base, self.calibration, self.recipe.method, kinds)

    @cached_property
    def seen(self) -> Pairs:
        """What the search looks at: a few samples, and what the part in fp32 gives for them."""
        return self.looked_at[: SEARCH_SAMPLES_OF_LARGE if self.large else SEARCH_SAMPLES]

    def make(self, precision: Precision, tolerance: float) -> Candidate | None:
        """The best candidate within `tolerance`, or None; what was found before an interruption is taken."""
        key = self._key(precision, tolerance)
        if (found := self.store.get(key)) is not None:
            record, file = found
            self.kept[precision] = frozenset(record.pop("kept"))
            return Candidate(path=file, kept=self.kept[precision], **record)
        candidate = self._make(precision, tolerance)
        if candidate is not None:
            record = {name: getattr(candidate, name) for name in RECORDED}
            self.store.put(key, {**record, "kept": sorted(candidate.kept)}, candidate.path)
        return candidate

    def _key(self, precision: Precision, tolerance: float) -> str:
        onnxruntime = import_onnxruntime()
        recipe = msgspec.json.encode(self.recipe)
        return digest_of(
            self._content,
            self._samples,
            precision,
            f"{tolerance} {self.share}",
            recipe,
            *RECORDED,
            onnxruntime.__version__,
            mm_edge.__version__,
        )

    @cached_property
    def _content(self) -> str:
        return digest_of_model(self.part.graph)

    @cached_property
    def _samples(self) -> str:
        return digest_of_feeds([*self.calibration, *self.proof, *(feed for feed, _ in self.seen)])

    def trial(self, candidate: Candidate, kept: frozenset[str]) -> ModelProto:
        """The candidate's graph with other nodes in fp32, to be looked at in a search."""
        return self._trials(candidate.precision, candidate.form)(kept)

    def reducible(self, precision: Precision) -> list[str]:
        """The nodes whose precision is in question, in order."""
        return _reducible(self.base, precision)

    def nothing_is_left(self, precision: Precision, kept: Collection[str]) -> bool:
        """Whether a graph that keeps these in fp32 is an fp32 graph in all that costs time."""
        kept = {*kept, *self.recipe.keep_fp32}
        return kept >= set(self.reducible(precision)) or bool(self._heavy and kept >= self._heavy)

    def hardly_pays(self, precision: Precision, kept: Collection[str]) -> bool:
        """Whether so much stays in fp32 that the part is better off in the wider type altogether."""
        return self.nothing_is_left(precision, kept) or (
            self.most_kept < 1 and bool(kept) and share_of_work(self.harms(precision), kept) > self.most_kept
        )

    def harms(self, precision: Precision) -> list[Harm]:
        """What each node in question loses by itself; both kinds of int8 go by the one for TensorRT."""
        half = precision == "fp16"
        if half not in self._harms:
            feeds = [feed for feed, _ in self.seen]
            nodes = set(self.reducible(precision))
            if half:
                self._harms[half] = harms_of_fp16(self.base, nodes, feeds)
            else:
                quantized = self._quantized_keeping(frozenset(), None)
                self._harms[half] = harms_of_int8(self.base, quantized, nodes, feeds)
        return self._harms[half]

    def widened(self, candidate: Candidate, kept: frozenset[str], form: Form | None) -> Candidate:
        """The candidate with more nodes in fp32, or in another form, measured again."""
        made = self._written(candidate.precision, form, kept)
        made.trials = candidate.trials
        return self._fastest([made]) if candidate.precision == "int8-cpu" else made

    def _make(self, precision: Precision, tolerance: float) -> Candidate | None:
        self.failure = ""
        if not self.reducible(precision):
            return None
        found = [self._within(precision, form, tolerance) for form in self._forms(precision)]
        results = [candidate for candidate in found if candidate is not None]
        if not results:
            if not self.failure:
                reduced = self._maker(precision, self._forms(precision)[-1])(frozenset())
                culprit = worst_node(self.base, reduced, self.seen[0][0])
                self.failure = f"nothing in it can be reduced within {tolerance:g}: {culprit}"
            return None
        return self._fastest(results) if precision == "int8-cpu" else results[0]

    def _fastest(self, results: list[Candidate]) -> Candidate:
        graphs = {str(place): item.path for place, item in enumerate(results)}
        threads = self.recipe.threads
        runners = {name: Runner(path, threads=threads) for name, path in graphs.items()}
        times = race({"fp32": Runner(self.part.graph, threads=threads), **runners}, self.proof[0])
        for place, item in enumerate(results):
            item.ms, item.fp32_ms = times[str(place)], times["fp32"]
        return min(results, key=lambda item: item.ms or 0.0)

    def _forms(self, precision: Precision) -> tuple[Form | None, ...]:
        if precision != "int8-cpu":
            return (None,)
        return FORMS[:1] if self.large else FORMS

    def _maker(self, precision: Precision, form: Form | None) -> Maker:
        if precision == "fp16":
            return lambda kept: to_fp16(self.base, kept | frozenset(self.recipe.keep_fp32))

        def make(kept: frozenset[str]) -> ModelProto:
            quantized = self._quantized_keeping(kept, form)
            return fp16_between(quantized, kept | set(self.recipe.keep_fp32)) if form is None else quantized

        return make

    def _quantized_keeping(self, kept: frozenset[str], form: Form | None) -> ModelProto:
        """In int8 and fp32. What keeps more in fp32 is made from what keeps nothing: weights are quantized once."""
        if form == "integers" and kept:  # that form quantizes more than the nodes in question
            return self._quantize(kept, form)
        if form not in self._quantized:
            self._quantized[form] = self._quantize(frozenset(), form)
        if not kept:
            return self._quantized[form]
        active = set(self.reducible("int8-cpu")) - set(self.recipe.keep_fp32)
        return restored(self._quantized[form], self.base, kept, active, rounded_outputs(form))

    def _quantize(self, kept: frozenset[str], form: Form | None) -> ModelProto:
        fixed = kept | frozenset(self.recipe.keep_fp32)
        if form is None:
            made = to_int8_trt_in_fp32(self.base, self.ranges, fixed)
        else:
            made = to_int8_cpu(self.base, self.ranges, fixed, form=form)
        return put_aside(made, self.weights)

    def _trials(self, precision: Precision, form: Form | None) -> Maker:
        """Quick graphs for a search. Of int8 for TensorRT they lack the fp16 between, which the proof has."""
        if precision == "fp16":
            maker = self._maker(precision, form)
            return lambda kept: as_rounded(maker(kept))
        return lambda kept: self._quantized_keeping(kept, form)

    def _within(self, precision: Precision, form: Form | None, tolerance: float) -> Candidate | None:
        """All of it reduced, if that loses little enough; else what is found to keep the least in fp32."""
        if (candidate := self._proven(precision, form, frozenset(), tolerance)) is not None:
            candidate.trials = 1
            return candidate
        trials = self._trials(precision, form)
        search: Search[str] = Search(
            lambda kept: self._trial_loss(trials(kept)),
            tolerance * SEARCH_MARGIN * self.share,
            seconds=self.recipe.search_seconds,
            known={frozenset(): FAILED},
        )
        if self.large:
            search.most_trials = LARGE_TRIALS
        for _ in range(1 + STRICTER):
            kept = self._remainder(precision, search)
            if kept is None:
                return None
            if (candidate := self._proven(precision, form, kept, tolerance)) is not None:
                candidate.trials, candidate.stopped = 1 + search.trials, search.stopped
                self.kept.setdefault(precision, kept)
                return candidate
            # What passed on the samples of the search lost more on unseen ones: half of what was allowed.
            search.tolerance /= 2
            search.most_trials += search.trials
        return None

    def _remainder(self, precision: Precision, search: Search[str]) -> frozenset[str] | None:
        """What one kind of int8 keeps in fp32 is the first guess for the other."""
        known = self.kept.get(precision) or self.kept.get("int8-cpu" if precision == "int8-trt" else "int8-trt")
        if known and search.passes(known):
            return known
        harms = self.harms(precision)
        order = ranked(harms)
        order += sorted(set(self.reducible(precision)) - set(order))
        longest = next(
            (place for place in range(len(order)) if share_of_work(harms, order[: place + 1]) > self.most_kept),
            len(order),
        )
        kept = smallest_remainder(order, search, longest)
        if kept is None and longest < len(order):
            worst = max(harms, key=lambda harm: harm.loss)
            self.failure = (
                f"to lose at most {search.tolerance:.2g}, more than {self.most_kept:.0%} of its work would have to "
                f"stay fp32; node '{worst.node}' ({worst.kind}) alone loses {worst.loss:.2g} of what it gives"
            )
        return kept

    def _trial_loss(self, graph: ModelProto) -> float:
        """A graph that does not even load has lost everything; why is in the log."""
        try:
            got = run_all(Runner(graph, threads=ALL_CORES), [feed for feed, _ in self.seen])
        except MmEdgeError as error:
            LOG.debug("%s: %s", self.part.name, error)
            return FAILED
        return _loss(got, [given for _, given in self.seen])

    def _proven(
        self, precision: Precision, form: Form | None, kept: frozenset[str], tolerance: float
    ) -> Candidate | None:
        """The candidate as a file, if it passes on the unseen samples and anything in it is reduced at all."""
        if self.nothing_is_left(precision, kept):
            return None
        try:
            found = self._written(precision, form, kept)
        except MmEdgeError as error:
            LOG.debug("%s: %s", self.part.name, error)
            return None
        if found.loss <= tolerance:
            return found
        found.path.unlink()
        return None

    def _written(self, precision: Precision, form: Form | None, kept: frozenset[str]) -> Candidate:
        """What is measured is the file that may be packed."""
        path = self.folder / f"{self.part.name}.{precision}.{next(self._numbers)}.onnx"
        save(self._maker(precision, form)(kept), path)
        given = run_all(open_artefact(path, precision, threads=ALL_CORES), self.proof)
        loss, size = _loss(given, self.wanted_proof), path.stat().st_size
        return Candidate(self.part.name, precision, path, loss, kept, size=size, form=form, given=given)


def _loss(got: list[Feed], wanted: list[Feed]) -> float:
    """The relative error of the worst output and sample."""
    scales = {name: usual_norm([value[name] for value in wanted]) for name in wanted[0]}
    return max(relative_error(a[name], b[name], scales[name]) for a, b in zip(got, wanted, strict=True) for name in b)


def _reducible(base: ModelProto, precision: Precision) -> list[str]:
    """The nodes whose precision is in question, in order."""
    if precision != "fp16":
        return quantizable(base)
    fixed = fp32_by_nature(base)
    return [node.name for node in base.graph.node if node.name not in fixed]

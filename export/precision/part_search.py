"""Searches one part for its best candidate in a reduced precision: what must stay fp32, its error, its time."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from itertools import count
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from mm_edge.errors import MmEdgeError
from mm_edge.export.graphs.folded_front_end import fold_front_ends, keep_uint8
from mm_edge.export.graphs.fp16 import as_rounded, fp32_by_nature, to_fp16
from mm_edge.export.graphs.runner import ALL_CORES, Runner, base_graph, open_artefact, race, run_all
from mm_edge.export.graphs.weights import WEIGHTS, digest_of_model, put_aside, save
from mm_edge.export.package.verified_model import Candidate
from mm_edge.export.verify.parity import ignored_input, relative_error, usual_norm, verify_inputs
from mm_edge.export.workspace import digest_of, digest_of_feeds
from mm_edge.onnx_runtime import import_onnxruntime

from .int8 import (
    CALIBRATED,
    FORMS,
    HEAVY,
    calibrate,
    fp16_between,
    quantizable,
    restored,
    rounded_outputs,
    to_int8_cpu,
    to_int8_trt_in_fp32,
    with_pixels,
)
from .remainder import (
    Search,
    ranked,
    sensitivities_to_fp16,
    sensitivities_to_int8,
    share_of_work,
    smallest_remainder,
    worst_node,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from onnx import ModelProto

    from mm_edge.bundle.manifest import Precision
    from mm_edge.export.feeds import Feed
    from mm_edge.export.graphs.folded_front_end import Folded
    from mm_edge.export.package.verified_model import Int8Form
    from mm_edge.export.recipe import Recipe
    from mm_edge.export.split.partition import PartGraph, PartSamples
    from mm_edge.export.workspace import Workspace

    from .remainder import Sensitivity

    Maker: TypeAlias = Callable[[frozenset[str]], ModelProto]


LOG = logging.getLogger("mm_edge.export")
SEARCH_SAMPLES, SEARCH_SAMPLES_OF_LARGE = 8, 4  # a search uses few samples; verification uses unseen ones
SEARCH_MARGIN = 0.7  # of the tolerance, because unseen samples lose a little more
STRICTER = 3  # times that a search is repeated with half of the tolerance
MOST_KEPT = 2 / 3  # of a part's work; with more of it in fp32 a reduced precision is not worth it
FAILED = float("inf")
LARGE_PARAMETERS, LARGE_WORK = 20_000_000, 5_000_000_000  # a trial of such a part takes seconds: one form, few trials
LARGE_TRIALS = 12


RECORDED = ("part", "precision", "loss", "ms", "fp32_ms", "size", "trials", "form", "stopped")


@dataclass
class PartSearch:
    """A part with what its candidates share: the base graph, the samples, the ranges of its values."""

    part: PartGraph
    workspace: Workspace
    samples: PartSamples
    share: float = 1.0  # of the tolerance, so that parts that are searched alone pass together
    failure: str = ""  # why the last precision is not available
    kept: dict[Precision, frozenset[str]] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=count)  # of the files that were written
    _quantized: dict[Int8Form | None, ModelProto] = field(default_factory=dict)  # with no node kept in fp32
    _sensitivities: dict[bool, list[Sensitivity]] = field(default_factory=dict)  # to fp16, and to both kinds of int8

    @cached_property
    def base(self) -> ModelProto:
        return base_graph(self.part.graph, self.weights)

    @cached_property
    def on_pixels(self) -> Folded:
        """The base of int8 for the CPU. Pixels are integers already: a convolution that reads them loses nothing."""
        folded = fold_front_ends(self.base)
        put_aside(folded.graph, self.weights)
        return folded

    @property
    def recipe(self) -> Recipe:
        return self.workspace.recipe

    @property
    def weights(self) -> Path:
        """The folder of the large weights of every graph of this part."""
        return self.workspace.folder / WEIGHTS

    @property
    def large(self) -> bool:
        return self.part.parameters >= LARGE_PARAMETERS or self.part.flops >= LARGE_WORK

    @property
    def most_kept(self) -> float:
        """The share of the work beyond which a precision is given up, unless it was requested by name."""
        return 1.0 if self.recipe.precisions else MOST_KEPT

    @cached_property
    def _heavy(self) -> frozenset[str]:
        """The nodes with nearly all of the work: a graph that keeps all of them in fp32 is not reduced."""
        return frozenset(
            node.name for node in self.base.graph.node if node.op_type in {*HEAVY, "Einsum", "GRU", "LSTM", "RNN"}
        )

    @cached_property
    def ranges(self) -> Any:
        kinds = CALIBRATED if "integers" in self._forms("int8-cpu") else HEAVY
        return calibrate(self.base, self.samples.calibration, self.recipe.method, kinds)

    @cached_property
    def seen(self) -> list[tuple[Feed, Feed]]:
        """The samples of a search."""
        return self.samples.searched_on[: SEARCH_SAMPLES_OF_LARGE if self.large else SEARCH_SAMPLES]

    @property
    def _all_feeds(self) -> list[Feed]:
        return [*self.samples.unseen, *(feed for feed, _ in self.seen)]

    def make(self, precision: Precision, tolerance: float) -> Candidate | None:
        """The best candidate within `tolerance`, or None; one that was stored before an interruption is reused."""
        key = self._key(precision, tolerance)
        path = self._next_file(precision)
        if (record := self.workspace.store.get(key, path)) is not None:
            self.kept[precision] = frozenset(record.pop("kept"))
            return Candidate(path=path, kept=self.kept[precision], **record)
        candidate = self._make(precision, tolerance)
        if candidate is not None:
            record = {name: getattr(candidate, name) for name in RECORDED}
            self.workspace.store.put(key, {**record, "kept": sorted(candidate.kept)}, candidate.path)
        return candidate

    def _key(self, precision: Precision, tolerance: float) -> str:
        onnxruntime = import_onnxruntime()
        recipe = msgspec.json.encode(self.recipe)
        return digest_of(
            self._content,
            self._sample_digest,
            precision,
            f"{tolerance} {self.share}",
            recipe,
            *RECORDED,
            onnxruntime.__version__,
            version("mm-edge"),
        )

    @cached_property
    def _content(self) -> str:
        return digest_of_model(self.part.graph)

    @cached_property
    def _sample_digest(self) -> str:
        return digest_of_feeds([*self.samples.calibration, *self.samples.unseen, *(feed for feed, _ in self.seen)])

    def trial(self, candidate: Candidate, kept: frozenset[str]) -> ModelProto:
        """The candidate's graph with other nodes in fp32, for a search."""
        return self._trials(candidate.precision, candidate.form)(kept)

    def reducible(self, precision: Precision) -> list[str]:
        """The nodes that may be reduced, in order."""
        return _reducible(self.base, precision)

    def nothing_is_left(self, precision: Precision, kept: Collection[str]) -> bool:
        """Whether a graph that keeps these in fp32 has all of its work in fp32."""
        kept = {*kept, *self.recipe.keep_fp32}
        return kept >= set(self.reducible(precision)) or bool(self._heavy and kept >= self._heavy)

    def hardly_pays(self, precision: Precision, kept: Collection[str]) -> bool:
        """Whether so much stays in fp32 that the part should run in the wider type altogether."""
        return self.nothing_is_left(precision, kept) or (
            self.most_kept < 1 and bool(kept) and share_of_work(self.sensitivities(precision), kept) > self.most_kept
        )

    def sensitivities(self, precision: Precision) -> list[Sensitivity]:
        """The error of each node that may be reduced, when it alone is; both kinds of int8 use the one for TensorRT."""
        half = precision == "fp16"
        if half not in self._sensitivities:
            feeds = [feed for feed, _ in self.seen]
            nodes = set(self.reducible(precision))
            if half:
                self._sensitivities[half] = sensitivities_to_fp16(self.base, nodes, feeds)
            else:
                quantized = self._quantized_keeping(frozenset(), None)
                self._sensitivities[half] = sensitivities_to_int8(self.base, quantized, nodes, feeds)
        return self._sensitivities[half]

    def widened(self, candidate: Candidate, kept: frozenset[str], form: Int8Form | None) -> Candidate:
        """The candidate with more nodes in fp32, or in another form, measured again."""
        made, runner = self._written(candidate.precision, form, kept)
        verify_inputs(self.part, candidate.precision, runner, self._all_feeds)
        made = replace(made, trials=candidate.trials)
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
                worst = worst_node(self.base, reduced, self.seen[0][0])
                self.failure = f"none of its nodes can be reduced within {tolerance:g}: {worst}"
            return None
        return self._fastest(results) if precision == "int8-cpu" else results[0]

    def _fastest(self, results: list[Candidate]) -> Candidate:
        graphs = {str(place): item.path for place, item in enumerate(results)}
        threads = self.recipe.threads
        runners = {name: Runner(path, threads=threads) for name, path in graphs.items()}
        times = race({"fp32": Runner(self.part.graph, threads=threads), **runners}, self.samples.unseen[0])
        place = min(range(len(results)), key=lambda number: times[str(number)])
        return replace(results[place], ms=times[str(place)], fp32_ms=times["fp32"])

    def _forms(self, precision: Precision) -> tuple[Int8Form | None, ...]:
        if precision != "int8-cpu":
            return (None,)
        return FORMS[:1] if self.large else FORMS

    def _maker(self, precision: Precision, form: Int8Form | None) -> Maker:
        if precision == "fp16":
            return lambda kept: to_fp16(self.base, kept | frozenset(self.recipe.keep_fp32))

        def make(kept: frozenset[str]) -> ModelProto:
            quantized = self._quantized_keeping(kept, form)
            return fp16_between(quantized, kept | set(self.recipe.keep_fp32)) if form is None else quantized

        return make

    def _quantized_keeping(self, kept: frozenset[str], form: Int8Form | None) -> ModelProto:
        """In int8 and fp32."""
        if form is None:
            return self._with_rounding(kept, form, self.base)
        return keep_uint8(self._with_rounding(kept, form, self.on_pixels.graph), self.on_pixels)

    def _with_rounding(self, kept: frozenset[str], form: Int8Form | None, base: ModelProto) -> ModelProto:
        """A graph that keeps nodes in fp32 is derived from one that keeps none: that is faster."""
        if form == "integers" and kept:  # that form quantizes other nodes too
            return self._quantize(kept, form)
        if form not in self._quantized:
            self._quantized[form] = self._quantize(frozenset(), form)
        if not kept:
            return self._quantized[form]
        active = set(self.reducible("int8-cpu")) - set(self.recipe.keep_fp32)
        return restored(self._quantized[form], base, kept, active, rounded_outputs(form))

    def _quantize(self, kept: frozenset[str], form: Int8Form | None) -> ModelProto:
        fixed = kept | frozenset(self.recipe.keep_fp32)
        if form is None:
            made = to_int8_trt_in_fp32(self.base, self.ranges, fixed)
        else:
            ranges = with_pixels(self.ranges, self.on_pixels.pixels)
            made = to_int8_cpu(self.on_pixels.graph, ranges, fixed.union(self.on_pixels.nodes), form=form)
        return put_aside(made, self.weights)

    def _trials(self, precision: Precision, form: Int8Form | None) -> Maker:
        """Quick graphs for a search. int8 for TensorRT lacks the fp16 between nodes here; verification includes it."""
        if precision == "fp16":
            maker = self._maker(precision, form)
            return lambda kept: as_rounded(maker(kept))
        return lambda kept: self._quantized_keeping(kept, form)

    def _within(self, precision: Precision, form: Int8Form | None, tolerance: float) -> Candidate | None:
        """The part reduced as a whole if its error allows it, else with as few nodes in fp32 as the search finds."""
        if (candidate := self._verified(precision, form, frozenset(), tolerance)) is not None:
            return replace(candidate, trials=1)
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
            kept = self._nodes_to_keep(precision, search)
            if kept is None:
                return None
            if (candidate := self._verified(precision, form, kept, tolerance)) is not None:
                self.kept.setdefault(precision, kept)
                return replace(candidate, trials=1 + search.trials, stopped=search.stopped)
            # It passed on the samples of the search and lost more on unseen ones.
            search.tolerance /= 2
            search.most_trials += search.trials
        return None

    def _nodes_to_keep(self, precision: Precision, search: Search[str]) -> frozenset[str] | None:
        """The nodes to keep in fp32; those of one kind of int8 are the first guess for the other."""
        known = self.kept.get(precision) or self.kept.get("int8-cpu" if precision == "int8-trt" else "int8-trt")
        if known and search.passes(known):
            return known
        found = self.sensitivities(precision)
        order = ranked(found)
        order += sorted(set(self.reducible(precision)) - set(order))
        longest = next(
            (place for place in range(len(order)) if share_of_work(found, order[: place + 1]) > self.most_kept),
            len(order),
        )
        kept = smallest_remainder(order, search, longest)
        if kept is None and longest < len(order):
            worst = max(found, key=lambda item: item.loss)
            self.failure = (
                f"a relative error of at most {search.tolerance:.2g} would need more than {self.most_kept:.0%} of its "
                f"work in fp32; node '{worst.node}' ({worst.kind}) alone has {worst.loss:.2g}"
            )
        return kept

    def _trial_loss(self, graph: ModelProto) -> float:
        """Infinite for a graph that does not load; the reason is logged."""
        try:
            got = run_all(Runner(graph, threads=ALL_CORES), [feed for feed, _ in self.seen])
        except MmEdgeError as error:
            LOG.debug("%s: %s", self.part.name, error)
            return FAILED
        return _loss(got, [outputs for _, outputs in self.seen])

    def _verified(
        self, precision: Precision, form: Int8Form | None, kept: frozenset[str], tolerance: float
    ) -> Candidate | None:
        """The candidate as a file, if it passes on the unseen samples and any of its work is reduced."""
        if self.nothing_is_left(precision, kept):
            return None
        try:
            found, runner = self._written(precision, form, kept)
        except MmEdgeError as error:
            LOG.debug("%s: %s", self.part.name, error)
            return None
        if found.loss <= tolerance:
            ignored = ignored_input(self.part, runner, self._all_feeds)
            if ignored is None:
                return found
            self.failure = f"its input '{ignored}' would change none of its outputs"
        found.path.unlink()
        return None

    def _next_file(self, precision: Precision) -> Path:
        return self.workspace.folder / f"{self.part.name}.{precision}.{next(self._numbers)}.onnx"

    def _written(self, precision: Precision, form: Int8Form | None, kept: frozenset[str]) -> tuple[Candidate, Runner]:
        """Measures the very file that may be packed."""
        path = self._next_file(precision)
        save(self._maker(precision, form)(kept), path)
        runner = open_artefact(path, precision, threads=ALL_CORES)
        outputs = run_all(runner, self.samples.unseen)
        loss, size = _loss(outputs, self.samples.unseen_outputs), path.stat().st_size
        return Candidate(self.part.name, precision, path, loss, kept, size=size, form=form, outputs=outputs), runner


def _loss(got: list[Feed], wanted: list[Feed]) -> float:
    """The relative error of the worst output and sample."""
    scales = {name: usual_norm([value[name] for value in wanted]) for name in wanted[0]}
    return max(relative_error(a[name], b[name], scales[name]) for a, b in zip(got, wanted, strict=True) for name in b)


def _reducible(base: ModelProto, precision: Precision) -> list[str]:
    """The nodes that may be reduced, in order."""
    if precision != "fp16":
        return quantizable(base)
    fixed = fp32_by_nature(base)
    return [node.name for node in base.graph.node if node.name not in fixed]

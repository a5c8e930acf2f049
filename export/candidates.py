"""One part in one reduced precision: makes it, searches for what must stay fp32, measures what it costs and loses."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

import mm_edge
from mm_edge.errors import MmEdgeError

from .base_graph import base_graph
from .blame import worst_node
from .fp16 import fp32_by_nature, to_fp16
from .graph import save
from .int8 import (
    FORMS,
    HEAVY,
    calibrate,
    fp16_between,
    quantizable,
    rounded_outputs,
    to_int8_cpu,
    to_int8_trt_in_fp32,
)
from .parity import relative_error, usual_norm
from .remainder import Search, smallest_remainder
from .restore import restored
from .rounding import as_rounded
from .runner import Runner, race
from .store import Store, digest_of, digest_of_feeds
from .weights import WEIGHTS, digest_of_model, put_aside

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from onnx import ModelProto

    from mm_edge.manifest import Precision

    from .feeds import Feed
    from .int8 import Form
    from .partition import PartGraph
    from .recipe import Recipe

    Maker: TypeAlias = Callable[[frozenset[str]], ModelProto]
    Pairs: TypeAlias = list[tuple[Feed, Feed]]  # what is fed, and what the part in fp32 gives for it

LOG = logging.getLogger("mm_edge.export")
SEARCH_SAMPLES = 4  # the search looks at a few samples that were calibrated on; the proof, at unseen ones
SEARCH_MARGIN = 0.7  # of the tolerance, because unseen samples lose a little more
STRICTER = 3  # times that the search is tried again with half of what was allowed
FAILED = float("inf")
LARGE_PARAMETERS = 20_000_000  # quantizing such a part takes many seconds; one form of int8 for the CPU is tried
LARGE_SEARCH = (4, 10)  # blocks and trials in such a part: coarser, and done in minutes


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


RECORDED = ("part", "precision", "loss", "ms", "fp32_ms", "size", "trials", "form", "note")


@dataclass
class PartWork:
    """A part with what its candidates share: the base graph, the samples, the ranges of its values."""

    part: PartGraph
    recipe: Recipe
    folder: Path
    calibration: list[Feed]
    proof: list[Feed]
    wanted_calibration: list[Feed]  # what the part in fp32 gives for them
    wanted_proof: list[Feed]
    store: Store
    failure: str = ""  # where the last precision that could not be had went wrong
    kept: dict[Precision, frozenset[str]] = field(default_factory=dict)
    _quantized: dict[Form | None, ModelProto] = field(default_factory=dict)  # with nothing kept
    _last: tuple[ModelProto, bool, Runner] | None = None

    @cached_property
    def base(self) -> ModelProto:
        return base_graph(self.part.graph, self.weights)

    @property
    def weights(self) -> Path:
        """Where the large weights of every graph of this part lie while it is worked on."""
        return self.folder / WEIGHTS

    @cached_property
    def _heavy(self) -> frozenset[str]:
        """Where the work is: a graph that keeps all of these in fp32 has not been reduced."""
        return frozenset(
            node.name for node in self.base.graph.node if node.op_type in {*HEAVY, "Einsum", "GRU", "LSTM", "RNN"}
        )

    @cached_property
    def ranges(self) -> Any:
        return calibrate(self.base, self.calibration, self.recipe.method)

    @cached_property
    def reference(self) -> Runner:
        return Runner(self.part.graph, threads=self.recipe.threads)

    @cached_property
    def seen(self) -> Pairs:
        """What the search looks at: a few samples, and what the part in fp32 gives for them."""
        pairs = list(zip(self.calibration, self.wanted_calibration, strict=True))
        return (pairs or self.unseen)[:SEARCH_SAMPLES]

    @cached_property
    def unseen(self) -> Pairs:
        """What the proof looks at."""
        return list(zip(self.proof, self.wanted_proof, strict=True))

    def loss(self, graph: ModelProto, precision: Precision, pairs: Pairs) -> float:
        """A graph that does not even load has lost everything; why is in the log."""
        try:
            runner = self._runner(graph, rounds=precision in {"fp16", "int8-trt"})
            got = [runner(feed) for feed, _ in pairs]
        except MmEdgeError as error:
            LOG.debug("%s: %s", self.part.name, error)
            return FAILED
        wanted = [given for _, given in pairs]
        scales = {name: usual_norm([value[name] for value in wanted]) for name in wanted[0]}
        return max(
            relative_error(a[name], b[name], scales[name]) for a, b in zip(got, wanted, strict=True) for name in b
        )

    def _runner(self, graph: ModelProto, *, rounds: bool) -> Runner:
        """The last one is held: what passed the search last is mostly what is proven next."""
        if self._last is None or self._last[0] is not graph or self._last[1] != rounds:
            self._last = None  # two of them do not lie in memory at once
            self._last = graph, rounds, Runner(as_rounded(graph) if rounds else graph, threads=self.recipe.threads)
        return self._last[2]

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
        import onnxruntime

        recipe = msgspec.json.encode(self.recipe)
        return digest_of(
            self._content,
            self._samples,
            precision,
            f"{tolerance}",
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
        return digest_of_feeds([*self.calibration, *self.proof])

    def trial(self, candidate: Candidate, kept: frozenset[str]) -> ModelProto:
        """The candidate's graph with other nodes in fp32, to be looked at in a search."""
        return self._trials(candidate.precision, candidate.form)(kept)

    def reducible(self, precision: Precision) -> list[str]:
        """The nodes whose precision is in question, in order."""
        return _reducible(self.base, precision)

    def nothing_is_left(self, precision: Precision, kept: frozenset[str]) -> bool:
        """Whether a graph that keeps these in fp32 is an fp32 graph in all that costs time."""
        return kept >= set(self.reducible(precision)) or bool(self._heavy and kept >= self._heavy)

    def widened(self, candidate: Candidate, kept: frozenset[str]) -> Candidate:
        """The candidate with more nodes in fp32, measured again."""
        graph = self._maker(candidate.precision, candidate.form)(kept)
        made = self._saved(candidate.precision, graph, self.loss(graph, candidate.precision, self.unseen), kept)
        made.form, made.trials = candidate.form, candidate.trials
        return self._fastest([made]) if candidate.precision == "int8-cpu" else made

    def release(self) -> None:
        """Lets go of what holds the weights once more; it is made again when it is needed."""
        self.__dict__.pop("reference", None)
        self._last = None

    def _make(self, precision: Precision, tolerance: float) -> Candidate | None:
        nodes = self.reducible(precision)
        if not nodes:
            return None
        results = []
        for form in self._forms(precision):
            if found := self._search(precision, form, nodes, tolerance):
                found.form = form
                results.append(found)
        if not results:
            reduced = self._maker(precision, self._forms(precision)[-1])(frozenset())
            self.failure = worst_node(self.base, reduced, self.seen[0][0])
            return None
        return self._fastest(results) if precision == "int8-cpu" else results[0]

    def _fastest(self, results: list[Candidate]) -> Candidate:
        runners = {str(place): Runner(item.path, threads=self.recipe.threads) for place, item in enumerate(results)}
        times = race({"fp32": self.reference, **runners}, self.proof[0])
        for place, item in enumerate(results):
            item.ms, item.fp32_ms = times[str(place)], times["fp32"]
        return min(results, key=lambda item: item.ms or 0.0)

    def _forms(self, precision: Precision) -> tuple[Form | None, ...]:
        if precision != "int8-cpu":
            return (None,)
        return FORMS if self.part.parameters < LARGE_PARAMETERS else FORMS[:1]

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
            return _remembering_last(self._maker(precision, form))
        return _remembering_last(lambda kept: self._quantized_keeping(kept, form))

    def _search(self, precision: Precision, form: Form | None, nodes: list[str], tolerance: float) -> Candidate | None:
        maker, trials = self._maker(precision, form), self._trials(precision, form)
        if precision != "int8-trt":
            maker = trials  # what passed last is what is proven
        rounded: Precision = "fp16" if precision == "fp16" else "int8-cpu"
        search = Search(lambda kept: self.loss(trials(kept), rounded, self.seen), tolerance * SEARCH_MARGIN)
        if self.part.parameters >= LARGE_PARAMETERS:
            search.most_blocks, search.most_trials = LARGE_SEARCH
        kept = self._known_remainder(precision, search)
        if kept is None:
            kept = smallest_remainder(nodes, search)
        candidate = self._proven(precision, maker, kept, tolerance, search.trials)
        for _ in range(STRICTER):
            if candidate is not None or kept is None:
                break
            # What passed on the samples of the search lost more on unseen ones: half of what was allowed.
            search = replace(search, tolerance=search.tolerance / 2, most_trials=search.trials + search.most_trials)
            kept = smallest_remainder(nodes, search)
            candidate = self._proven(precision, maker, kept, tolerance, search.trials)
        if candidate is not None:
            self.kept.setdefault(precision, candidate.kept)
        return candidate

    def _proven(
        self, precision: Precision, maker: Maker, kept: frozenset[str] | None, tolerance: float, trials: int
    ) -> Candidate | None:
        """The candidate as a file, if it passes on the unseen samples and anything in it is reduced at all."""
        if kept is None or self.nothing_is_left(precision, kept):
            return None
        graph = maker(kept)
        loss = self.loss(graph, precision, self.unseen)
        if loss > tolerance:
            return None
        found = self._saved(precision, graph, loss, kept)
        found.trials = trials
        return found

    def _saved(self, precision: Precision, graph: ModelProto, loss: float, kept: frozenset[str]) -> Candidate:
        path = self.folder / f"{self.part.name}.{precision}.{len(list(self.folder.iterdir()))}.onnx"
        save(graph, path)
        return Candidate(self.part.name, precision, path, loss, kept, size=path.stat().st_size)

    def _known_remainder(self, precision: Precision, search: Search) -> frozenset[str] | None:
        """What one int8 artefact keeps in fp32 is the first guess for the other."""
        known = self.kept.get(precision) or self.kept.get("int8-cpu" if precision == "int8-trt" else "int8-trt")
        if known is None or search.passes(frozenset()):
            return frozenset() if known is not None else None
        return known if search.passes(known) else None


def _remembering_last(maker: Maker) -> Maker:
    """What the search made last is mostly what is proven next, and its runner is there."""
    last: dict[frozenset[str], ModelProto] = {}

    def make(kept: frozenset[str]) -> ModelProto:
        if kept not in last:
            last.clear()
            last[kept] = maker(kept)
        return last[kept]

    return make


def _reducible(base: ModelProto, precision: Precision) -> list[str]:
    """The nodes whose precision is in question, in order."""
    if precision != "fp16":
        return quantizable(base)
    fixed = fp32_by_nature(base)
    return [node.name for node in base.graph.node if node.name not in fixed]

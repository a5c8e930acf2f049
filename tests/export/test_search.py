"""The search for what must stay fp32: the ranking finds the culprits, the bisection passes, time and work bound it."""

import numpy as np
import pytest
from handmade_graphs import Builder, info, picture_and_vector, sample, source_model
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, numpy_helper

from mm_edge.bundle.bundle import Bundle
from mm_edge.errors import WorkFailedError
from mm_edge.export.graphs.runner import base_graph
from mm_edge.export.pipeline import export
from mm_edge.export.precision import part_search, remainder
from mm_edge.export.precision.int8 import calibrate, quantizable, to_int8_trt_in_fp32
from mm_edge.export.precision.remainder import (
    Search,
    Sensitivity,
    ranked,
    sensitivities_to_fp16,
    sensitivities_to_int8,
    share_of_work,
    smallest_remainder,
)
from mm_edge.export.recipe import Recipe

FEEDS = [sample(seed) for seed in range(4)]


class Clock:
    """A second passes whenever somebody looks."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 1.0
        return self.now


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.floats(0.01, 2))
def test_what_is_found_passes_and_when_nothing_has_to_stay_nothing_does(harm, tolerance):
    """Losses that add up."""
    nodes = [f"n{number}" for number in range(len(harm))]
    losses = dict(zip(nodes, harm, strict=True))
    search = Search(lambda kept: sum(losses[node] for node in nodes if node not in kept), tolerance)
    kept = smallest_remainder(nodes, search)
    assert kept is not None
    assert search.loss(kept) <= tolerance
    assert (not kept) == (sum(harm) <= tolerance)


@given(st.lists(st.floats(0.001, 1), min_size=2, max_size=30), st.floats(0.01, 2))
def test_a_right_ranking_gives_the_fewest_nodes(harm, tolerance):
    losses = dict(enumerate(sorted(harm, reverse=True)))
    nodes = [f"n{number}" for number in losses]
    search = Search(lambda kept: sum(losses[int(node[1:])] for node in nodes if node not in kept), tolerance)
    kept = smallest_remainder(nodes, search)
    fewest = next(size for size in range(len(nodes) + 1) if sum(list(losses.values())[size:]) <= tolerance)
    assert kept is not None
    assert len(kept) == fewest


def test_one_bad_node_among_many_is_found_alone_even_when_the_ranking_is_wrong():
    nodes = [f"n{number}" for number in range(100)]
    search = Search(lambda kept: 0.0 if "n37" in kept else 1.0, 0.1)
    assert smallest_remainder(nodes, search) == {"n37"}
    assert search.trials <= 32


def test_a_loss_that_no_node_explains_is_told_apart():
    assert smallest_remainder(["a", "b"], Search(lambda kept: 1.0, 0.1)) is None


def test_what_needs_more_than_is_allowed_is_given_up_after_one_look():
    nodes = [f"n{number}" for number in range(64)]
    search = Search(lambda kept: 1.0 - len(kept) / 64, 0.2)
    assert smallest_remainder(nodes, search, 40) is None
    assert search.trials == 2
    assert len(smallest_remainder(nodes, search, 60) or ()) <= 54


def test_a_search_that_is_out_of_time_gives_what_passed_last(monkeypatch):
    monkeypatch.setattr(remainder, "time", Clock())
    nodes = [f"n{number}" for number in range(64)]
    search = Search(lambda kept: 1.0 - len(kept) / 64, 0.4, seconds=2.5)
    kept = smallest_remainder(nodes, search)
    assert kept is not None
    assert search.loss(kept) <= 0.4
    assert len(kept) == 48
    assert search.stopped
    patient = Search(lambda kept: 1.0 - len(kept) / 64, 0.4)
    assert len(smallest_remainder(nodes, patient) or ()) <= 40
    assert not patient.stopped


def spiky(graph: ModelProto) -> ModelProto:
    """One weight of each channel of `dense1` is a thousand times the others, which int8 then rounds to nothing."""
    weight = next(item for item in graph.graph.initializer if item.name == "dense1.w")
    values = numpy_helper.to_array(weight).copy()
    values[0] *= 1000
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    return graph


def test_the_ranking_names_the_node_that_int8_ruins():
    base = base_graph(spiky(picture_and_vector()))
    quiet = [{**feed, "vector": np.where(np.arange(8) == 0, 1e-3, feed["vector"]).astype(np.float32)} for feed in FEEDS]
    quantized = to_int8_trt_in_fp32(base, calibrate(base, quiet, "minmax"))
    harms = sensitivities_to_int8(base, quantized, set(quantizable(base)), quiet)
    assert {harm.node for harm in harms} == set(quantizable(base))
    worst = max(harms, key=lambda harm: harm.loss)
    assert worst.node == "dense1"
    assert worst.loss > 5 * sorted(harm.loss for harm in harms)[-2]
    assert ranked(harms)[0] == "dense1"


def test_the_work_of_a_node_is_what_a_run_multiplies():
    base = base_graph(picture_and_vector())
    quantized = to_int8_trt_in_fp32(base, calibrate(base, FEEDS, "minmax"))
    work = {harm.node: harm.work for harm in sensitivities_to_int8(base, quantized, set(quantizable(base)), FEEDS)}
    weights = {item.name: item for item in base.graph.initializer}
    for node in base.graph.node:
        if node.op_type == "Gemm":
            assert work[node.name] == np.prod(weights[node.input[1]].dims)


def test_the_ranking_names_the_node_that_overflows_in_fp16():
    b = Builder()
    b.add("Mul", "calm", "x", b.weight("a", np.float32(2)))
    b.add("Mul", "loud", "calm", b.weight("b", np.float32(1e5)))
    b.add("Div", "y", "loud", b.weight("c", np.float32(1e4)))
    base = base_graph(b.model([info("x", TensorProto.FLOAT, 4)], [info("y", TensorProto.FLOAT, 4)]))
    feeds = [{"x": np.array([1.0, 2.0, 3.0, 4.0], np.float32)}]
    harms = {harm.node: harm.loss for harm in sensitivities_to_fp16(base, {"calm", "loud", "y"}, feeds)}
    assert harms["loud"] == harms["y"] == float("inf")
    assert harms["calm"] < 1e-3


def test_a_node_with_little_work_is_kept_before_one_with_much():
    harms = [
        Sensitivity("large", "MatMul", 0.02, 1e9),
        Sensitivity("head", "Gemm", 0.02, 1e3),
        Sensitivity("harmless", "Gemm", 0.0, 1.0),
    ]
    assert ranked(harms) == ["head", "large", "harmless"]
    assert share_of_work(harms, {"large"}) == pytest.approx(1, abs=1e-5)


@pytest.fixture
def hard_to_please(monkeypatch):
    """No trial passes unless nearly everything stays fp32."""
    monkeypatch.setattr(part_search.PartSearch, "_trial_loss", lambda work, graph: _rounded(graph) / 100)


def _rounded(graph: ModelProto) -> int:
    return sum(node.op_type == "QuantizeLinear" for node in graph.graph.node)


def test_auto_gives_up_what_hardly_pays_and_says_so(tmp_path, hard_to_please):
    recipe = Recipe(split="never", tolerance=1e-3)
    exported = export(source_model(), tmp_path / "x.mmb", recipe)
    (told,) = [note for note in exported.notes if "int8-trt" in note]
    assert "a relative error of at most 0.0007 would need more than 67% of its work in fp32; node '" in told


def test_what_was_asked_for_by_name_is_not_given_up(tmp_path, hard_to_please):
    recipe = Recipe(split="never", tolerance=1e-3, precisions=("int8-trt",))
    with pytest.raises(WorkFailedError, match=r"none of its nodes can be reduced within 0.001: node '"):
        export(source_model(), tmp_path / "x.mmb", recipe)


def test_a_search_that_was_stopped_is_told_in_the_notes_and_in_the_bundle(tmp_path, monkeypatch):
    monkeypatch.setattr(remainder, "time", Clock())
    tolerance = 0.012  # some of it can be had in int8, and not all
    recipe = Recipe(split="never", precisions=("int8-trt",), tolerance=tolerance, search_seconds=2.5)
    exported = export(source_model(), tmp_path / "x.mmb", recipe)
    (candidate,) = exported.candidates
    assert candidate.stopped
    assert candidate.kept
    told = f"stopped after 2.5 s; {len(candidate.kept)} nodes stay fp32"
    assert f"the search for nodes that must stay fp32 in fuse int8-trt was {told} (--search-seconds)" in exported.notes
    with Bundle.open(tmp_path / "x.mmb") as bundle:
        assert bundle.manifest.made["search of fuse int8-trt"] == told

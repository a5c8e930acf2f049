"""The study of front ends: what it compares computes the same, and takes turns."""

import numpy as np
import onnx
import pytest

from mm_edge.benchmarks.studies.export import front_end as study
from mm_edge.export.feeds import random_feed
from mm_edge.export.pipeline import load_source
from mm_edge.export.recipe import Recipe
from mm_edge.export.split.partition import split_model


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    """The front ends before one convolution of 224 x 224 and a mean."""
    weight = onnx.numpy_helper.from_array(np.random.default_rng(0).normal(0, 1, (4, 3, 3, 3)).astype(np.float32), "w")
    axes = onnx.numpy_helper.from_array(np.array([2, 3]), "axes")
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Conv", ["image", "w"], ["conv"], pads=[1, 1, 1, 1]),
            onnx.helper.make_node("ReduceMean", ["conv", "axes"], ["logits"], keepdims=0),
        ],
        "made",
        [onnx.helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["batch", 3, study.SIDE, study.SIDE])],
        [onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["batch", 4])],
        [weight, axes],
    )
    original = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    folder = tmp_path_factory.mktemp("graphs")
    onnx.save(original, folder / "x.onnx")
    (folder / "spec.toml").write_text(study.SPEC)
    source = load_source(str(folder / "x.onnx"), Recipe(spec=str(folder / "spec.toml")))
    now = split_model(source, Recipe()).parts[0].graph
    feeds = [random_feed(source.spec, seed) for seed in range(3)]
    return {study.BLOB: original, study.BEFORE: study.arithmetic_first(original), study.NOW: now}, feeds


def test_all_front_ends_compute_the_same(graphs):
    graphs, feeds = graphs
    assert study.same_bits(graphs, feeds)
    runs = {
        name: study.runs_of(study.up_to(graph, "conv"), feeds[0], blob=name == study.BLOB)
        for name, graph in graphs.items()
    }
    assert study.error(runs[study.NOW](), runs[study.BLOB]()) < 1e-6


def test_a_front_end_that_computes_something_else_is_seen(graphs):
    graphs, feeds = graphs
    wrong = onnx.ModelProto()
    wrong.CopyFrom(graphs[study.BEFORE])
    next(node for node in wrong.graph.node if node.op_type == "Sub").op_type = "Add"
    assert not study.same_bits({**graphs, study.BEFORE: wrong}, feeds)


def test_int8_is_closer_with_the_fold(graphs):
    graphs, feeds = graphs
    exact = study.runs_of(graphs[study.NOW], feeds[0], blob=False)()
    for runs in study.int8_forms(graphs[study.NOW], feeds).values():
        assert study.error(runs[study.FOLDED](), exact) <= 1.05 * study.error(runs[study.UNFOLDED](), exact)


def test_all_take_turns_within_a_round_and_differences_are_of_the_same_round(monkeypatch):
    clock, order = [0.0], []
    monkeypatch.setattr(study.time, "thread_time", lambda: clock[0])

    def run(name, seconds):
        def advance():
            order.append(name)
            clock[0] += seconds * (1 + len(order) // (2 * study.RUNS))  # each round is slower than the one before

        return advance

    found = study.timed({"base": run("base", 0.002), "other": run("other", 0.003)}, 3, "base")
    assert order[:4] == ["base", "other", "base", "other"]
    assert found["base"]["above_ms"] == 0
    assert len(found["other"]["rounds_ms"]) == 3
    assert found["other"]["above_ms"] == pytest.approx(0.5 * found["base"]["ms"], rel=0.1)

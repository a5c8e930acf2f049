"""Parts that pass alone and fail together: what the chain needs wider is found, and what cannot be mended is told."""

import numpy as np
import pytest
from handmade_graphs import CLASSES, IMAGE, VECTOR, WIDTH, Builder, info, sample, spec
from onnx import TensorProto

from mm_edge.bundle.bundle import Bundle
from mm_edge.errors import WorkFailedError
from mm_edge.export.graphs.runner import Runner
from mm_edge.export.model import SourceModel
from mm_edge.export.pipeline import export
from mm_edge.export.precision.chain_gate import ChainSearch
from mm_edge.export.recipe import Recipe
from mm_edge.export.verify.parity import STAND_INS
from mm_edge.runtime.engines.selection.choose import choose_precisions


def cancelling():
    """The picture's embedding is one large value with small differences; the fusion looks at the differences alone.

    What int8 loses of the embedding is small beside the large value, and large beside what is left without it.
    """
    b = Builder()
    b.add("Cast", "floats", "image", to=TensorProto.FLOAT)
    b.add("Transpose", "planes", "floats", perm=[0, 3, 1, 2])
    b.add("Mul", "scaled", "planes", b.weight("scale", np.float32(1 / 255)))
    kernel = b.normal("conv1.w", 16, 3, 3, 3)
    b.add("Conv", "conv1", "scaled", kernel, strides=[2, 2], pads=[1, 1, 1, 1])
    b.add("Relu", "relu1", "conv1")
    b.add("GlobalAveragePool", "pooled", "relu1")
    b.add("Flatten", "seen", "pooled")
    differences = b.random.normal(0, 0.02, (16, WIDTH)).astype(np.float32)
    b.add("Gemm", "picture", "seen", b.weight("common.w", 1 + differences))
    b.add("Gemm", "dense1", "vector", b.normal("dense1.w", VECTOR, WIDTH), b.normal("dense1.b", WIDTH))
    b.add("Relu", "numbers", "dense1")
    b.add("Concat", "joined", "picture", "numbers", axis=1)
    head = b.random.normal(0, 0.3, (2 * WIDTH, CLASSES)).astype(np.float32)
    head[:WIDTH] = 20 * (head[:WIDTH] - head[:WIDTH].mean(axis=0))
    b.add("Gemm", "logits", "joined", b.weight("head.w", head), b.normal("head.b", CLASSES))
    return b.model(
        [info("image", TensorProto.UINT8, "batch", *IMAGE, 3), info("vector", TensorProto.FLOAT, "batch", VECTOR)],
        [info("logits", TensorProto.FLOAT, "batch", CLASSES)],
    )


def source():
    graph = cancelling()
    return SourceModel(
        spec(), graph, Runner(graph), "made in a test", samples=lambda count: (sample(seed) for seed in range(count))
    )


@pytest.fixture
def target(tmp_path):
    return tmp_path / "made.mmb"


@pytest.fixture
def nothing_helps(monkeypatch):
    monkeypatch.setattr("mm_edge.export.precision.chain_gate.ChainSearch.kept_by_part", lambda search, tolerance: None)


def chain_rows(manifest, precision):
    return [row for row in manifest.parity if row.scope == "chain" and row.precision == precision]


@pytest.mark.parametrize("precisions", [(), ("int8-trt",)], ids=["auto", "by name"])
def test_what_fails_together_is_kept_wider_until_it_passes(target, precisions):
    exported = export(source(), target, Recipe(split="always", precisions=precisions))
    with Bundle.open(target) as bundle:
        manifest = bundle.manifest
    rows = chain_rows(manifest, "int8-trt")
    assert rows
    assert all(row.passed for row in rows)
    assert max(row.relative_error for row in rows) <= 0.05
    assert "int8-trt" in manifest.part("encode_vector").artefacts  # what does no harm stays reduced
    assert any("'encode_image'" in note and "int8-trt" in note for note in exported.notes)


def test_where_keeping_nodes_does_not_help_the_form_that_rounds_all_over_gives_way(target, monkeypatch):
    """As if the form `integers` had won the race in every part, and the search had found nothing to leave in int8."""
    monkeypatch.setattr("mm_edge.export.precision.part_search.FORMS", ("integers",))
    searched = []

    def kept_by_part(search, tolerance):
        forms = {name: item.form for name, item in search.candidates.items()}
        searched.append(forms)
        stuck = {name for name, form in forms.items() if form == "integers"}
        return {
            name: frozenset(search.searches[name].reducible("int8-cpu")) if name in stuck else found
            for name, found in original(search, tolerance).items()
        }

    original = ChainSearch.kept_by_part
    monkeypatch.setattr("mm_edge.export.precision.chain_gate.ChainSearch.kept_by_part", kept_by_part)
    exported = export(source(), target, Recipe(split="always", precisions=("fp32", "int8-cpu")))
    assert set(searched[0].values()) == {"integers"}
    assert set(searched[1].values()) == {"heavy"}
    rows = chain_rows(exported.manifest, "int8-cpu")
    assert rows
    assert all(row.passed for row in rows)
    assert any("is rounded around heavy nodes only" in note for note in exported.notes)


def test_auto_leaves_out_what_nothing_mends_and_says_so(target, nothing_helps):
    exported = export(source(), target, Recipe(split="always"))
    with Bundle.open(target) as bundle:
        manifest = bundle.manifest
    assert all("int8-trt" not in part.artefacts for part in manifest.parts)
    assert "fp32" in manifest.part("encode_image").artefacts
    (row,) = chain_rows(manifest, "int8-trt")
    assert not row.passed
    assert row.relative_error > 0.05
    assert any(note.startswith("int8-trt is left out: 'logits' of the whole model") for note in exported.notes)
    assert not any(row.scope.startswith("part:") and row.precision == "int8-trt" for row in manifest.parity)
    assert any("left out" in item.left_out for item in exported.candidates if item.precision == "int8-trt")


def test_what_was_asked_for_by_name_and_fails_is_an_error(target, nothing_helps):
    with pytest.raises(WorkFailedError, match=r"chain in int8-trt: 'logits' \(computed by .*has relative error"):
        export(source(), target, Recipe(split="always", precisions=("fp32", "int8-trt")))
    assert not target.exists()


@pytest.mark.parametrize(("family", "wish", "precision"), [("cpu", "int8", "int8-cpu"), ("gpu", "int8", "int8-trt")])
def test_the_chain_is_proven_as_an_engine_runs_it(target, family, wish, precision, monkeypatch):
    """What stands in where a part has no int8 is the same in the proof and on the robot."""
    monkeypatch.setattr("mm_edge.export.precision.candidates.LEAST_GAIN", 0.0)
    export(source(), target, Recipe(split="always"))
    with Bundle.open(target) as bundle:
        chosen = choose_precisions(bundle.manifest, family, wish)
        for part in bundle.manifest.parts:
            assert chosen[part.name] == next(item for item in STAND_INS[precision] if item in part.artefacts)

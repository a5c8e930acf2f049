"""From a source to a bundle on disk that proves itself, or to an error and nothing on disk."""

import msgspec
import numpy as np
import pytest
from handmade_graphs import picture_and_vector, sample, source_model, spec
from safetensors.numpy import load, save_file

from mm_edge.bundle.bundle import Bundle
from mm_edge.bundle.signing import generate_keys
from mm_edge.errors import InputError, UsageError, WorkFailedError
from mm_edge.export import pipeline
from mm_edge.export.graphs.runner import Runner
from mm_edge.export.pipeline import export, plan
from mm_edge.export.precision.candidates import NO_INT8_NOTE
from mm_edge.export.recipe import Recipe
from mm_edge.places import cache_folder


@pytest.fixture
def target(tmp_path):
    return tmp_path / "made.mmb"


def test_every_precision_is_made_proven_and_packed(target):
    exported = export(source_model(), target, Recipe(precisions=("fp16", "int8-cpu", "int8-trt"), split="always"))
    with Bundle.open(target) as bundle:
        manifest = bundle.manifest
        image = manifest.part("encode_image")
        assert set(image.artefacts) == {"fp32", "fp16", "int8-cpu", "int8-trt"}
        assert image.cost.ms.keys() == {"fp32", "int8-cpu"}
        assert image.cost.flops > 800_000
        assert manifest.outputs[0].reads == {"logits": "part:fuse.logits"}
        rows = {(row.scope, row.precision): row for row in manifest.parity}
        assert {precision for scope, precision in rows if scope == "chain"} == {"fp32", "fp16", "int8-cpu", "int8-trt"}
        assert all(row.passed for row in manifest.parity)
        assert 0 < rows["chain", "int8-cpu"].relative_error < 0.05
        assert rows["chain", "int8-cpu"].data == "unseen"
        assert rows["chain", "int8-cpu"].agreement == 1.0
        assert manifest.calibration is not None
        assert manifest.calibration.samples == 32
        assert manifest.preferred["gpu"] == {"encode_image": "fp16", "encode_vector": "fp16", "fuse": "fp16"}
    assert exported.manifest == manifest


def test_the_golden_tensors_are_what_the_model_itself_gives(target):
    model = source_model()
    export(model, target, Recipe(precisions=("fp32",), golden=3))
    with Bundle.open(target) as bundle:
        golden = load(bundle.read(bundle.manifest.golden.file))
        for number in range(3):
            feed = {name: golden[f"{number}/input:{name}"] for name in ("image", "vector")}
            np.testing.assert_allclose(
                golden[f"{number}/part:fuse.logits"], model.reference(feed)["logits"], rtol=1e-4, atol=1e-5
            )


def test_samples_that_do_not_lie_in_a_row_in_memory_are_golden_as_they_are(target):
    """A transposed view: its memory holds the numbers in another order."""
    model = source_model()
    model.samples = lambda count: (
        {**sample(seed), "image": np.asfortranarray(sample(seed)["image"])} for seed in range(count)
    )
    export(model, target, Recipe(precisions=("fp32",)))
    with Bundle.open(target) as bundle:
        golden = load(bundle.read(bundle.manifest.golden.file))
    pictures = [sample(seed)["image"] for seed in range(100)]
    assert any(np.array_equal(golden["0/input:image"], picture) for picture in pictures)


def test_the_parts_take_any_batch(target):
    export(source_model(), target, Recipe(precisions=("fp32",)))
    with Bundle.open(target) as bundle:
        runner = Runner(bundle.read(bundle.manifest.part("encode_image").artefacts["fp32"].file))
        assert runner({"image": np.zeros((5, 16, 24, 3), np.uint8)})["embedding"].shape == (5, 32)


def test_without_samples_int8_is_not_made_and_the_proof_says_so(target):
    exported = export(source_model(samples=False), target)
    assert NO_INT8_NOTE in exported.notes
    assert {row.data for row in exported.manifest.parity} == {"random"}
    assert exported.manifest.calibration is None


def test_int8_that_was_asked_for_needs_samples(target):
    with pytest.raises(UsageError, match=r"there are no samples to calibrate on.*--calibrate"):
        export(source_model(samples=False), target, Recipe(precisions=("int8-cpu",)))
    assert not target.exists()


def test_a_tolerance_that_cannot_be_met_names_the_worst_node_and_writes_nothing(target):
    with pytest.raises(WorkFailedError, match=r"'fuse' has no int8-cpu.*node '\w+' \(\w+\), value '\w+'"):
        export(source_model(), target, Recipe(precisions=("int8-cpu",), tolerance=1e-6))
    assert list(target.parent.iterdir()) == []


def test_auto_leaves_out_what_is_no_faster_and_says_so(target, monkeypatch):
    monkeypatch.setattr("mm_edge.export.precision.part_search.race", lambda runners, feed: dict.fromkeys(runners, 1.0))
    exported = export(source_model(), target)
    assert "int8-cpu" not in exported.manifest.part("encode_image").artefacts
    assert any("no faster here" in item.left_out for item in exported.candidates)
    assert set(exported.manifest.preferred["cpu"].values()) == {"fp32"}


def test_auto_prefers_what_is_faster(target, monkeypatch):
    monkeypatch.setattr(
        "mm_edge.export.precision.part_search.race",
        lambda runners, feed: {name: 2.0 if name == "fp32" else 1.0 for name in runners},
    )
    exported = export(source_model(), target)
    assert exported.manifest.preferred["cpu"]["encode_image"] == "int8-cpu"
    assert exported.manifest.part("encode_image").cost.ms == {"fp32": 2.0, "int8-cpu": 1.0}


def test_a_signed_bundle_opens_with_its_key(tmp_path, target):
    from mm_edge.bundle.bundle import Trust

    private, public = generate_keys(tmp_path / "keys")
    export(source_model(), target, Recipe(precisions=("fp32",), sign=str(private)))
    with Bundle.open(target, Trust(keys=(str(public),))) as bundle:
        assert bundle.trusted


def _interrupted(*args):
    raise KeyboardInterrupt


def test_an_interrupted_export_goes_on_where_it_was(target, monkeypatch, tmp_path):
    recipe = Recipe(precisions=("fp16", "int8-cpu"))
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "pack", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            export(source_model(), target, recipe)
    assert not target.exists()
    with monkeypatch.context() as patch:
        patch.setattr("mm_edge.export.precision.part_search.PartSearch._make", _must_not_run)
        exported = export(source_model(), target, recipe)
    assert "int8-cpu" in exported.manifest.part("encode_image").artefacts
    assert list(cache_folder("export").iterdir()) == []  # a finished export leaves nothing


def _must_not_run(*args):
    raise AssertionError("made again")


def test_other_samples_are_another_export(target, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "pack", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            export(source_model(), target, Recipe(precisions=("int8-cpu",)))
    other = source_model()
    other.samples = lambda count: (sample(1000 + seed) for seed in range(count))
    with monkeypatch.context() as patch, pytest.raises(AssertionError, match="made again"):  # noqa: PT012
        patch.setattr("mm_edge.export.precision.part_search.PartSearch._make", _must_not_run)
        export(other, target, Recipe(precisions=("int8-cpu",)))


def test_what_cannot_go_well_is_told_before_the_work(target, tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "split_model", _must_not_run)
    with pytest.raises(UsageError, match="not a readable private key"):
        export(source_model(), target, Recipe(sign=str(tmp_path / "no.key")))
    with pytest.raises(UsageError, match="'cuda:86' is not a target"):
        export(source_model(), target, Recipe(targets=("cuda:86",)))


def test_a_full_disk_leaves_the_old_bundle(target, monkeypatch):
    export(source_model(), target, Recipe(precisions=("fp32",)))
    before = target.read_bytes()
    monkeypatch.setattr("mm_edge.bundle.writer.os.fsync", _full)
    with pytest.raises(WorkFailedError, match="No space left"):
        export(source_model(), target, Recipe(precisions=("fp32",), version=2))
    assert target.read_bytes() == before
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_a_full_disk_in_the_middle_of_the_work_is_told(target, monkeypatch):
    monkeypatch.setattr("mm_edge.export.precision.part_search.save", _full)
    with pytest.raises(WorkFailedError, match=r"No space left on device; [\d.]+ GB are free in .*TMPDIR"):
        export(source_model(), target, Recipe(precisions=("fp16",)))
    assert list(target.parent.iterdir()) == []


def _full(*args):
    raise OSError(28, "No space left on device")


def test_the_plan_names_all_that_would_be_done(tmp_path):
    pytest.importorskip("tensorrt_rtx")  # a target that cannot be built here is refused before it is planned
    lines = "\n".join(plan("zoo:scout", tmp_path / "x.mmb", Recipe(targets=("tensorrt-rtx:sm86",), calibrate="takes")))
    for words in (
        "zoo:scout",
        "x.mmb",
        "chosen by measurement",
        "takes: 32 to calibrate on (minmax)",
        "tensorrt-rtx:sm86",
    ):
        assert words in lines


class TestSamples:
    """What is refused as something to calibrate on."""

    def folder(self, tmp_path, change=lambda feed, number: feed, count=8):
        for number in range(count):
            feed = change({name: array[0] for name, array in sample(number).items()}, number)
            save_file(feed, tmp_path / f"{number:03}.safetensors")
        return Recipe(precisions=("int8-cpu",), calibrate=str(tmp_path))

    def refused(self, tmp_path, recipe, match):
        target = tmp_path / "x.mmb"
        with pytest.raises((InputError, UsageError), match=match):
            export(source_model(samples=False), target, recipe)
        assert not target.exists()

    def test_a_folder_of_tensors_is_read(self, tmp_path):
        exported = export(source_model(samples=False), tmp_path / "x.mmb", self.folder(tmp_path))
        assert exported.manifest.calibration.samples == 6
        assert {row.data for row in exported.manifest.parity} == {"unseen"}

    def test_an_empty_folder(self, tmp_path):
        self.refused(tmp_path, Recipe(calibrate=str(tmp_path)), "contains 0 entries, none of them a sample")

    def test_no_folder(self, tmp_path):
        self.refused(tmp_path, Recipe(calibrate=str(tmp_path / "nowhere")), "no such folder")

    def test_too_few(self, tmp_path):
        self.refused(tmp_path, self.folder(tmp_path, count=3), "3 samples.*at least 4")

    def test_nan(self, tmp_path):
        def change(feed, number):
            return {**feed, "vector": np.full(8, np.nan, np.float32)} if number == 2 else feed

        self.refused(tmp_path, self.folder(tmp_path, change), "'vector' holds NaN")

    def test_another_shape(self, tmp_path):
        self.refused(
            tmp_path,
            self.folder(tmp_path, lambda feed, _: {**feed, "image": feed["image"][:8]}),
            r"'image' has the shape \[1, 8, 24, 3\]",
        )

    def test_another_type(self, tmp_path):
        self.refused(
            tmp_path,
            self.folder(tmp_path, lambda feed, _: {**feed, "image": feed["image"].astype(np.float32)}),
            "'image' has the type float32",
        )

    def test_a_missing_input(self, tmp_path):
        self.refused(tmp_path, self.folder(tmp_path, lambda feed, _: {"image": feed["image"]}), "missing: vector")

    def test_the_same_sample_again_and_again(self, tmp_path):
        first = sample(0)["image"][0]
        self.refused(
            tmp_path,
            self.folder(tmp_path, lambda feed, _: {**feed, "image": first}),
            "'image' is the same in all 6 samples",
        )

    def test_constant_values(self, tmp_path):
        def change(feed, number):
            return {**feed, "image": np.full((16, 24, 3), number, np.uint8)}

        self.refused(tmp_path, self.folder(tmp_path, change), "'image' is constant within every sample")


def test_the_manifest_survives_being_written(target):
    exported = export(source_model(), target, Recipe(precisions=("fp16",)))
    with Bundle.open(target) as bundle:
        assert msgspec.to_builtins(bundle.manifest) == msgspec.to_builtins(exported.manifest)
    assert spec().name == exported.manifest.name
    assert picture_and_vector().graph.output[0].name == "logits"

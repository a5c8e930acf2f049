"""The golden check: an engine that computes something else must not run the bundle."""

import re
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
from bundles import senses_bundle
from safetensors import numpy as stored
from sources import Script, pictures

from mm_edge.bundle.bundle import Bundle
from mm_edge.bundle.manifest import ParityRow
from mm_edge.config import RunConfig
from mm_edge.errors import BundleError, EngineError, WorkFailedError
from mm_edge.export.verify import parity
from mm_edge.runtime.engines.golden import measure_golden
from mm_edge.runtime.engines.onnxruntime import OnnxRuntimeEngine
from mm_edge.runtime.engines.relative_error import relative_error
from mm_edge.runtime.engines.selection.choose import load_parts
from mm_edge.runtime.engines.stub import StubEngine
from mm_edge.runtime.session.run import Run


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    with Bundle.open(senses_bundle(tmp_path_factory.mktemp("bundle") / "senses.mmb", golden=True)) as opened:
        yield opened


def loaded(bundle, engine):
    names = [part.name for part in bundle.manifest.parts]
    return load_parts(bundle, engine, dict.fromkeys(names, "fp32"), dict.fromkeys(names, 1))


def test_the_engine_that_the_values_came_from_passes(bundle):
    engine = OnnxRuntimeEngine()
    results = measure_golden(bundle, engine, loaded(bundle, engine), 1e-4)
    assert {row.part for row in results} == {"encode_image", "encode_audio", "encode_text", "fuse", "chain"}
    assert max(row.relative_error for row in results) < 1e-5


@pytest.mark.parametrize("wrong", [np.nan, 1e9, 0.0])
def test_an_engine_that_gives_something_else_is_refused_with_the_worst_tensor(bundle, wrong):
    engine = StubEngine({"encode_audio": lambda audio: {"loudness": wrong}})
    failed = {
        row.part: str(row) for row in measure_golden(bundle, engine, loaded(bundle, engine), 1e-3) if not row.passed
    }
    assert "'loudness' of the part 'encode_audio' in fp32 has a relative error of" in failed["encode_audio"]


FUSED = "0/part:fuse.all"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: b"garbage", "not readable golden values"),
        (lambda values: (1 << 62).to_bytes(8, "little") + b"{}", "not readable golden values"),
        (lambda values: values.pop(FUSED), "'0/part:fuse.all' is missing; expected float32 [1, 5]"),
        (lambda values: values.pop("0/input:image"), "'0/input:image' is missing; expected uint8 [1, 32, 32, 3]"),
        (lambda values: values.update({FUSED: np.zeros((1, 4), np.float32)}), "is float32 [1, 4]; expected"),
        (lambda values: values.update({FUSED: np.zeros((0,), np.float32)}), "is float32 [0]; expected"),
        (lambda values: values.update({"0/input:audio": np.zeros((1, 16_000))}), "is float64 [1, 16000]; expected"),
    ],
)
def test_golden_values_that_cannot_be_compared_are_a_fault_of_the_bundle(bundle, monkeypatch, change, message):
    values = stored.load(bundle.read("golden.safetensors"))
    changed = change(values)
    content = changed if isinstance(changed, bytes) else stored.save(values)
    read = bundle.read
    monkeypatch.setattr(bundle, "read", lambda name: content if name == "golden.safetensors" else read(name))
    engine = OnnxRuntimeEngine()
    with pytest.raises(BundleError, match=re.escape(message)):
        measure_golden(bundle, engine, loaded(bundle, engine), 1e-4)


@pytest.mark.parametrize("claimed", [1e308, 1e9])
def test_a_bundle_cannot_justify_any_output_by_the_loss_that_it_claims(bundle, monkeypatch, claimed):
    row = ParityRow("part:encode_audio", "fp32", "loudness", 1, 0.0, 0.0, 1.0, relative_error=claimed)
    monkeypatch.setattr(bundle, "manifest", msgspec.structs.replace(bundle.manifest, parity=(row,)))
    for wrong in (np.nan, np.inf, 1e9):
        engine = StubEngine({"encode_audio": lambda audio, wrong=wrong: {"loudness": wrong}})
        rows = measure_golden(bundle, engine, loaded(bundle, engine), 1e-3)
        assert not next(row for row in rows if row.part == "encode_audio").passed


def test_parts_that_are_good_alone_and_wrong_together_are_refused(bundle):
    """An engine that hands stale values from part to part shows it only in the chain."""

    class Stale(OnnxRuntimeEngine):
        def load(self, part, *rest):
            made = super().load(part, *rest)
            if part.name == "fuse":
                slot = made.slot()
                made.slot = lambda to_host=(): slot
                run = slot.run

                def once_too_late(inputs, kept=[]):  # noqa: B006  # it remembers on purpose
                    kept.append([value.host().copy() for value in inputs])
                    for value, old in zip(inputs, kept[0], strict=True):
                        value.host()[...] = old * (1 + 0.1 * (len(kept) > 1))
                    run(inputs)

                slot.run = once_too_late
            return made

    engine = Stale()
    (failed,) = (row for row in measure_golden(bundle, engine, loaded(bundle, engine), 1e-3) if not row.passed)
    assert "of the chained parts in fp32 has a relative error of" in str(failed)


def test_a_session_does_not_start_on_an_engine_that_fails(bundle):
    engine = StubEngine()
    engine.golden_tolerance = 1e-3
    with pytest.raises(WorkFailedError, match=r"running 'senses' on stub: .* in fp32 has a relative error of"):
        Run(bundle, RunConfig(), [Script("image", pictures(3))], [], engine=engine)


def test_a_bundle_without_golden_values_runs_only_where_it_was_proven(tmp_path):
    engine = StubEngine()
    path = senses_bundle(tmp_path / "senses.mmb")
    with Bundle.open(path) as plain, pytest.raises(EngineError, match="has no golden values"):
        measure_golden(plain, engine, loaded(plain, engine), 1e-3)


def twice(tensors):
    return {**tensors, **{name.replace("0/", "1/", 1): array for name, array in tensors.items()}}


def altered(runs, change):
    """ONNX Runtime, whose audio encoder has its output changed in these runs, counted from 0."""

    class Altered(OnnxRuntimeEngine):
        def load(self, part, *rest):
            made = super().load(part, *rest)
            if part.name == "encode_audio":
                slot, calls = made.slot(), []
                made.slot = lambda to_host=(): slot
                run = slot.run

                def run_altered(inputs):
                    run(inputs)
                    calls.append(1)
                    if len(calls) - 1 in runs:
                        slot.outputs["loudness"].array[...] = change

                slot.run = run_altered
            return made

    return Altered()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("run", [0, 1])
def test_a_value_that_is_not_finite_fails_whatever_other_samples_give(bundle, monkeypatch, run, value):
    load = stored.load
    monkeypatch.setattr(stored, "load", lambda content: twice(load(content)))
    golden = msgspec.structs.replace(bundle.manifest.golden, samples=2)
    two = SimpleNamespace(manifest=msgspec.structs.replace(bundle.manifest, golden=golden), read=bundle.read)
    engine = altered({run}, value)
    rows = {row.part: row for row in measure_golden(two, engine, loaded(bundle, engine), 1e9)}
    assert not rows["encode_audio"].passed
    assert rows["encode_audio"].relative_error == float("inf")


def test_an_infinity_that_the_reference_has_too_fails(bundle, monkeypatch):
    load = stored.load
    monkeypatch.setattr(
        stored,
        "load",
        lambda content: {
            name: np.full_like(a, np.inf) if "part:encode_audio" in name else a for name, a in load(content).items()
        },
    )
    engine = StubEngine({"encode_audio": lambda audio: {"loudness": np.inf}})
    rows = {row.part: row for row in measure_golden(bundle, engine, loaded(bundle, engine), 1e9)}
    assert not rows["encode_audio"].passed


def test_rounding_of_a_tensor_that_is_zero_is_no_error():
    """As at the export, where the same difference counts as rounding: a GPU rounds zero differently."""
    zero = np.zeros(64, np.float32)
    assert relative_error(zero + np.float32(1e-9), zero) < 1e-3
    assert relative_error(zero + np.float32(1e-3), zero) > 1
    assert parity.relative_error is relative_error

"""What `auto` takes, and in which precision: by what loads, builds and passes the golden check, and it says why."""

import ctypes
import ctypes.util
import subprocess
import sys

import msgspec
import numpy as np
import pytest
from bundles import senses_bundle

from mm_edge.bundle.bundle import Bundle
from mm_edge.config import EngineConfig
from mm_edge.errors import DeviceError, EngineError, WorkFailedError
from mm_edge.runtime.engines import available
from mm_edge.runtime.engines.building import Watch
from mm_edge.runtime.engines.onnxruntime import OnnxRuntimeEngine
from mm_edge.runtime.engines.selection import select_engine
from mm_edge.runtime.engines.selection import survey as survey_room
from mm_edge.runtime.engines.selection.survey import survey

AUTO = EngineConfig()
PARTS = ("encode_image", "encode_audio", "encode_text", "fuse")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """Every precision of it is the same graph."""
    with Bundle.open(senses_bundle(tmp_path_factory.mktemp("bundle") / "senses.mmb", golden=True)) as opened:
        force = msgspec.structs.force_setattr
        for part in opened.manifest.parts:
            every = dict.fromkeys(("fp32", "fp16", "int8-trt", "int8-cpu"), part.artefacts["fp32"])
            force(part, "artefacts", every)
        force(
            opened.manifest, "preferred", {"gpu": dict.fromkeys(PARTS, "int8-trt"), "cpu": dict.fromkeys(PARTS, "fp32")}
        )
        yield opened


class Gpu(OnnxRuntimeEngine):
    """Computes with ONNX Runtime and calls itself a GPU. `wrong`: (part, precision) that come out a tenth too high;
    `refused`: those that are not built.
    """

    family = "gpu"

    def __init__(self, name="tensorrt", wrong=(), refused=(), together=()):
        super().__init__()
        self.name, self.golden_tolerance = name, 1e-3
        self.wrong, self.refused, self.together = set(wrong), set(refused), set(together)
        self.loaded, self.closed = [], []

    def load(self, part, precision, *rest):
        if (part.name, precision) in self.refused:
            raise WorkFailedError("node 'x' is refused", action=f"building '{part.name}' in {precision}")
        made = super().load(part, precision, *rest)
        self.loaded.append((part.name, precision))
        make_slot, close = made.slot, made.close
        made.close = lambda: (self.closed.append((part.name, precision)), close())

        def slot(to_host=()):
            this, engine = make_slot(to_host), self
            run = this.run

            def run_wrongly(inputs):
                run(inputs)
                if (part.name, precision) in engine.wrong:
                    for value in this.outputs.values():
                        value.array *= 1.1

            this.run = run_wrongly
            return this

        made.slot = slot
        return made


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine of one's own making: what each engine lacks, and what opening it gives."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    lacks, engines = dict.fromkeys(available.ON_A_GPU, "not here"), {}

    def open_engine(config, watch=None, read_file=None):
        if config.name == "onnxruntime":
            return OnnxRuntimeEngine()
        found = engines[config.name]
        if isinstance(found, Exception):
            raise found
        lacks[config.name] = ""
        return found

    def there(name, engine):
        lacks[name], engines[name] = "", engine

    monkeypatch.setattr(select_engine, "why_not", lacks.__getitem__)
    monkeypatch.setattr(select_engine, "open_engine", open_engine)
    return there


@pytest.mark.parametrize("name", ["auto", "tensorrt"])
@pytest.mark.parametrize("trusted", [True, False])
def test_only_a_trusted_bundle_gives_its_engines(bundle, machine, monkeypatch, name, trusted):
    machine("tensorrt", Gpu())
    monkeypatch.setattr(bundle, "trusted", trusted)
    given, works = [], select_engine.open_engine

    def open_engine(config, watch=None, read_file=None):
        given.append(read_file)
        return works(config, watch, read_file)

    monkeypatch.setattr(select_engine, "open_engine", open_engine)
    select_engine.select_engine(bundle, EngineConfig(name=name), depth=2).close()
    assert given == [bundle.read if trusted else None]


def test_an_engine_of_the_bundle_that_is_not_used_is_a_fallback(bundle, machine):
    engine = Gpu()
    describe = engine.describe
    engine.describe = lambda: {**describe(), "unused_engines": {"fuse": "the engine of 'fuse' is not used"}}
    machine("tensorrt", engine)
    selected = select_engine.select_engine(bundle, AUTO, depth=2)
    assert selected.describe()["fallbacks"] == ["the engine of 'fuse' is not used"]


def test_without_a_gpu_it_is_onnxruntime_and_each_other_is_named(bundle, machine):
    selected = select_engine.select_engine(bundle, AUTO, depth=2)
    assert selected.engine.name == "onnxruntime"
    assert selected.describe()["skipped_engines"] == dict.fromkeys(available.ON_A_GPU, "not here")
    assert "fallbacks" not in selected.describe()


@pytest.mark.parametrize("taken", available.ON_A_GPU)
def test_the_first_that_runs_is_taken(bundle, machine, taken):
    machine(taken, Gpu(taken))
    machine("onnxruntime:cuda", Gpu("onnxruntime:cuda"))
    selected = select_engine.select_engine(bundle, AUTO, depth=2)
    assert selected.engine.name == taken
    assert list(selected.skipped_engines) == list(available.ON_A_GPU[: available.ON_A_GPU.index(taken)])
    assert selected.precisions == dict.fromkeys(PARTS, "int8-trt")
    assert {row.part for row in selected.golden} == {*PARTS, "chain"}


@pytest.mark.parametrize(
    "found",
    [
        EngineError("libnvinfer.so.10: cannot open shared object file", action="loading TensorRT"),
        DeviceError("the device is lost"),
        Gpu(refused={("fuse", precision) for precision in ("int8-trt", "fp16", "fp32")}),
        Gpu(wrong={("encode_image", precision) for precision in ("int8-trt", "fp16", "fp32")}),
    ],
    ids=["does not load", "is lost", "does not build", "is wrong"],
)
def test_one_that_fails_is_skipped_with_its_reason(bundle, machine, caplog, found):
    machine("tensorrt", found)
    machine("tensorrt-rtx", Gpu("tensorrt-rtx"))
    selected = select_engine.select_engine(bundle, AUTO, depth=2)
    assert selected.engine.name == "tensorrt-rtx"
    why = selected.skipped_engines["tensorrt"]
    assert why == str(found) if isinstance(found, Exception) else "'fuse'" in why or "'encode_image'" in why
    assert f"auto skips tensorrt: {why}" in caplog.text
    if isinstance(found, Gpu):
        assert sorted(found.closed) == sorted(found.loaded)


def test_a_part_that_is_wrong_goes_down_alone_until_it_is_right(bundle, machine, caplog):
    engine = Gpu(wrong={("encode_audio", "int8-trt"), ("encode_audio", "fp16")})
    machine("tensorrt", engine)
    selected = select_engine.select_engine(bundle, AUTO, depth=2)
    assert selected.precisions == {**dict.fromkeys(PARTS, "int8-trt"), "encode_audio": "fp32"}
    assert [fallback.partition(":")[0] for fallback in selected.describe()["fallbacks"]] == [
        "encode_audio runs in fp16 instead of int8-trt",
        "encode_audio runs in fp32 instead of fp16",
    ]
    assert (
        "'loudness' of the part 'encode_audio' in int8-trt has a relative error of 0.1, allowed is 0.001" in caplog.text
    )
    assert engine.closed == [("encode_audio", "int8-trt"), ("encode_audio", "fp16")]
    assert len(engine.loaded) == len(PARTS) + 2


def test_a_part_that_does_not_build_goes_down_too(bundle, machine):
    machine("tensorrt", Gpu(refused={("fuse", "int8-trt")}))
    selected = select_engine.select_engine(bundle, AUTO, depth=2)
    assert selected.precisions["fuse"] == "fp16"
    assert "node 'x' is refused" in selected.fallbacks[0]


def test_parts_that_are_wrong_only_together_go_down_together(bundle, machine, monkeypatch):
    machine("tensorrt", Gpu())
    measure = select_engine.measure_golden

    def wrong_in_half(bundle, engine, executables, tolerance):
        rows = measure(bundle, engine, executables, tolerance)
        bad = {"int8-trt", "fp16"} & {executable.precision for executable in executables.values()}
        return [
            msgspec.structs.replace(row, relative_error=np.nan) if row.part == "chain" and bad else row for row in rows
        ]

    monkeypatch.setattr(select_engine, "measure_golden", wrong_in_half)
    selected = select_engine.select_engine(bundle, AUTO, depth=2)
    assert selected.precisions == dict.fromkeys(PARTS, "fp32")
    assert len(selected.fallbacks) == 2 * len(PARTS)


def test_an_engine_that_was_named_is_not_replaced(bundle, machine):
    machine("tensorrt", EngineError("no library", action="loading TensorRT"))
    with pytest.raises(EngineError, match="no library"):
        select_engine.select_engine(bundle, EngineConfig(name="tensorrt"), depth=2)


def test_an_engine_that_was_named_and_passes_in_no_precision_fails_the_work(bundle, machine):
    machine("tensorrt", Gpu(wrong={("fuse", precision) for precision in ("int8-trt", "fp16", "fp32")}))
    with pytest.raises(WorkFailedError, match=r"of the part 'fuse' in fp32 has a relative error of 0\.1"):
        select_engine.select_engine(bundle, EngineConfig(name="tensorrt"), depth=2)


def test_an_interrupt_stops_what_is_being_built(bundle, machine, monkeypatch):
    def interrupted(*given, **more):
        raise KeyboardInterrupt

    watch = Watch()
    machine("tensorrt", Gpu())
    monkeypatch.setattr(select_engine, "load_each", interrupted)
    with pytest.raises(KeyboardInterrupt):
        select_engine.select_engine(bundle, AUTO, depth=2, watch=watch)
    assert watch.stopped.is_set()


def test_what_does_not_close_keeps_nothing_else_open(bundle, machine):
    engine = Gpu()
    machine("tensorrt", engine)
    selected = select_engine.select_engine(bundle, AUTO, depth=2)
    close, closed = selected.executables["encode_audio"].close, []

    def broken():
        close()
        raise EngineError("freeing 'encode_audio' failed")

    selected.executables["encode_audio"].close = broken
    engine.close = lambda: closed.append("engine")
    with pytest.raises(EngineError, match="freeing 'encode_audio' failed"):
        selected.close()
    assert sorted(engine.closed) == sorted((name, "int8-trt") for name in PARTS)
    assert closed == ["engine"]


def doctor_findings():
    return {finding.name: finding for finding in survey()}


def test_doctor_reports_what_the_last_run_selected(bundle, machine):
    machine("tensorrt", EngineError("libnvinfer.so.10 is not there", action="loading TensorRT"))
    machine("tensorrt-rtx", Gpu("tensorrt-rtx", refused={("fuse", "int8-trt")}))
    assert "'senses' here" not in doctor_findings()
    select_engine.select_engine(bundle, AUTO, depth=2)
    finding = doctor_findings()["'senses' here"]
    assert finding.state == "warning"
    assert finding.found.startswith("ran on tensorrt-rtx; tensorrt should have run: loading TensorRT: libnvinfer.so.10")
    assert "fuse runs in fp16 instead of int8-trt: building 'fuse' in int8-trt: node 'x' is refused" in finding.found


def test_doctor_is_content_with_a_run_as_it_was_meant(bundle, machine):
    machine("tensorrt", Gpu())
    select_engine.select_engine(bundle, AUTO, depth=2)
    assert (doctor_findings()["'senses' here"].state, doctor_findings()["'senses' here"].found) == (
        "ok",
        "ran on tensorrt",
    )


def test_a_run_on_the_cpu_leaves_nothing_behind(bundle, machine, tmp_path):
    select_engine.select_engine(bundle, AUTO, depth=2)
    assert not (tmp_path / "cache").exists()


def test_doctor_reports_what_auto_selects(monkeypatch):
    monkeypatch.setattr(survey_room, "missing", lambda name: [] if name == "tensorrt-rtx" else ["no driver"])
    assert [(finding.name, finding.found) for finding in survey()[:2]] == [
        ("auto selects", "tensorrt-rtx, if it builds and passes the golden check; else onnxruntime on the CPU"),
        ("auto skips", "tensorrt, onnxruntime:cuda: no driver"),
    ]


def test_without_a_driver_nothing_else_is_checked(monkeypatch):
    """Every start checks this, so it must be cheap if there is no driver."""
    monkeypatch.setattr(available, "DRIVER", "libnothing.so.0")
    monkeypatch.setattr(available, "find_spec", lambda package: pytest.fail("looked for a package"))
    assert available.why_not("tensorrt") == "no NVIDIA driver is installed (libnothing.so.0)"


def test_all_that_is_missing_is_named_for_a_requested_engine(monkeypatch):
    monkeypatch.setattr(available, "DRIVER", "libnothing.so.0")
    monkeypatch.setattr(available, "find_spec", lambda package: None)
    assert list(available.missing("tensorrt")) == [
        "no NVIDIA driver is installed (libnothing.so.0)",
        "the package 'tensorrt' is not installed",
        "the package 'pycuda' is not installed",
    ]


def test_with_a_driver_a_package_is_what_is_missing(monkeypatch):
    monkeypatch.setattr(available, "DRIVER", ctypes.util.find_library("c") or "libc.so.6")
    monkeypatch.setattr(available, "find_spec", lambda package: None if package == "pycuda" else object())
    assert available.why_not("tensorrt-rtx") == "the package 'pycuda' is not installed"


def test_an_engine_that_is_requested_and_absent_ends_with_exit_3(tmp_path):
    try:
        ctypes.CDLL(available.DRIVER)
    except OSError:
        pass
    else:
        pytest.skip("there is a driver here")
    path = senses_bundle(tmp_path / "senses.mmb")
    command = [sys.executable, "-m", "mm_edge.cli", "run", str(path), "--camera", "synthetic", "--engine", "tensorrt"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "libcuda.so.1" in done.stderr
    assert "Traceback" not in done.stderr

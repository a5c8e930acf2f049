"""A run as sinks see it: a small manifest, and predictions that look like those of a robot."""

import pytest

from mm_edge.bundle.manifest import Artefact, FileDigest, Manifest, Part, Read
from mm_edge.runtime.sink import Counts, RunInfo, Summary
from mm_edge.sample import InputAge, Prediction
from mm_edge.spec import (
    AudioInput,
    AudioPrepare,
    ClassesOutput,
    ImageInput,
    ImagePrepare,
    Sync,
    TensorSpec,
)

SHA = "0" * 64


def small_manifest():
    part = Part(
        name="fuse",
        kind="fuse",
        reads={"image": Read(source="input:image"), "audio": Read(source="input:audio")},
        takes=(
            TensorSpec(name="image", dtype="uint8", shape=("batch", 8, 8, 3)),
            TensorSpec(name="audio", dtype="float32", shape=("batch", 1600)),
        ),
        gives=(TensorSpec(name="logits", dtype="float32", shape=("batch", 2)),),
        artefacts={"fp32": Artefact(file="fuse.onnx", sha256=SHA)},
    )
    return Manifest(
        format=1,
        name="scout",
        version=3,
        inputs=(
            ImageInput(name="image", prepare=ImagePrepare(size=(8, 8))),
            AudioInput(name="audio", prepare=AudioPrepare(sample_rate=16000, window=1600, hop=800)),
        ),
        parts=(part,),
        outputs=(ClassesOutput(name="sign", reads={"logits": "part:fuse.logits"}, labels=("stop", "go")),),
        sync=Sync(driver="image"),
        golden=None,
        parity=(),
        calibration=None,
        digests={"fuse.onnx": FileDigest(sha256=SHA, size=1)},
    )


@pytest.fixture
def counts():
    return Counts({"image": 40, "audio": 12}, {"image": {"overrun": 3, "stale": 0}})


@pytest.fixture
def run(counts):
    return RunInfo(
        small_manifest(),
        {"image": "/dev/video0, 1280x720 at 30/s, MJPG", "audio": "default, 48000/s"},
        {"engine": "onnxruntime", "version": "1.31.1", "threads": {"fuse": 1}},
        {"image": "camera", "audio": "mic"},
        lambda: counts,
    )


@pytest.fixture
def predict():
    def make(seq=0, *, total_ms=12.9, image_seq=None, audio=True, **other):
        heard = InputAge(seq // 3, 31.04567, "held") if audio else InputAge(None, None, "missing")
        image = InputAge(seq if image_seq is None else image_seq, 9.2, "fresh")
        known = {
            "seq": seq,
            "t_ns": 1_000_000 * seq,
            "outputs": {"sign": {"label": "stop", "score": 0.97, "scores": {"stop": 0.97, "go": 0.03}}},
            "inputs": {"image": image, "audio": heard},
            "latency_ms": {"prepare.image": 0.4, "encode.image": 7.9, "fuse": 1.1, "total": total_ms},
            "deadline_missed": False,
            "health": "ok",
        }
        return Prediction(**{**known, **other})

    return make


@pytest.fixture
def summary():
    return Summary(
        seconds=10.0,
        predictions=300,
        captured={"image": 303},
        dropped={"image": {"overrun": 3, "stale": 0}},
        latency_ms={"total": {"p50": 12.0, "p90": 13.0, "p99": 15.0, "max": 20.0}},
        age_ms={"image": {"p50": 9.0, "p99": 12.0}},
        deadline_missed=0,
        cpu_seconds=3.2,
        rss_mb=210.0,
        engine={"engine": "onnxruntime"},
        sinks={"jsonl": {}},
    )

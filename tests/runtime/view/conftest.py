"""A simulated robot that feeds a real server: images, audio, a prompt and outputs at 30 per second."""

import functools
import threading
import time

import cv2
import numpy as np
import pytest
from bundles import senses_bundle

import mm_edge
from mm_edge.bundle.manifest import Artefact, FileDigest, Manifest, Part, Read
from mm_edge.config import CameraConfig
from mm_edge.runtime.sink import Counts, RunInfo, Summary
from mm_edge.runtime.sound import SoundBlock, SoundRing
from mm_edge.runtime.sources.camera.synthetic import SyntheticCamera
from mm_edge.runtime.view.server import ViewServer
from mm_edge.sample import Event, HeatMap, InputAge, Prediction, Sample
from mm_edge.spec import (
    AudioInput,
    AudioPrepare,
    BoxesOutput,
    ClassesOutput,
    ImageInput,
    ImagePrepare,
    LabelsOutput,
    PointOutput,
    Sync,
    TensorSpec,
    TextInput,
    TextPrepare,
)

SHA = "0" * 64
RATE = 16_000
SIZE = (720, 1280)
SIGNS = ("stop", "go", "left", "right")
NAMES = {"image": "camera", "audio": "mic", "text": "text"}
FED_BY = {
    "image": "/dev/video0, 1280x720 at 30/s, MJPG",
    "audio": "default, 48000/s, resampled to 16000/s",
    "text": "typed",
}
ENGINE = {
    "engine": "onnxruntime",
    "version": "1.31.1",
    "provider": "CPUExecutionProvider",
    "precision": {"encode_image": "fp32", "fuse": "fp32"},
    "driver": "image",
    "depth": 2,
    "workers": 2,
}
NO_FIGURES = {"captured": {}, "dropped": {}, "latency_ms": {}, "age_ms": {}, "engine": {}}


def manifest():
    image = ImageInput(name="image", prepare=ImagePrepare(size=(120, 160)))
    audio = AudioInput(name="audio", prepare=AudioPrepare(sample_rate=RATE, window=RATE, hop=RATE // 10))
    text = TextInput(name="text", prepare=TextPrepare(tokenizer="tokenizer.json", length=16))
    inputs = (image, audio, text)
    part = Part(
        name="fuse",
        kind="fuse",
        reads={spec.name: Read(source=f"input:{spec.name}") for spec in inputs},
        takes=tuple(TensorSpec(name=spec.name, dtype=spec.dtype, shape=spec.shape) for spec in inputs),
        gives=(TensorSpec(name="y", dtype="float32", shape=("batch", 4)),),
        artefacts={"fp32": Artefact(file="fuse.onnx", sha256=SHA)},
    )
    given = "part:fuse.y"
    return Manifest(
        format=1,
        name="scout",
        version=3,
        inputs=inputs,
        parts=(part,),
        outputs=(
            ClassesOutput(name="sign", reads={"logits": given}, labels=SIGNS),
            PointOutput(name="target", reads={"point": given, "score": given}, input="image"),
            LabelsOutput(name="heard", reads={"logits": given}, labels=("speech", "alarm")),
            BoxesOutput(name="things", reads={"boxes": given, "scores": given}, labels=("ball", "cup"), input="image"),
        ),
        sync=Sync(driver="image"),
        golden=None,
        parity=(),
        calibration=None,
        digests={name: FileDigest(sha256=SHA, size=1) for name in ("fuse.onnx", "tokenizer.json")},
    )


def bell(x, y, rows=30, columns=40):
    """A heatmap's score at a position in the image."""
    across, down = (np.arange(columns) + 0.5) * 1280 / columns, (np.arange(rows) + 0.5) * 720 / rows
    return np.exp(-((across[None] - x) ** 2 + (down[:, None] - y) ** 2) / (2 * 60.0**2)).astype(np.float32)


class FilePlayer:
    """Pauses and steps file playback."""

    def __init__(self):
        self.paused = False
        self.steps = 0

    def pause(self):
        self.paused = True

    def resume(self):
        self.paused = False

    def step(self):
        self.steps += 1


@functools.cache
def scenes(size=SIZE, count=60):
    """Images of a table with a circling ball, and the ball's position."""
    height, width = size
    grain = cv2.resize(np.random.default_rng(0).normal(0, 5, (height // 8, 8)).astype(np.float32), (width, height))
    fall = np.linspace(168, 118, height, dtype=np.float32)[:, None, None] * np.array([0.78, 0.9, 1.0], np.float32)
    ground = np.clip(fall + grain[..., None], 0, 255).astype(np.uint8)
    made = []
    for n in range(count):
        turn = 2 * np.pi * n / count
        x, y = int(width * (0.5 + 0.3 * np.cos(turn))), int(height * (0.5 + 0.3 * np.sin(turn)))
        picture = ground.copy()
        cv2.rectangle(
            picture,
            (width // 8, height // 2),
            (width // 8 + width // 10, height // 2 + height // 5),
            (170, 120, 60),
            -1,
        )
        cv2.circle(picture, (x, y), height // 12, (40, 50, 210), -1, cv2.LINE_AA)
        made.append((picture, (float(x), float(y))))
    return made


class Robot(threading.Thread):
    """Feeds a server like the runtime, from its own thread, until it is stopped."""

    def __init__(self, server, *, fps=30.0, pictures=None):
        super().__init__(daemon=True)
        self.server, self.fps = server, fps
        self.text = "the red ball"
        self.used = []  # every prompt used for a prediction
        self.captured = self.seq = 0
        self.feeding = threading.Event()
        self.feeding.set()
        self.mic_connected = True
        self.late_ms = []  # the delay of each prediction: what a busy server costs the loop
        self._over = threading.Event()
        self._pictures = pictures or scenes()
        self._ring = SoundRing(4 * RATE)
        self._heard = 0
        server.open(RunInfo(manifest(), FED_BY, ENGINE, NAMES, self.counts))
        for source in ("camera", "mic", "text"):
            self.report(source, "live")

    def counts(self):
        captured = {"image": self.captured, "audio": self._heard, "text": 1}
        return Counts(captured, {"image": {"overrun": self.captured // 40, "stale": 0}})

    def report(self, source, state, detail=""):
        self.server.take(Event(time.monotonic_ns(), source, state, detail))

    def run(self):
        due = time.monotonic()
        while not self._over.wait(max(0.0, due - time.monotonic())):
            self.late_ms.append(1000 * (time.monotonic() - due))
            due += 1 / self.fps
            if self.feeding.is_set():
                self.server.take(self.predict())

    def predict(self):
        now = time.monotonic_ns()
        self.captured += 1
        self.seq += 1
        picture, (x, y) = self._pictures[self.seq % len(self._pictures)]
        step = RATE // int(self.fps)
        tone = 300 + 2200 * (0.5 + 0.5 * np.sin(self.seq / 40))
        t = (np.arange(step) + self._ring.written) / RATE
        loud = float(0.25 + 0.25 * np.sin(self.seq / 9))
        hiss = 0.01 * np.random.default_rng(self.seq).normal(size=step)
        self._ring.write((loud * np.sin(2 * np.pi * tone * t) + hiss).astype(np.float32))
        self._heard = self.seq // 3
        self.used.append(self.text)
        sign = SIGNS[self.seq // 75 % 4]
        sure = float(0.9 + 0.08 * np.sin(self.seq / 11))
        wobble = float(np.random.default_rng(self.seq).gamma(2, 0.4))
        samples = {"image": Sample("image", self.captured, now, picture), "text": Sample("text", 0, now, self.text)}
        if self.mic_connected:
            samples["audio"] = Sample("audio", self._heard, now, SoundBlock(self._ring, self._ring.written, step))
        stages = {"prepare.image": 0.4, "encode.image": 7.4 + wobble, "encode.audio": 2.1, "fuse": 1.1, "decode": 0.08}
        scores = {label: sure if label == sign else (1 - sure) / 3 for label in SIGNS}
        return Prediction(
            seq=self.seq,
            t_ns=now,
            outputs={
                "sign": {"label": sign, "score": sure, "scores": scores},
                "target": {"x": x, "y": y, "score": 0.93},
                "heard": {"speech": loud * 1.8, "alarm": 0.04},
                "things": [{"box": [160.0, 360.0, 288.0, 504.0], "label": "cup", "score": 0.81}],
            },
            inputs={
                "image": InputAge(self.captured, 9.2 + wobble, "fresh"),
                "audio": InputAge(self._heard, 31.0, "held") if self.mic_connected else InputAge(None, None, "missing"),
                "text": InputAge(0, 4000.0, "held"),
            },
            latency_ms={**stages, "total": sum(stages.values()) + 1},
            deadline_missed=False,
            health="ok" if self.mic_connected else "degraded",
            sources=samples,
            maps={"target": HeatMap(bell(x, y), (0.0, 0.0, 1280.0, 720.0))},
        )

    def stop(self):
        self._over.set()
        self.join()
        self.server.take(
            Summary(seconds=1.0, predictions=self.seq, deadline_missed=0, cpu_seconds=0.0, rss_mb=0.0, **NO_FIGURES)
        )


@pytest.fixture
def player():
    return FilePlayer()


@pytest.fixture
def serve():
    """Starts servers on free ports, and stops them with their robots."""
    started = []

    def make(*, feed=True, fps=30.0, pictures=None, **options):
        server = ViewServer(port=0, **options)
        server.start()
        robot = Robot(server, fps=fps, pictures=pictures)
        if server.set_text is None and "set_text" not in options:
            server.set_text = lambda text: setattr(robot, "text", text)
        started.append((server, robot, feed))
        if feed:
            robot.start()
        return server, robot

    yield make
    for server, robot, feed in started:
        if feed:
            robot.stop()
        server.close()
        server._thread.join(10)  # a busy machine may need longer than close() waits
        assert not server._thread.is_alive()


@pytest.fixture
def two_cameras(tmp_path):
    """The page of a real run with the cameras `door` and `yard`; `stop` ends one of them."""
    server = ViewServer(port=0)
    server.start()
    path = senses_bundle(tmp_path / "senses.mmb")
    sources = [SyntheticCamera("image", CameraConfig(width=640, height=360, fps=15)) for _ in range(2)]
    for source, name in zip(sources, ("door", "yard"), strict=True):
        source.name = name
    with mm_edge.open(path, sources={"image": sources}, text="the red ball", sinks=[server]):
        yield server, {source.name: source.interrupt for source in sources}
    server._thread.join(10)

"""Cost of preparation: pictures relative to bare OpenCV calls, audio windows, and the error of each resize method.

python -m mm_edge.benchmarks.studies.live.preparing
"""

from __future__ import annotations

import functools
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from mm_edge.benchmarks.bench.frames import frames
from mm_edge.runtime.prepare import preparer
from mm_edge.runtime.sound import SoundBlock, SoundRing
from mm_edge.spec import AudioInput, AudioPrepare, ImageInput, ImagePrepare

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

RUNS = 400
SIZES = (224, 160)


def microseconds(runs: int = RUNS) -> dict[str, float]:
    """Median CPU time per call in microseconds, in turns."""
    calls = {**picture_calls(), **sound_calls()}
    spent: dict[str, list[int]] = {name: [] for name in calls}
    for _ in range(runs):
        for name, call in calls.items():
            before = time.thread_time_ns()
            call()
            spent[name].append(time.thread_time_ns() - before)
    return {name: float(np.median(times)) / 1000 for name, times in spent.items()}


def picture_calls() -> dict[str, Callable[[], Any]]:
    """1280x720 BGR to a square RGB picture: ours, and bare OpenCV calls."""
    frame = frames(1)[0]
    calls: dict[str, Callable[[], Any]] = {}
    for size in SIZES:
        ours = preparer(ImageInput("image", ImagePrepare((size, size))), lambda _: b"")
        into = {"": np.empty((1, size, size, 3), np.uint8)}
        calls[f"picture {size}, mm-edge"] = functools.partial(ours.write, frame, into)
        for name, shrink in SHRINKS.items():
            calls[f"picture {size}, bare cv2, {name}"] = _bare(frame, size, shrink)
    return calls


def _linear(frame: NDArray[np.uint8], into: NDArray[np.uint8]) -> None:
    cv2.resize(frame, into.shape[1::-1], dst=into)


def _area(frame: NDArray[np.uint8], into: NDArray[np.uint8]) -> None:
    cv2.resize(frame, into.shape[1::-1], dst=into, interpolation=cv2.INTER_AREA)


SHRINKS = {"bilinear": _linear, "area": _area}


def _bare(frame: NDArray[np.uint8], size: int, shrink: Callable[..., None]) -> Callable[[], Any]:
    small, out = np.empty((size, size, 3), np.uint8), np.empty((size, size, 3), np.uint8)

    def call() -> None:
        shrink(frame, small)
        cv2.cvtColor(small, cv2.COLOR_BGR2RGB, dst=out)

    return call


def sound_calls() -> dict[str, Callable[[], Any]]:
    """A second of audio at 16 kHz: copying the window, and writing a hop into the ring buffer."""
    ours = preparer(AudioInput("audio", AudioPrepare(16_000, 16_000, 1_600)), lambda _: b"")
    ring, hop = SoundRing(80_000), np.zeros(1_600, np.float32)
    ring.write(np.zeros(80_000, np.float32))
    into = {"": np.empty((1, 16_000), np.float32)}
    return {
        "window of 1 s, mm-edge": lambda: ours.write(SoundBlock(ring, ring.written, 1_600), into),
        "hop of 0.1 s into the ring": lambda: ring.write(hop),
    }


def shrinking_errors() -> dict[str, float]:
    """Mean absolute error in levels of 255, relative to exact area averaging."""
    noise = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    errors = {}
    for size in SIZES:
        truth = cv2.resize(noise.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
        out = np.empty((1, size, size, 3), np.uint8)
        preparer(ImageInput("image", ImagePrepare((size, size), color="bgr")), lambda _: b"").write(noise, {"": out})
        errors[f"{size}, mm-edge"] = float(np.abs(out[0] - truth).mean())
        for name, shrink in SHRINKS.items():
            shrink(noise, out[0])
            errors[f"{size}, {name}"] = float(np.abs(out[0] - truth).mean())
    return errors


def allocated_bytes(calls_each: int = 50) -> dict[str, int]:
    """Peak allocation of a call, after the first calls."""
    peaks = {}
    for name, call in {**picture_calls(), **sound_calls()}.items():
        for _ in range(3):
            call()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(calls_each):
            call()
        peaks[name] = tracemalloc.get_traced_memory()[1] - before
        tracemalloc.stop()
    return peaks


def main() -> None:
    cv2.setNumThreads(1)
    peaks = allocated_bytes()
    for name, us in microseconds().items():
        print(f"{name:<38} {us:8.1f} us   {peaks[name]:6d} bytes")
    for name, error in shrinking_errors().items():
        print(f"error on noise, {name:<22} {error:8.2f} levels")


if __name__ == "__main__":
    main()

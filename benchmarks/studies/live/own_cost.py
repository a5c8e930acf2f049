"""CPU cost of the loop per result besides the part and the preparation, by thread clocks."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mm_edge.benchmarks.bench.frames import ReadyFile, frames
from mm_edge.benchmarks.models.vision import vision_bundle
from mm_edge.bundle.bundle import Bundle
from mm_edge.config import LoopConfig, RunConfig
from mm_edge.cores import usable_cores
from mm_edge.runtime.loop.decode_stage import DecodeStage
from mm_edge.runtime.loop.stages import PartStage, PrepareStage
from mm_edge.runtime.process import cpu_seconds
from mm_edge.runtime.session.run import Run

from .timed_run import WARM_UP_S, Ages

if TYPE_CHECKING:
    from collections.abc import Iterator

NS_PER_US = 1000
STAGES: dict[str, Any] = {"part": PartStage, "picture": PrepareStage, "decoding": DecodeStage}


def own_cost(rounds: int = 6, seconds: float = 2.0) -> dict[str, float]:
    """Microseconds per result under saturation, where no thread waits for frames."""
    pictures, spent_us = frames(60), defaultdict[str, list[float]](list)
    with Bundle.open(vision_bundle()) as bundle:
        for _ in range(rounds):
            session = Run(
                bundle,
                RunConfig(loop=LoopConfig(depth=max(2, usable_cores()))),
                [ReadyFile("image", pictures)],
                [Ages()],
            )
            with stages_timed() as spent_ns, session:
                session.wait(WARM_UP_S)
                before, start_s = _state(session, spent_ns), cpu_seconds()
                session.wait(seconds)
                after, all_s = _state(session, spent_ns), cpu_seconds() - start_s
            results = after.pop("results") - before.pop("results")
            for name, value in after.items():
                spent_us[name].append((value - before[name]) / results / NS_PER_US)
            spent_us["own"].append(all_s * 1e6 / results - spent_us["part"][-1] - spent_us["picture"][-1])
    found = {f"{name}_us": statistics.median(values) for name, values in spent_us.items()}
    return {**found, "share": found["own_us"] / (found["part_us"] + found["picture_us"])}


def _state(session: Run, spent_ns: dict[str, int]) -> dict[str, float]:
    """CPU nanoseconds so far, and the number of results."""
    threads = {"sink": session.sink_keepers[0], "source": session.source_keepers[0]}
    return {
        "results": session.predictions,
        **{name: spent_ns[name] for name in STAGES},
        **{
            name: int(Path(f"/proc/self/task/{t.native_id}/schedstat").read_text().split()[0])
            for name, t in threads.items()
        },
    }


@contextmanager
def stages_timed() -> Iterator[dict[str, int]]:
    """Sums the CPU time of each kind of stage in the thread that runs it."""
    spent_ns: dict[str, int] = dict.fromkeys(STAGES, 0)
    real = {name: kind.run for name, kind in STAGES.items()}

    def timing(name: str, run: Any) -> Any:
        def timed_run(stage: Any, task: Any) -> None:
            began_ns = time.thread_time_ns()
            try:
                run(stage, task)
            finally:
                taken_ns = time.thread_time_ns() - began_ns
                spent_ns[name] += taken_ns  # without a call in between, so that no other thread can run in between

        return timed_run

    try:
        for name, kind in STAGES.items():
            kind.run = timing(name, real[name])
        yield spent_ns
    finally:
        for name, kind in STAGES.items():
            kind.run = real[name]

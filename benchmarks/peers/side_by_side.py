"""Measures the contenders of a task in turns, each in new processes every round, on the same video and camera."""

from __future__ import annotations

import statistics
import sys
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from mm_edge.benchmarks.bench.frames import video
from mm_edge.benchmarks.bench.interval import percentile
from mm_edge.benchmarks.bench.machine import Watch, machine
from mm_edge.benchmarks.models.exported import CACHE
from mm_edge.errors import WorkFailedError

from .environments import CannotRunError, versions_of
from .peer_process import PeerProcess
from .results import CPU_MS, SCHEMA, THROUGHPUT, WAYS, Found, Peer, Results, cores_used

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from .tasks import Contender, Task

CAMERA_FPS = 30.0
OVERLOAD = 3.0  # times the offline throughput of mm-edge
LONGEST_ERROR = 200  # characters
SHORT_FRAMES, SHORT_S = 40, 2.0
Turn = dict[str, dict[str, Any]]  # the answers of one process: for START and each of WAYS
START = "start"
OFFLINE, REAL_TIME, OVERLOADED = WAYS


def measure(task: Task, only: Collection[str], rounds: int, seconds: float) -> Results:
    """`seconds`: duration of each live run in a round."""
    ours = task.contenders[0]
    wanted = [each for each in task.contenders if not only or each.file in {*only, ours.file, task.reference}]
    able, failed = _able(task, wanted)
    if missing := {ours.file, task.reference} - {each.file for each in able}:
        raise WorkFailedError(f"{failed}", action=f"running {', '.join(sorted(missing))}, which the comparison needs")
    watch, path = Watch(), video_of(task.frames)
    turns: dict[str, list[Turn]] = {each.file: [] for each in able}
    overload_fps = 0.0
    for number in range(rounds):
        # New processes each round, since memory layout differs between processes and affects timings.
        for each in able if number % 2 == 0 else reversed(able):
            try:
                turn = _turn(each, able[each], path, seconds, overload_fps)
            except CannotRunError as error:
                raise WorkFailedError(f"{error}", action=f"running {each.title} in round {number + 1}") from error
            overload_fps = turn[OVERLOADED]["fps"]
            turns[each.file].append(turn)
            print(f"{task.title}: round {number + 1} of {rounds}: {each.title}", file=sys.stderr)
    reference = turns[task.reference][0][OFFLINE]["labels"]
    return Results(
        schema=SCHEMA,
        title=task.title,
        model=task.model,
        when=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        frames=task.frames,
        rounds=rounds,
        seconds=seconds,
        camera_fps=CAMERA_FPS,
        overload_fps=round(overload_fps, 1),
        machine=machine(watch.conditions()),
        reference=next(each.title for each in able if each.file == task.reference),
        peers=tuple(_summary(each, turns[each.file], reference, ours=each is ours) for each in able),
        failed=failed,
    )


def video_of(frames: int) -> Path:
    """Square, so that every library gives the network the same picture, whether it stretches or crops."""
    return video(CACHE / f"shapes-square-{frames}.mp4", frames, cut_square=True)


def _able(task: Task, wanted: Iterable[Contender]) -> tuple[dict[Contender, Path], dict[str, str]]:
    """The contenders that run the model, with their model files, after one trial each (which fills file caches); and
    the errors of the others.
    """
    able, failed = {}, {}
    for each in wanted:
        try:
            model = task.load(each.file)
            turn = _turn(each, model, video_of(SHORT_FRAMES), SHORT_S, CAMERA_FPS)
            answered = len(turn[OFFLINE]["labels"])
            if answered != SHORT_FRAMES:
                raise CannotRunError(f"answered {answered} of {SHORT_FRAMES} frames of a file")
            able[each] = model
        except CannotRunError as error:
            failed[each.title] = " ".join(f"{error}".split())[:LONGEST_ERROR]
        print(f"{task.title}: {each.title}: {'runs' if each in able else failed[each.title]}", file=sys.stderr)
    return able, failed


def _turn(contender: Contender, model: Path, path: Path, seconds: float, overload_fps: float) -> Turn:
    """`overload_fps` 0: OVERLOAD times the offline throughput of this contender."""
    peer = PeerProcess(contender.module, contender.environment, model, path)
    real_time = peer.request("live", f"{CAMERA_FPS}", f"{seconds}")  # first, so that memory is that of a live run
    offline = peer.request("offline")
    fps = overload_fps or OVERLOAD * offline["results"] / offline["seconds"]
    overload = peer.request("live", f"{fps}", f"{seconds}") | {"fps": fps}
    peer.close()
    start = {"seconds": peer.start_s, "environment": peer.environment}
    return {START: start, REAL_TIME: real_time, OFFLINE: offline, OVERLOADED: overload}


def _summary(contender: Contender, turns: list[Turn], reference: list[int], *, ours: bool) -> Peer:
    def middle(way: str, what: str, of: str = "", times: float = 1.0) -> Found:
        rounds = tuple(float(times * turn[way][what] / (turn[way][of] if of else 1.0)) for turn in turns)
        return Found(statistics.median(rounds), rounds)

    def latency(way: str, share: int) -> Found:
        rounds = tuple(percentile(turn[way]["latencies_ms"], share) for turn in turns)
        return Found(percentile([each for turn in turns for each in turn[way]["latencies_ms"]], share), rounds)

    same = [mine == its for turn in turns for mine, its in zip(turn[OFFLINE]["labels"], reference, strict=True)]
    figures = {
        f"{OFFLINE}: {THROUGHPUT}": middle(OFFLINE, "results", "seconds"),
        f"{OFFLINE}: {CPU_MS}": middle(OFFLINE, "cpu_s", "results", 1000),
        f"{REAL_TIME}: latency p50, ms": latency(REAL_TIME, 50),
        f"{REAL_TIME}: latency p99, ms": latency(REAL_TIME, 99),
        f"{REAL_TIME}: {THROUGHPUT}": middle(REAL_TIME, "results", "seconds"),
        f"{REAL_TIME}: {CPU_MS}": middle(REAL_TIME, "cpu_s", "results", 1000),
        f"{REAL_TIME}: memory, MB": middle(REAL_TIME, "memory_mb"),
        f"{OVERLOADED}: latency p50, ms": latency(OVERLOADED, 50),
        f"{OVERLOADED}: latency p99, ms": latency(OVERLOADED, 99),
        f"{OVERLOADED}: {THROUGHPUT}": middle(OVERLOADED, "results", "seconds"),
        f"{OVERLOADED}: {CPU_MS}": middle(OVERLOADED, "cpu_s", "results", 1000),
        "start to first result, s": middle(START, "seconds"),
    }
    return Peer(
        name=contender.title,
        ours=ours,
        versions=versions_of(contender.environment),
        figures=figures,
        same_answers=sum(same) / len(same),
        environment=turns[0][START]["environment"],
        cores_used=cores_used(figures),
    )

"""Measures the contenders of a task in turns: each in new processes every round, on the same film and camera."""

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

from .driven import Driven
from .environments import CannotRunError, versions_of
from .results import Found, Peer, Results

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from .tasks import Contender, Task

KEEPS_UP_FPS = 30.0
TOO_SLOW = 3.0
MOST_TOLD = 200
SHORT_FRAMES, SHORT_S = 40, 2.0
Turn = dict[str, dict[str, Any]]  # what one process told: by OFFLINE, KEEPS_UP, TOO_FAST, and START
START, OFFLINE, KEEPS_UP, TOO_FAST = "start", "offline", "keeps up", "too slow"


def measure(task: Task, only: Collection[str], rounds: int, seconds: float) -> Results:
    """`seconds` of each live run, a round."""
    ours = task.contenders[0]
    wanted = [each for each in task.contenders if not only or each.file in {*only, ours.file, task.right}]
    able, absent = _able(task, wanted)
    if missing := {ours.file, task.right} - {each.file for each in able}:
        raise WorkFailedError(f"{absent}", action=f"comparing with {', '.join(sorted(missing))}, which must run")
    watch, film = Watch(), film_of(task.frames)
    turns: dict[str, list[Turn]] = {each.file: [] for each in able}
    too_slow_fps = 0.0
    for number in range(rounds):
        # New processes each round: where memory comes to lie is part of what a run is worth.
        for each in able if number % 2 == 0 else reversed(able):
            try:
                turn = _turn(each, able[each], film, seconds, too_slow_fps)
            except CannotRunError as error:
                raise WorkFailedError(f"{error}", action=f"running {each.title} in round {number + 1}") from error
            too_slow_fps = turn[TOO_FAST]["fps"]
            turns[each.file].append(turn)
            print(f"{task.title}: round {number + 1} of {rounds}: {each.title}", file=sys.stderr)
    right = turns[task.right][0][OFFLINE]["labels"]
    return Results(
        title=task.title,
        model=task.model,
        when=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        frames=task.frames,
        rounds=rounds,
        seconds=seconds,
        keeps_up_fps=KEEPS_UP_FPS,
        too_slow_fps=round(too_slow_fps, 1),
        machine=machine(watch.heat()),
        right=next(each.title for each in able if each.file == task.right),
        peers=tuple(_summed(each, turns[each.file], right, ours=each is ours) for each in able),
        absent=absent,
    )


def film_of(frames: int) -> Path:
    """Square, so that all see the same picture: some libraries stretch it to what a network takes, others cut it."""
    return video(CACHE / f"shapes-square-{frames}.mp4", frames, cut_square=True)


def _able(task: Task, wanted: Iterable[Contender]) -> tuple[dict[Contender, Path], dict[str, str]]:
    """Those that run the model, with what they load, each tried once (its files are cached afterwards); the others
    with their reason.
    """
    able, absent = {}, {}
    for each in wanted:
        try:
            model = task.load(each.file)
            turn = _turn(each, model, film_of(SHORT_FRAMES), SHORT_S, KEEPS_UP_FPS)
            answered = len(turn[OFFLINE]["labels"])
            if answered != SHORT_FRAMES:
                raise CannotRunError(f"it answered {answered} of {SHORT_FRAMES} frames of a file")
            able[each] = model
        except CannotRunError as error:
            absent[each.title] = " ".join(f"{error}".split())[:MOST_TOLD]
        print(f"{task.title}: {each.title} {'runs' if each in able else absent[each.title]}", file=sys.stderr)
    return able, absent


def _turn(contender: Contender, model: Path, film: Path, seconds: float, too_slow_fps: float) -> Turn:
    """Frames come too fast at three times what this one takes offline, if it is not told otherwise."""
    peer = Driven(contender.module, contender.environment, model, film)
    keeps_up = peer.ask("live", f"{KEEPS_UP_FPS}", f"{seconds}")  # first: its memory is that of a live run
    offline = peer.ask("offline")
    fps = too_slow_fps or TOO_SLOW * offline["results"] / offline["seconds"]
    too_fast = peer.ask("live", f"{fps}", f"{seconds}") | {"fps": fps}
    peer.close()
    return {START: {"seconds": peer.start_s}, KEEPS_UP: keeps_up, OFFLINE: offline, TOO_FAST: too_fast}


def _summed(contender: Contender, turns: list[Turn], right: list[int], *, ours: bool) -> Peer:
    def middle(way: str, what: str, of: str = "", times: float = 1.0) -> Found:
        rounds = tuple(float(times * turn[way][what] / (turn[way][of] if of else 1.0)) for turn in turns)
        return Found(statistics.median(rounds), rounds)

    def age(way: str, share: int) -> Found:
        rounds = tuple(percentile(turn[way]["ages_ms"], share) for turn in turns)
        return Found(percentile([age for turn in turns for age in turn[way]["ages_ms"]], share), rounds)

    same = [mine == its for turn in turns for mine, its in zip(turn[OFFLINE]["labels"], right, strict=True)]
    return Peer(
        name=contender.title,
        ours=ours,
        versions=versions_of(contender.environment),
        figures={
            "offline, frames a second": middle(OFFLINE, "results", "seconds"),
            "offline, CPU ms a result": middle(OFFLINE, "cpu_s", "results", 1000),
            "keeps up, age p50 ms": age(KEEPS_UP, 50),
            "keeps up, age p99 ms": age(KEEPS_UP, 99),
            "keeps up, results a second": middle(KEEPS_UP, "results", "seconds"),
            "keeps up, CPU ms a result": middle(KEEPS_UP, "cpu_s", "results", 1000),
            "keeps up, memory MB": middle(KEEPS_UP, "memory_mb"),
            "too slow, age p50 ms": age(TOO_FAST, 50),
            "too slow, age p99 ms": age(TOO_FAST, 99),
            "too slow, results a second": middle(TOO_FAST, "results", "seconds"),
            "too slow, CPU ms a result": middle(TOO_FAST, "cpu_s", "results", 1000),
            "start to first result s": middle(START, "seconds"),
        },
        same_answers=sum(same) / len(same),
    )

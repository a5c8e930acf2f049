"""Runs the scenarios in rounds, each with a reference timing, and collects their figures in a report."""

from __future__ import annotations

import hashlib
import statistics
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import cv2
from msgspec.structs import replace

from mm_edge.bundle.bundle import Bundle
from mm_edge.errors import UsageError
from mm_edge.runtime.engines.available import ON_A_GPU, why_not
from mm_edge.runtime.engines.selection.choice import is_open
from mm_edge.runtime.engines.selection.tuned import recall_best
from mm_edge.shipped import demo_take

from .figure import SCHEMA, Report
from .machine import Watch, machine
from .measure import overhead_ns
from .scenarios import DEFAULT, SCENARIOS, Scenario
from .scenarios.setting import Setting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mm_edge.config import EngineConfig, RunConfig
    from mm_edge.runtime.engine import Engine

ROUNDS = 6
SECONDS = 90.0
QUICK_SECONDS = 20.0
HARNESS_READINGS = 300  # a round
NS_PER_MS = 1_000_000


def select_scenarios(names: Sequence[str]) -> list[type[Scenario]]:
    """The scenarios by name; none or `all`: the default ones."""
    if not names or "all" in names:
        return list(DEFAULT)
    if unknown := [name for name in names if name not in SCENARIOS]:
        raise UsageError(
            "unknown scenario",
            action=f"--scenario {unknown[0]}",
            hint=f"Available: {', '.join(SCENARIOS)}, all",
        )
    return [SCENARIOS[name] for name in dict.fromkeys(names)]


def bench(
    path: Path,
    config: RunConfig,
    scenarios: Sequence[type[Scenario]],
    *,
    seconds: float = SECONDS,
    rounds: int = ROUNDS,
    take: Path | None = None,
    progress: Callable[[str, int, int], None] = lambda _doing, _done, _all: None,
    open_it: Callable[[EngineConfig], Engine] | None = None,
) -> Report:
    """Measures the bundle at `path`. `progress` gets the current scenario, and the done and total steps."""
    watch, began_s = Watch(), time.monotonic()
    with Bundle.open(path, config.trust) as bundle:
        config, note = _with_tuned(bundle, config)
        setting = Setting(bundle, path, config, take or _own_take(bundle), **({"open_it": open_it} if open_it else {}))
        setting.notes += note
        made = [scenario(setting) for scenario in scenarios]
        pace_us: dict[str, list[float]] = {each.name: [] for each in made}
        shares = sum(each.share for each in made)
        steps, harness_ns = rounds * len(made), list[float]()
        for number in range(rounds):
            # Every other round runs in reverse, so that no scenario always follows the same one.
            for place, each in enumerate(made if number % 2 == 0 else made[::-1]):
                progress(each.name, number * len(made) + place, steps)
                before_us = setting.yardstick.us()
                each.round(seconds * each.share / shares / rounds)
                pace_us[each.name].append((before_us + setting.yardstick.us()) / 2)
                harness_ns.append(overhead_ns(setting.calls_a_reading, HARNESS_READINGS))
        progress("done", steps, steps)
        figures = [figure for each in made for figure in each.figures(tuple(pace_us[each.name]))]
        return Report(
            schema=SCHEMA,
            when=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            bundle=bundle.manifest.name,
            bundle_digest=_digest(bundle),
            engine={**setting.describe(), "opencv_threads": cv2.getNumThreads()},
            seconds=time.monotonic() - began_s,
            round_count=rounds,
            pace_us=statistics.median(pace for paces in pace_us.values() for pace in paces),
            # The minimum of both: timings at different moments are taken at different speeds of the machine.
            overhead_ns=min(harness_ns),
            overhead_of_shortest=min(harness_ns) / NS_PER_MS / setting.shortest_ms,
            machine=machine(watch.conditions()),
            figures=tuple(figures),
            spans=setting.spans,
            ages=setting.ages,
            notes=tuple(dict.fromkeys(setting.notes)),
        )


def _with_tuned(bundle: Bundle, config: RunConfig) -> tuple[RunConfig, list[str]]:
    """The configuration with the choice that `mm-edge run` would use here, and a note of it."""
    if not (is_open(config.engine) and config.engine.improve) or not all(map(why_not, ON_A_GPU)):
        return config, []
    if (tuned := recall_best(bundle, "latency")) is None:
        return config, []
    loop = replace(config.loop, depth=config.loop.depth or tuned.choice.depth)
    by = "mm-edge tune" if tuned.origin == "tune" else "an earlier run"
    return replace(config, engine=tuned.choice.config, loop=loop), [f"{tuned.choice}, chosen by {by}"]


def _digest(bundle: Bundle) -> str:
    """A digest of the whole bundle, from the digests in its manifest."""
    names_and_digests = "".join(f"{name}{file.sha256}" for name, file in sorted(bundle.manifest.digests.items()))
    return hashlib.sha256(names_and_digests.encode()).hexdigest()[:16]


def _own_take(bundle: Bundle) -> Path | None:
    """The demo take, for the bundle that it belongs to."""
    return demo_take() if bundle.manifest.name == "scout" else None

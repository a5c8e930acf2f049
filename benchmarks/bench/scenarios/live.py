"""The live loop on sources at their real rates: latency from capture, ages, drops; idle, saturated, and without each
modality.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mm_edge.benchmarks.bench.feeds import CAMERA_FPS
from mm_edge.benchmarks.bench.floors.bare import BareParts
from mm_edge.benchmarks.bench.measure import timed, warm
from mm_edge.spec import TextInput

from .observed_run import ObservedRun
from .series import Series, rate

if TYPE_CHECKING:
    from mm_edge.benchmarks.bench.figure import Figure

    from .setting import Setting

OVERLOAD = 3.0  # frames arrive three times as fast as the model runs
TICKS_SHOWN = 4
DEADLINE_MS = 1000 / CAMERA_FPS  # a result after the next picture is late


class Live:
    """Idle and saturated: between frames of a camera a processor lowers its clock, under full load it does not."""

    name, share = "live", 0.25

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        names = [spec.name for spec in setting.bundle.manifest.inputs]
        driver = setting.bundle.manifest.sync.driver
        self._without = [name for name in names if name != driver] if len(names) > 1 else []
        self._driver = driver
        ways = ["idle", "saturated", *(f"without {name}" for name in self._without)]
        self._totals: dict[str, Series] = {way: Series() for way in ways}
        self._constant = {spec.name for spec in setting.bundle.manifest.inputs if isinstance(spec, TextInput)}
        self._age = {name: Series() for name in names if name not in self._constant}
        self._bare = Series()
        self._rates: list[float] = []
        self._missed: list[float] = []
        self._dropped: list[float] = []
        self._lost: list[float] = []

    def round(self, seconds: float) -> None:
        setting = self._setting
        config = setting.with_loop(deadline_ms=setting.config.loop.deadline_ms or DEADLINE_MS)
        bare = BareParts(setting.bundle, setting.engine(), setting.precisions)
        warm(bare, 0.3)
        bare_ms = timed(bare, seconds * 0.05, 10)
        self._bare.add(bare_ms)
        slice_s = seconds / (2.5 + len(self._without))
        idle = ObservedRun(setting, config, setting.feeds.sources(), 1.5 * slice_s)
        self._totals["idle"].add(idle.latencies_ms)
        for name, series in self._age.items():
            series.add(idle.age_ms.get(name, []))
        self._missed.append(idle.missed / len(idle.total_ms))
        driver = idle.summary.dropped[idle.summary.engine["driver"]]
        self._dropped.append(sum(driver.values()) / max(1, sum(idle.summary.captured.values())))
        fps = max(2 * CAMERA_FPS, OVERLOAD * setting.cores * 1000 / sorted(bare_ms)[len(bare_ms) // 2])
        full = ObservedRun(setting, config, setting.feeds.sources(fps), slice_s)
        self._totals["saturated"].add(full.latencies_ms)
        self._rates.append(full.rate())
        counted = full.summary
        of_driver = counted.engine["driver"]
        accounted = counted.predictions + sum(counted.dropped[of_driver].values())
        self._lost.append(counted.captured[of_driver] - accounted)
        for name in self._without:
            run = ObservedRun(setting, config, setting.feeds.sources(without=name), slice_s)
            self._totals[f"without {name}"].add(run.latencies_ms)
        self._keep(idle, full)

    def figures(self, pace_us: tuple[float, ...]) -> list[Figure]:
        floor = ("the bare engine", self._bare.middle())
        made = []
        for way, series in self._totals.items():
            percents = (50, 99) if way in {"idle", "saturated"} else (50,)
            made += [series.figure(self.name, f"{way}.p{each}", each, pace_us, floor=floor) for each in percents]
        for name, series in self._age.items():
            if series.rounds:
                made.append(series.figure(self.name, f"age {name}", 99, note="age of the capture in the prediction"))
        made += [
            rate(self.name, "saturated.rate", self._rates, pace_us, unit="predictions/s"),
            rate(
                self.name,
                "late",
                self._missed,
                unit="of all",
                better="neither",
                note=f"delivered after {DEADLINE_MS:.1f} ms, at {CAMERA_FPS:g} frames/s",
            ),
            rate(self.name, "dropped", self._dropped, unit="of all", better="neither", note="idle; any reason"),
            rate(
                self.name,
                "unaccounted",
                self._lost,
                unit="captures",
                better="neither",
                note="captured - predicted - dropped, saturated",
            ),
        ]
        return made

    def _keep(self, idle: ObservedRun, full: ObservedRun) -> None:
        """Keeps the timeline and the ages of the last round for the page."""
        self._setting.spans = idle.timeline(TICKS_SHOWN)
        self._setting.ages = {
            # A text is constant until another is set, so its age is not a property of the loop.
            **{f"{name}, idle": idle.ages_over_time(name) for name in idle.age_ms if name not in self._constant},
            f"{self._driver}, saturated": full.ages_over_time(self._driver),
        }

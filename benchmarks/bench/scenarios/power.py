"""Millijoules a prediction while every core works, where the machine has a meter: Jetson's rails, RAPL or NVML."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from mm_edge.doctor.system import below_root, listed, number, read, run
from mm_edge.jetson.power import power as jetson_power

from .series import rate
from .watched import Watched

if TYPE_CHECKING:
    from collections.abc import Callable

    from mm_edge.benchmarks.bench.figure import Figure

    from .setting import Setting

WAITS_S = 0.1  # between two looks at a meter that tells watts
SATURATED_FPS = 2000.0


class Power:
    """Without a meter it measures nothing and says so."""

    name, share = "power", 0.05

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._meter, self._joules = _meter()
        self._millijoules: list[float] = []

    def round(self, seconds: float) -> None:
        if self._joules is None:
            return
        before, began_s = self._joules(), time.perf_counter()
        run = Watched(self._setting, self._setting.config, self._setting.feeds.sources(SATURATED_FPS), seconds)
        spent = self._joules() - before
        self._millijoules.append(spent * 1000 / len(run.total_ms) * (run.seconds / (time.perf_counter() - began_s)))

    def figures(self, pace_us: tuple[float, ...]) -> list[Figure]:
        if not self._millijoules:
            self._setting.notes.append(
                "power: this machine has no meter that may be read (Jetson rails, RAPL, NVML); nothing was measured"
            )
            return []
        return [
            rate(
                self.name,
                "a prediction",
                self._millijoules,
                pace_us,
                unit="mJ",
                better="less",
                note=f"{self._meter}; the whole of what it meters, saturated",
            )
        ]


def _meter() -> tuple[str, Callable[[], float] | None]:
    """The name of the best meter that is there and a function that gives joules since some moment."""
    if any(finding.name == "power draw" for finding in jetson_power()):
        return "the board's rails", _summed(_board_watts)
    zones = [zone for zone in listed("sys/class/powercap/intel-rapl:[0-9]") if read(f"{below_root(zone)}/energy_uj")]
    if zones:
        return "RAPL", lambda: sum((number(f"{below_root(zone)}/energy_uj") or 0) / 1e6 for zone in zones)
    if _gpu_watts() is not None:
        return "NVML", _summed(lambda: _gpu_watts() or 0.0)
    return "none", None


def _board_watts() -> float:
    for finding in jetson_power():
        if finding.name == "power draw":
            rails = {name: float(value) for name, value in finding.facts.items()}
            return next((value for name, value in rails.items() if "VDD_IN" in name), sum(rails.values()))
    return 0.0


def _gpu_watts() -> float | None:
    told = run("nvidia-smi", "--query-gpu=power.draw", "--format=csv,noheader,nounits")
    match = re.match(r"\s*([\d.]+)", told or "")
    return float(match[1]) if match else None


def _summed(watts: Callable[[], float]) -> Callable[[], float]:
    """Joules from a meter that tells watts, looked at by a thread of its own."""
    import threading

    total = 0.0

    def look() -> None:
        nonlocal total
        last_s = time.monotonic()
        while True:
            time.sleep(WAITS_S)
            now_s = time.monotonic()
            total += watts() * (now_s - last_s)
            last_s = now_s

    threading.Thread(target=look, name="mm-edge-meter", daemon=True).start()
    return lambda: total

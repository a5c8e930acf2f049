"""Energy per prediction under full load, if the machine has a meter: Jetson rails, RAPL or NVML."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from mm_edge.doctor.system import below_root, listed, number, read, run
from mm_edge.jetson.power import power as jetson_power

from .observed_run import ObservedRun
from .series import rate

if TYPE_CHECKING:
    from collections.abc import Callable

    from mm_edge.benchmarks.bench.figure import Figure

    from .setting import Setting

SAMPLING_S = 0.1  # of a meter that reports watts
SATURATED_FPS = 2000.0


class Power:
    """Without a meter it measures nothing and adds a note."""

    name, share = "power", 0.05

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._meter, self._joules = _meter()
        self._millijoules: list[float] = []

    def round(self, seconds: float) -> None:
        if self._joules is None:
            return
        before, began_s = self._joules(), time.perf_counter()
        run = ObservedRun(self._setting, self._setting.config, self._setting.feeds.sources(SATURATED_FPS), seconds)
        spent = self._joules() - before
        self._millijoules.append(spent * 1000 / len(run.total_ms) * (run.seconds / (time.perf_counter() - began_s)))

    def figures(self, pace_us: tuple[float, ...]) -> list[Figure]:
        if not self._millijoules:
            self._setting.notes.append("power: not measured; no readable power meter (Jetson rails, RAPL, NVML)")
            return []
        return [
            rate(
                self.name,
                "energy per prediction",
                self._millijoules,
                pace_us,
                unit="mJ",
                better="less",
                note=f"{self._meter}; everything it meters, saturated",
            )
        ]


def _meter() -> tuple[str, Callable[[], float] | None]:
    """The name of the best available meter, and a function that returns joules since an arbitrary start."""
    if any(finding.name == "power draw" for finding in jetson_power()):
        return "Jetson rails", _summed(_board_watts)
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
    output = run("nvidia-smi", "--query-gpu=power.draw", "--format=csv,noheader,nounits")
    match = re.match(r"\s*([\d.]+)", output or "")
    return float(match[1]) if match else None


def _summed(watts: Callable[[], float]) -> Callable[[], float]:
    """Joules from a meter that reports watts, sampled by a thread."""
    import threading

    total = 0.0

    def sample() -> None:
        nonlocal total
        last_s = time.monotonic()
        while True:
            time.sleep(SAMPLING_S)
            now_s = time.monotonic()
            total += watts() * (now_s - last_s)
            last_s = now_s

    threading.Thread(target=sample, name="mm-edge-meter", daemon=True).start()
    return lambda: total

"""The machine of a run: its hardware and versions, load by other processes, and throttling."""

from __future__ import annotations

import os
import platform
import re
import time
from importlib import metadata
from typing import TYPE_CHECKING

from mm_edge.cores import core_share, processor_name
from mm_edge.doctor.system import below_root, listed, number, read, run

from .figure import Conditions, Machine

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKAGES = ("mm-edge", "numpy", "opencv-python-headless", "onnxruntime", "openvino", "tensorrt-rtx")
BUSY_SHARE = 0.05  # of all cores, used by others
STOLEN_SHARE = 0.02  # of all cores, taken by the hypervisor
LOWER_CLOCK = 0.9  # of the clock before the run
_TICKS = os.sysconf("SC_CLK_TCK")


class Watch:
    """Reads the machine's counters when it is created and when `conditions` is called."""

    def __init__(self) -> None:
        self._began_s, self._stat, self._own_s = time.monotonic(), _stat(), _own_cpu_s()
        self._throttled, self._temperature, self._clock = _throttle_events(), temperature_c(), clock_mhz()

    def conditions(self) -> Conditions:
        """Since it was created: load by other processes and the hypervisor, throttling, and resulting warnings."""
        seconds = max(1e-9, time.monotonic() - self._began_s) * (os.cpu_count() or 1)
        now = _stat()
        busy_s, stolen_s = ((now[key] - self._stat[key]) / _TICKS for key in ("busy", "steal"))
        others = max(0.0, busy_s - (_own_cpu_s() - self._own_s)) / seconds
        return conditions_of(
            others=others,
            stolen=stolen_s / seconds,
            throttled=_throttle_events() - self._throttled,
            temperature_c=(self._temperature, temperature_c()),
            clock=(self._clock, clock_mhz()),
        )


def conditions_of(
    *,
    others: float,
    stolen: float,
    throttled: int,
    temperature_c: tuple[float | None, float | None] = (None, None),
    clock: tuple[float | None, float | None] = (None, None),
) -> Conditions:
    """The measured conditions, with a warning for each that makes figures unreliable."""
    warnings = []
    if others > BUSY_SHARE:
        warnings.append(f"the machine was busy: other processes used {others:.0%} of the cores")
    if stolen > STOLEN_SHARE:
        warnings.append(f"the host was busy: the hypervisor took {stolen:.0%} of the cores")
    if throttled:
        warnings.append(f"the processor was throttled {throttled} times because of its temperature")
    before, after = clock
    if before and after and after < before * LOWER_CLOCK:
        warnings.append(f"the clock dropped from {before:.0f} to {after:.0f} MHz")
    return Conditions(round(others, 4), round(stolen, 4), throttled, *temperature_c, *clock, tuple(warnings))


def machine(conditions: Conditions) -> Machine:
    return Machine(
        kind=kind(),
        cpu=processor_name(),
        cores=core_share(),
        governor=_governor(),
        power_mode=_power_mode(),
        memory_mb=int((re.search(r"MemTotal:\s*(\d+)", read("proc/meminfo") or "") or ["", "0"])[1]) // 1024,
        versions=versions(),
        conditions=conditions,
    )


def kind() -> str:
    """The device class of budgets: the board's name, else the architecture with the number of cores."""
    board = read("proc/device-tree/model")
    if board:
        return re.sub(r"[^a-z0-9]+", "-", board.lower()).strip("-")
    names = {"x86_64": "x86", "aarch64": "arm"}
    return f"{names.get(platform.machine(), platform.machine())}-{core_share():g}"


def versions() -> dict[str, str]:
    found: dict[str, str] = {"python": platform.python_version(), "kernel": platform.release().split("-")[0]}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def temperature_c() -> float | None:
    """The highest temperature sensor in °C; None without sensors."""
    read_mc = [number(f"{below_root(zone)}/temp") for zone in listed("sys/class/thermal/thermal_zone*")]
    return max((value / 1000 for value in read_mc if value is not None and value > 0), default=None)


def clock_mhz() -> float | None:
    """The mean current clock of the cores; None if the kernel does not report it."""
    clocks = [
        number(f"{below_root(cpu)}/cpufreq/scaling_cur_freq") for cpu in listed("sys/devices/system/cpu/cpu[0-9]*")
    ]
    known = [value / 1000 for value in clocks if value]
    return sum(known) / len(known) if known else None


def _throttle_events() -> int:
    """Thermal throttle events of the cores, as Intel's driver counts them; 0 without a counter."""
    files = listed("sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/*_throttle_count")
    return sum(number(below_root(file)) or 0 for file in files)


def _governor() -> str:
    modes = {read(f"{below_root(cpu)}/cpufreq/scaling_governor") for cpu in listed("sys/devices/system/cpu/cpu[0-9]*")}
    return ", ".join(sorted(mode for mode in modes if mode)) or "unknown"


def _power_mode() -> str:
    match = re.search(r"NV Power Mode:\s*(\S+)", run("nvpmodel", "-q") or "")
    return match[1] if match else "none"


def _stat() -> Mapping[str, int]:
    fields = [int(word) for word in (read("proc/stat") or "cpu 0").split("\n", 1)[0].split()[1:]] + [0] * 10
    user, nice, system, _idle, _wait, irq, softirq, steal = fields[:8]
    return {"busy": user + nice + system + irq + softirq, "steal": steal}


def _own_cpu_s() -> float:
    """CPU time of this process and of the children that it has waited for."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system

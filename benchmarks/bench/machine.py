"""The machine as it was while it was measured: what it is, who else was at work, whether it was throttled."""

from __future__ import annotations

import os
import platform
import re
import time
from importlib import metadata
from typing import TYPE_CHECKING

from mm_edge.cores import core_share
from mm_edge.doctor.system import below_root, listed, number, read, run

from .figure import Heat, Machine

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKAGES = ("mm-edge", "numpy", "opencv-python-headless", "onnxruntime", "openvino", "tensorrt-rtx")
BUSY_SHARE = 0.05  # of all cores, used by others
STOLEN_SHARE = 0.02  # of all cores, kept back by the hypervisor
SLOWED_SHARE = 0.9  # of the clock before
_TICKS = os.sysconf("SC_CLK_TCK")


class Watch:
    """Looks at the machine when it is made and when it is asked: what lies between is the run."""

    def __init__(self) -> None:
        self._began_s, self._stat, self._own_s = time.monotonic(), _stat(), _own_cpu_s()
        self._throttled, self._hottest, self._clock = _throttle_events(), hottest_c(), clock_mhz()

    def heat(self) -> Heat:
        """Since it was made; other processes' share, the hypervisor's, and every reason to doubt the figures."""
        seconds = max(1e-9, time.monotonic() - self._began_s) * (os.cpu_count() or 1)
        now = _stat()
        busy_s, stolen_s = ((now[key] - self._stat[key]) / _TICKS for key in ("busy", "steal"))
        others = max(0.0, busy_s - (_own_cpu_s() - self._own_s)) / seconds
        return judged(
            others=others,
            stolen=stolen_s / seconds,
            throttled=_throttle_events() - self._throttled,
            hottest_c=(self._hottest, hottest_c()),
            clock=(self._clock, clock_mhz()),
        )


def judged(
    *,
    others: float,
    stolen: float,
    throttled: int,
    hottest_c: tuple[float | None, float | None] = (None, None),
    clock: tuple[float | None, float | None] = (None, None),
) -> Heat:
    """The same with its doubts in words."""
    doubts = []
    if others > BUSY_SHARE:
        doubts.append(f"busy: other processes used {others:.0%} of the cores")
    if stolen > STOLEN_SHARE:
        doubts.append(f"busy: the hypervisor kept back {stolen:.0%} of the cores")
    if throttled:
        doubts.append(f"throttled: the processor slowed itself down {throttled} times for heat")
    before, after = clock
    if before and after and after < before * SLOWED_SHARE:
        doubts.append(f"slowed: the clock fell from {before:.0f} to {after:.0f} MHz")
    return Heat(round(others, 4), round(stolen, 4), throttled, *hottest_c, *clock, tuple(doubts))


def machine(heat: Heat) -> Machine:
    return Machine(
        kind=kind(),
        cpu=cpu_name(),
        cores=core_share(),
        governor=_governor(),
        power_mode=_power_mode(),
        memory_mb=int((re.search(r"MemTotal:\s*(\d+)", read("proc/meminfo") or "") or ["", "0"])[1]) // 1024,
        versions=versions(),
        heat=heat,
    )


def kind() -> str:
    """The class of device that budgets are told for: the board's name, else the architecture with its cores."""
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


def cpu_name() -> str:
    match = re.search(r"^(?:model name|Hardware)\s*:\s*(.+)$", read("proc/cpuinfo") or "", re.MULTILINE)
    return " ".join(match[1].split()) if match else platform.machine()


def hottest_c() -> float | None:
    """The warmest sensor, in degrees; None where there is none."""
    read_mc = [number(f"{below_root(zone)}/temp") for zone in listed("sys/class/thermal/thermal_zone*")]
    return max((value / 1000 for value in read_mc if value is not None and value > 0), default=None)


def clock_mhz() -> float | None:
    """The mean clock of the cores now, where the kernel tells it."""
    told = [number(f"{below_root(cpu)}/cpufreq/scaling_cur_freq") for cpu in listed("sys/devices/system/cpu/cpu[0-9]*")]
    known = [value / 1000 for value in told if value]
    return sum(known) / len(known) if known else None


def _throttle_events() -> int:
    """How often cores have slowed down for heat, as Intel's driver counts it; 0 where nobody counts."""
    files = listed("sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/*_throttle_count")
    return sum(number(below_root(file)) or 0 for file in files)


def _governor() -> str:
    modes = {read(f"{below_root(cpu)}/cpufreq/scaling_governor") for cpu in listed("sys/devices/system/cpu/cpu[0-9]*")}
    return ", ".join(sorted(mode for mode in modes if mode)) or "not told by the kernel"


def _power_mode() -> str:
    match = re.search(r"NV Power Mode:\s*(\S+)", run("nvpmodel", "-q") or "")
    return match[1] if match else "none"


def _stat() -> Mapping[str, int]:
    fields = [int(word) for word in (read("proc/stat") or "cpu 0").split("\n", 1)[0].split()[1:]] + [0] * 10
    user, nice, system, _idle, _wait, irq, softirq, steal = fields[:8]
    return {"busy": user + nice + system + irq + softirq, "steal": steal}


def _own_cpu_s() -> float:
    """Of this process and of the children that it has waited for."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system

"""Power mode, clocks and power draw of a Jetson, each by what the board really offers."""

from __future__ import annotations

import re

from mm_edge.doctor.finding import Finding
from mm_edge.doctor.system import ROOT, listed, number, read, run

from .board import is_jetson

MAX_MODE = "0"  # of nvpmodel: MAXN on every board so far


def power() -> list[Finding]:
    """Nothing on a machine that is no Jetson."""
    if not is_jetson():
        return []
    return [_mode(), *_clocks(), *_draw()]


def _mode() -> Finding:
    told = run("nvpmodel", "-q")
    match = re.search(r"NV Power Mode:\s*(\S+)\s*\n\s*(\d+)", told or "")
    if not match:
        return Finding("power mode", "missing", "nvpmodel does not tell", "It belongs to JetPack: sudo nvpmodel -q")
    name, mode = match[1], match[2]
    if mode == MAX_MODE:
        return Finding("power mode", "good", f"{name} ({mode})", facts={"name": name, "mode": int(mode)})
    hint = f"For the highest clocks: sudo nvpmodel -m {MAX_MODE} (it may ask for a restart)"
    return Finding("power mode", "note", f"{name} ({mode})", hint, {"name": name, "mode": int(mode)})


def _clocks() -> list[Finding]:
    """Each clock now and at most; jetson_clocks lifts the lower bound, so that nothing has to speed up first."""
    found = []
    for folder in [
        *listed("sys/class/devfreq/*gpu*"),
        *listed("sys/class/devfreq/*gv11b"),
        *listed("sys/class/devfreq/*ga10b"),
    ]:
        place = str(folder.relative_to(ROOT))
        found.append(
            (
                "GPU clock",
                number(f"{place}/cur_freq"),
                number(f"{place}/min_freq"),
                number(f"{place}/max_freq"),
                1_000_000,
            )
        )
    place = "sys/devices/system/cpu/cpu0/cpufreq"
    found.append(("CPU clock", *(number(f"{place}/scaling_{each}_freq") for each in ("cur", "min", "max")), 1_000))  # type: ignore[arg-type]
    findings = []
    for name, now, least, most, unit in found:
        if now is None or most is None:
            continue
        told = f"{now / unit:.0f} of {most / unit:.0f} MHz"
        if least == most:
            findings.append(Finding(name, "good", f"{told}, held there"))
        else:
            findings.append(
                Finding(name, "note", told, "An idle board clocks down: for steady latencies: sudo jetson_clocks")
            )
    return findings


def _draw() -> list[Finding]:
    """What the board's own sensors measure, in watts by rail."""
    watts = {}
    for monitor in listed("sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*"):
        place = str(monitor.relative_to(ROOT))
        for rail in range(1, 4):
            name, volts, amperes = (
                read(f"{place}/in{rail}_label"),
                number(f"{place}/in{rail}_input"),
                number(f"{place}/curr{rail}_input"),
            )
            if name and volts and amperes is not None:
                watts[name] = round(volts * amperes / 1e6, 2)
    if not watts:
        return []
    return [
        Finding("power draw", "good", ", ".join(f"{name} {value:g} W" for name, value in watts.items()), facts=watts)
    ]

"""Power mode, clocks and power draw of a Jetson, as far as the board reports them."""

from __future__ import annotations

import re

from mm_edge.doctor.finding import Finding
from mm_edge.doctor.system import ROOT, listed, number, read, run

from .board import is_jetson

MAX_MODE = "0"  # of nvpmodel: MAXN on every board so far


def power() -> list[Finding]:
    """Empty on a machine that is not a Jetson."""
    if not is_jetson():
        return []
    return [_mode(), *_clocks(), *_draw()]


def _mode() -> Finding:
    output = run("nvpmodel", "-q")
    match = re.search(r"NV Power Mode:\s*(\S+)\s*\n\s*(\d+)", output or "")
    if not match:
        return Finding("power mode", "missing", "nvpmodel reports no mode", "It is part of JetPack: sudo nvpmodel -q")
    name, mode = match[1], match[2]
    if mode == MAX_MODE:
        return Finding("power mode", "ok", f"{name} ({mode})", facts={"name": name, "mode": int(mode)})
    hint = f"For maximum clocks: sudo nvpmodel -m {MAX_MODE} (may require a reboot)"
    return Finding("power mode", "warning", f"{name} ({mode})", hint, {"name": name, "mode": int(mode)})


def _clocks() -> list[Finding]:
    """The current and maximum frequency of each clock; jetson_clocks raises the minimum to the maximum."""
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
        clock = f"{now / unit:.0f} of {most / unit:.0f} MHz"
        if least == most:
            findings.append(Finding(name, "ok", f"{clock}, locked"))
        else:
            findings.append(
                Finding(name, "warning", clock, "The clock drops when idle; for steady latencies: sudo jetson_clocks")
            )
    return findings


def _draw() -> list[Finding]:
    """The power draw by rail in watts, from the board's sensors."""
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
    return [Finding("power draw", "ok", ", ".join(f"{name} {value:g} W" for name, value in watts.items()), facts=watts)]

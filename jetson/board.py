"""The board's model and JetPack version."""

from __future__ import annotations

import re

from mm_edge.doctor.finding import Finding
from mm_edge.doctor.system import read

OLDEST_L4T = 36  # JetPack 6: the first with TensorRT 10
L4T_TO_JETPACK = {35: "JetPack 5", 36: "JetPack 6", 38: "JetPack 7"}


def is_jetson() -> bool:
    return "jetson" in (read("proc/device-tree/model") or "").lower() or read("etc/nv_tegra_release") is not None


def board() -> list[Finding]:
    """Empty on a machine that is not a board."""
    model = read("proc/device-tree/model")
    if model is None and not is_jetson():
        return []
    findings = [Finding("board", "ok", model or "Jetson, unknown model")]
    release = re.search(r"R(\d+) .*REVISION: ([\d.]+)", read("etc/nv_tegra_release") or "")
    if release:
        major = int(release[1])
        found = f"L4T {release[1]}.{release[2]}, {L4T_TO_JETPACK.get(major, 'unknown JetPack version')}"
        old = major < OLDEST_L4T
        hint = "TensorRT 10 requires JetPack 6: flash it with the SDK Manager" if old else ""
        findings.append(
            Finding("JetPack", "error" if old else "ok", found, hint, {"l4t": f"{release[1]}.{release[2]}"})
        )
    elif is_jetson():
        findings.append(
            Finding("JetPack", "missing", "/etc/nv_tegra_release not found", "In a container: mount it from the host")
        )
    return findings

"""Cameras with their modes and permissions, and what OpenCV can open."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from .finding import Finding
from .storage import may_use
from .system import Probe, listed
from .v4l2 import describe

# Read from the build information: the backend list includes plug-ins that are missing, such as GStreamer.
OPENCV = """
import cv2, json, re
built = dict(re.findall(r"^\\s+(FFMPEG|GStreamer|v4l/v4l2):\\s+(YES|NO)", cv2.getBuildInformation(), re.MULTILINE))
print(json.dumps({"version": cv2.__version__, "backends": [name for name, state in built.items() if state == "YES"]}))
"""

PYAV = """
import av, json
print(json.dumps({"version": av.__version__, "ffmpeg": av.ffmpeg_version_info}))
"""


def video_devices() -> list[dict[str, Any]]:
    """Every capturing /dev/video*: its path and modes, or why they cannot be read."""
    found = []
    for path in listed("dev/video[0-9]*"):
        spec = path.name.removeprefix("video")
        if not may_use(path):
            found.append({"path": str(path), "camera": spec, "failed": "permission denied", "modes": []})
            continue
        try:
            described = describe(path)
        except OSError as error:
            found.append({"path": str(path), "camera": spec, "failed": f"{error.strerror}", "modes": []})
            continue
        if described is not None:
            found.append({"path": str(path), "camera": spec, "failed": "", **described})
    return found


def cameras() -> list[Finding]:
    devices = video_devices()
    findings = [_camera(device) for device in devices]
    if not devices:
        hint = "Connect one; start a container with --device /dev/video0"
        findings.append(Finding("cameras", "missing", "none found; --camera also accepts files and streams", hint))
    return [*findings, _opencv(), _pyav()]


def _camera(device: dict[str, Any]) -> Finding:
    name = f"camera {device['camera']}"
    if device["failed"] == "permission denied":
        hint = "sudo usermod -aG video $USER, then log out and in"
        return Finding(name, "error", f"{device['path']}: permission denied", hint)
    if device["failed"]:
        return Finding(name, "error", f"{device['path']}: {device['failed']}", "Reconnect it, then check dmesg")
    return Finding(name, "ok", f"{device['name']} ({device['driver']}), {best_mode(device)}", facts=device)


def best_mode(device: dict[str, Any]) -> str:
    """Describes the largest mode with at least 25 fps."""
    modes = device["modes"]
    if not modes:
        return "no modes listed"
    best = max(modes, key=lambda mode: (max(mode["fps"], default=0) >= 25, mode["size"][0] * mode["size"][1]))
    rate = f" at {max(best['fps']):g} fps" if best["fps"] else ""
    return f"{len(modes)} modes, up to {best['size'][0]}x{best['size'][1]}{rate} {best['format']}"


def _opencv() -> Finding:
    probe = Probe(OPENCV)
    if not probe:
        hint = "Reinstall it: pip install --force-reinstall opencv-python-headless"
        return Finding("OpenCV", "error", f"does not load: {probe.failed}", hint)
    version, backends = probe.result["version"], probe.result["backends"]
    found = f"{version} with {', '.join(backends) or 'no camera backend'}"
    if "GStreamer" in backends:
        return Finding("OpenCV", "ok", found, facts=probe.result)
    return Finding("OpenCV", "ok", f"{found}; no GStreamer, so csi:// and gst: are unavailable", facts=probe.result)


def _pyav() -> Finding:
    if find_spec("av") is None:
        found = "not installed; OpenCV decodes video files, at up to twice the cost per image"
        return Finding("PyAV", "missing", found, "For playback at --speed max: pip install 'mm-edge[video]'")
    probe = Probe(PYAV)
    if not probe:
        hint = "Reinstall it: pip install --force-reinstall av; until then: --set sources.camera.decoder=opencv"
        return Finding("PyAV", "error", f"does not load: {probe.failed}", hint)
    found = f"{probe.result['version']} with FFmpeg {probe.result['ffmpeg']}; decodes video files at --speed max"
    return Finding("PyAV", "ok", found, facts=probe.result)

"""Cameras with their modes and permissions, and what OpenCV can open."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from .finding import Finding
from .storage import may_use
from .system import Probe, listed
from .v4l2 import describe

# What was built in, not what is listed: OpenCV lists plug-ins that are not there, GStreamer among them.
OPENCV = """
import cv2, json, re
built = dict(re.findall(r"^\\s+(FFMPEG|GStreamer|v4l/v4l2):\\s+(YES|NO)", cv2.getBuildInformation(), re.MULTILINE))
print(json.dumps({"version": cv2.__version__, "backends": [name for name, there in built.items() if there == "YES"]}))
"""

PYAV = """
import av, json
print(json.dumps({"version": av.__version__, "ffmpeg": av.ffmpeg_version_info}))
"""


def video_devices() -> list[dict[str, Any]]:
    """Every /dev/video* that captures: its path, and either what it offers or why it does not tell."""
    found = []
    for path in listed("dev/video[0-9]*"):
        spec = path.name.removeprefix("video")
        if not may_use(path):
            found.append({"path": str(path), "camera": spec, "failed": "permission denied", "modes": []})
            continue
        try:
            told = describe(path)
        except OSError as error:
            found.append({"path": str(path), "camera": spec, "failed": f"{error.strerror}", "modes": []})
            continue
        if told is not None:
            found.append({"path": str(path), "camera": spec, "failed": "", **told})
    return found


def cameras() -> list[Finding]:
    devices = video_devices()
    findings = [_camera(device) for device in devices]
    if not devices:
        hint = "Plug one in, or in a container: start it with --device /dev/video0"
        findings.append(Finding("cameras", "missing", "none; --camera takes files, streams and 'none'", hint))
    return [*findings, _opencv(), _pyav()]


def _camera(device: dict[str, Any]) -> Finding:
    name = f"camera {device['camera']}"
    if device["failed"] == "permission denied":
        hint = "sudo usermod -aG video $USER, then log in again"
        return Finding(name, "broken", f"{device['path']} may not be opened", hint)
    if device["failed"]:
        return Finding(
            name, "broken", f"{device['path']}: {device['failed']}", "Unplug it and plug it in again; then see dmesg"
        )
    return Finding(name, "good", f"{device['name']} ({device['driver']}), {best_mode(device)}", facts=device)


def best_mode(device: dict[str, Any]) -> str:
    """The largest picture that comes at 25 a second or more, in words."""
    modes = device["modes"]
    if not modes:
        return "it lists no modes"
    best = max(modes, key=lambda mode: (max(mode["fps"], default=0) >= 25, mode["size"][0] * mode["size"][1]))
    rate = f" at {max(best['fps']):g} fps" if best["fps"] else ""
    return f"{len(modes)} modes, up to {best['size'][0]}x{best['size'][1]}{rate} {best['format']}"


def _opencv() -> Finding:
    probe = Probe(OPENCV)
    if not probe:
        hint = "Install it again: pip install --force-reinstall opencv-python-headless"
        return Finding("OpenCV", "broken", f"it does not load: {probe.failed}", hint)
    version, backends = probe.told["version"], probe.told["backends"]
    told = f"{version} with {', '.join(backends) or 'no way to open a camera'}"
    if "GStreamer" in backends:
        return Finding("OpenCV", "good", told, facts=probe.told)
    return Finding("OpenCV", "good", f"{told}; without GStreamer, so no csi:// and no gst:", facts=probe.told)


def _pyav() -> Finding:
    if find_spec("av") is None:
        found = "not installed; OpenCV decodes video files, at up to twice the cost a picture"
        return Finding("PyAV", "missing", found, "If files are played at --speed max: pip install 'mm-edge[video]'")
    probe = Probe(PYAV)
    if not probe:
        hint = "Install it again: pip install --force-reinstall av; till then: --set sources.camera.decoder=opencv"
        return Finding("PyAV", "broken", f"it does not load: {probe.failed}", hint)
    told = f"{probe.told['version']} with FFmpeg {probe.told['ffmpeg']}; decodes video files at --speed max"
    return Finding("PyAV", "good", told, facts=probe.told)

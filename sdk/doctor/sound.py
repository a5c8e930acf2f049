"""Audio: PortAudio, ALSA cards and microphones."""

from __future__ import annotations

import re

from .finding import Finding
from .storage import may_use
from .system import Probe, listed, read

# PortAudio opens every device to query it, and some drivers hang in that; so it runs in a separate process.
PORTAUDIO = """
import json, sounddevice
default = sounddevice.default.device[0]
hosts = sounddevice.query_hostapis()
print(json.dumps({"version": sounddevice.get_portaudio_version()[1], "microphones": [
    {"index": index, "name": each["name"], "channels": each["max_input_channels"], "rate": each["default_samplerate"],
     "host": hosts[each["hostapi"]]["name"], "default": index == default}
    for index, each in enumerate(sounddevice.query_devices()) if each["max_input_channels"] > 0]}))
"""
INSTALL = "sudo apt-get install libportaudio2"


def portaudio() -> Probe:
    """`result["microphones"]`: the recording devices."""
    return Probe(PORTAUDIO)


def sound() -> list[Finding]:
    return [*_alsa(), *_portaudio()]


def _alsa() -> list[Finding]:
    text = read("proc/asound/cards")
    cards = [" ".join(found) for found in re.findall(r"^\s*\d+ \[(\S+)\s*\]: (.+)$", text or "", re.MULTILINE)]
    if not cards:
        why = "no sound support in the kernel" if text is None else "no sound card found"
        return [
            Finding(
                "ALSA",
                "missing",
                f"{why}; --mic also accepts files, 'synthetic' and 'none'",
                "Start a container with --device /dev/snd",
            )
        ]
    closed = [path for path in listed("dev/snd/pcm*c") if not may_use(path)]
    if closed:
        hint = "sudo usermod -aG audio $USER, then log out and in"
        return [Finding("ALSA", "error", f"{', '.join(cards)}; {closed[0]}: permission denied", hint)]
    return [Finding("ALSA", "ok", ", ".join(cards))]


def _portaudio() -> list[Finding]:
    probe = portaudio()
    if not probe:
        if "PortAudio library not found" in probe.failed:
            return [Finding("PortAudio", "missing", "not installed; microphones cannot be opened", INSTALL)]
        return [
            Finding("PortAudio", "error", probe.failed, f"Test it: python -m sounddevice; or install it: {INSTALL}")
        ]
    version = re.sub(r"^PortAudio |,.*$", "", probe.result["version"])
    findings = [Finding("PortAudio", "ok", version)]
    found = probe.result["microphones"]
    if not found:
        return [*findings, Finding("microphones", "missing", "none found", "Connect one, then check: mm-edge devices")]
    names = ", ".join(f"{each['index']}: {each['name']}" for each in found)
    if not any(each["default"] for each in found):
        findings.append(
            Finding("microphones", "warning", f"{names}; no default device", "Select one: --mic NUMBER", {"all": found})
        )
    else:
        findings.append(Finding("microphones", "ok", names, facts={"all": found}))
    return findings

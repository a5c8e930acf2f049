"""Sound: PortAudio, ALSA's cards, and the microphones that can be opened."""

from __future__ import annotations

import re

from .finding import Finding
from .storage import may_use
from .system import Probe, listed, read

# PortAudio opens every device to ask what it can do; drivers have been seen to hang in that.
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
    """`told["microphones"]`: what can be recorded from."""
    return Probe(PORTAUDIO)


def sound() -> list[Finding]:
    return [*_alsa(), *_portaudio()]


def _alsa() -> list[Finding]:
    text = read("proc/asound/cards")
    cards = [" ".join(found) for found in re.findall(r"^\s*\d+ \[(\S+)\s*\]: (.+)$", text or "", re.MULTILINE)]
    if not cards:
        why = "the kernel has no sound" if text is None else "no card"
        return [
            Finding(
                "ALSA",
                "missing",
                f"{why}; --mic takes files and 'none'",
                "In a container: start it with --device /dev/snd",
            )
        ]
    closed = [path for path in listed("dev/snd/pcm*c") if not may_use(path)]
    if closed:
        hint = "sudo usermod -aG audio $USER, then log in again"
        return [Finding("ALSA", "broken", f"{', '.join(cards)}; {closed[0]} may not be opened", hint)]
    return [Finding("ALSA", "good", ", ".join(cards))]


def _portaudio() -> list[Finding]:
    probe = portaudio()
    if not probe:
        if "PortAudio library not found" in probe.failed:
            return [Finding("PortAudio", "missing", "not installed, so no microphone can be opened", INSTALL)]
        return [
            Finding(
                "PortAudio", "broken", probe.failed, f"Try it alone: python -m sounddevice; or install it: {INSTALL}"
            )
        ]
    version = re.sub(r"^PortAudio |,.*$", "", probe.told["version"])
    findings = [Finding("PortAudio", "good", version)]
    found = probe.told["microphones"]
    if not found:
        return [*findings, Finding("microphones", "missing", "none", "Plug one in; mm-edge devices shows it then")]
    told = ", ".join(f"{each['index']}: {each['name']}" for each in found)
    if not any(each["default"] for each in found):
        findings.append(
            Finding("microphones", "note", f"{told}; none is the default", "Name one: --mic NUMBER", {"all": found})
        )
    else:
        findings.append(Finding("microphones", "good", told, facts={"all": found}))
    return findings

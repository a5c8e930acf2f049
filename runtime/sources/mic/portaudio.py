"""PortAudio: loads it, lists its microphones, and finds the requested one."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from mm_edge.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Callable

BLOCKS_PER_S = 100  # callbacks
LATENCY_S = 0.1  # host buffer: headroom for a callback that waits for the interpreter; adds no delay
IN_USE = "Another program may be using it; find it with: fuser -v /dev/snd/*"
_open_streams = 0
_scanned = False
_lock = threading.Lock()


class Device(Struct, frozen=True):
    """A device that can record."""

    number: int
    name: str
    host: str  # ALSA, PulseAudio, …
    channels: int
    rate: int

    def __str__(self) -> str:
        return f"{self.number} '{self.name}' ({self.host})"


def load() -> Any:
    """The sounddevice module; its Linux wheel does not include the PortAudio library."""
    try:
        import sounddevice
    except OSError as error:
        raise DeviceError(
            str(error), action="opening a microphone", hint="Install it: sudo apt install libportaudio2"
        ) from None
    return sounddevice


def scan(sd: Any) -> None:
    """Rescans for devices: PortAudio lists them only when it starts. Not while a stream is open, which would end it."""
    global _scanned  # noqa: PLW0603  # PortAudio is global to the process
    with _lock:
        if _scanned and not _open_streams:
            sd._terminate()  # noqa: SLF001  # there is no other way; the library's author recommends this one
            sd._initialize()  # noqa: SLF001
        _scanned = True


def devices(sd: Any) -> list[Device]:
    hosts = [host["name"] for host in sd.query_hostapis()]
    return [
        Device(
            number,
            entry["name"],
            hosts[entry["hostapi"]],
            entry["max_input_channels"],
            round(entry["default_samplerate"]),
        )
        for number, entry in enumerate(sd.query_devices())
        if entry["max_input_channels"] > 0
    ]


def find(sd: Any, spec: str) -> Device:
    """By `default`, number, or part of the name (case-insensitive); an exact name has priority."""
    action, available = f"opening the microphone '{spec}'", devices(sd)
    names = ", ".join(map(str, available)) or "none; try --mic synthetic"
    if spec == "default":
        number = sd.default.device[0]
        if number < 0:
            raise DeviceError(
                "the system has no default microphone", action=action, hint=f"Available microphones: {names}"
            )
        matches = [device for device in available if device.number == number]
    elif spec.isdecimal():
        matches = [device for device in available if device.number == int(spec)]
    else:
        word = spec.casefold()
        matches = [device for device in available if device.name.casefold() == word] or [
            device for device in available if word in device.name.casefold()
        ]
    if not matches:
        raise DeviceError("no such microphone", action=action, hint=f"Available microphones: {names}")
    if len(matches) > 1:
        several = ", ".join(map(str, matches))
        raise DeviceError("the name matches several", action=action, hint=f"Give the number: {several}")
    return matches[0]


class Format(Struct, frozen=True):
    """The format requested from a device."""

    rate: int
    channels: int

    def __str__(self) -> str:
        return f"{self.rate} Hz, {self.channels} ch"


def format_for(sd: Any, device: Device, rate: int) -> Format:
    """Mono at `rate` if the device supports it, else the nearest format."""
    candidates = [Format(a_rate, channels) for a_rate in (rate, device.rate) for channels in (1, device.channels)]
    for form in candidates:
        try:
            sd.check_input_settings(device.number, form.channels, "float32", samplerate=form.rate)
        except (sd.PortAudioError, ValueError):
            continue
        return form
    tried = "; ".join(map(str, dict.fromkeys(candidates)))
    raise DeviceError(f"the device supports none of: {tried}", action=f"opening the microphone {device}", hint=IN_USE)


def start(sd: Any, device: Device, form: Format, callback: Callable[..., None]) -> Any:
    """Starts a stream; `callback` gets float32 [block, channels]."""
    global _open_streams  # noqa: PLW0603
    try:
        stream = sd.InputStream(
            samplerate=form.rate,
            blocksize=form.rate // BLOCKS_PER_S,
            device=device.number,
            channels=form.channels,
            dtype="float32",
            latency=LATENCY_S,
            callback=callback,
        )
        stream.start()
    except sd.PortAudioError as error:
        raise DeviceError(str(error), action=f"opening the microphone {device}", hint=IN_USE) from None
    with _lock:
        _open_streams += 1
    return stream


def stop(stream: Any) -> None:
    global _open_streams  # noqa: PLW0603
    try:
        stream.abort(ignore_errors=True)
        stream.close(ignore_errors=True)
    finally:
        with _lock:
            _open_streams -= 1

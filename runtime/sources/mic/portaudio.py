"""PortAudio: loading it, naming its microphones, and finding the one that is meant."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from mm_edge.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Callable

BLOCKS_PER_S = 100  # callbacks
LATENCY_S = 0.1  # what the host may buffer: room for a callback that waits for the interpreter; it delays nothing
IN_USE = "Another program may hold it; `fuser -v /dev/snd/*` tells which"
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
    """The sounddevice module; its wheel for Linux comes without the library that it drives."""
    try:
        import sounddevice
    except OSError as error:
        raise DeviceError(
            str(error), action="opening a microphone", hint="Install it: sudo apt install libportaudio2"
        ) from None
    return sounddevice


def scan(sd: Any) -> None:
    """Looks for devices again: PortAudio lists them once, when it starts. Not while a stream is open: it would end."""
    global _scanned  # noqa: PLW0603  # PortAudio itself is one for the whole process
    with _lock:
        if _scanned and not _open_streams:
            sd._terminate()  # noqa: SLF001  # there is no other way, and the library's author names this one
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


def find(sd: Any, wanted: str) -> Device:
    """By `default`, a number, or a part of the name, whose case does not matter; the whole name goes first."""
    action, here = f"opening the microphone '{wanted}'", devices(sd)
    names = ", ".join(map(str, here)) or "none is connected; try --mic synthetic"
    if wanted == "default":
        number = sd.default.device[0]
        if number < 0:
            raise DeviceError("the system has no default microphone", action=action, hint=f"Microphones: {names}")
        matches = [device for device in here if device.number == number]
    elif wanted.isdecimal():
        matches = [device for device in here if device.number == int(wanted)]
    else:
        word = wanted.casefold()
        matches = [device for device in here if device.name.casefold() == word] or [
            device for device in here if word in device.name.casefold()
        ]
    if not matches:
        raise DeviceError("there is no such microphone", action=action, hint=f"Microphones: {names}")
    if len(matches) > 1:
        several = ", ".join(map(str, matches))
        raise DeviceError("the name fits several", action=action, hint=f"Say which by its number: {several}")
    return matches[0]


class Format(Struct, frozen=True):
    """How a device is asked to record."""

    rate: int
    channels: int

    def __str__(self) -> str:
        return f"{self.rate} Hz, {self.channels} ch"


def format_for(sd: Any, device: Device, rate: int) -> Format:
    """Mono at `rate` where the device can, else the nearest to it."""
    candidates = [Format(a_rate, channels) for a_rate in (rate, device.rate) for channels in (1, device.channels)]
    for form in candidates:
        try:
            sd.check_input_settings(device.number, form.channels, "float32", samplerate=form.rate)
        except (sd.PortAudioError, ValueError):
            continue
        return form
    tried = "; ".join(map(str, dict.fromkeys(candidates)))
    raise DeviceError(f"it takes none of: {tried}", action=f"opening the microphone {device}", hint=IN_USE)


def start(sd: Any, device: Device, form: Format, callback: Callable[..., None]) -> Any:
    """A running stream; `callback` gets float32 [block, channels]."""
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

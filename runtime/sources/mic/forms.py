"""The SPECs of audio sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mm_edge.errors import UsageError
from mm_edge.runtime.sources.request import Form, Request, existing_file
from mm_edge.spec import AudioInput, AudioPrepare

if TYPE_CHECKING:
    from mm_edge.runtime.source import Source


def _prepare(request: Request) -> AudioPrepare:
    if not isinstance(request.input, AudioInput):
        raise UsageError(f"input '{request.input.name}' accepts no audio", action=f"opening '{request.spec}'")
    return request.input.prepare


def _synthetic(request: Request) -> Source:
    from .synthetic import SyntheticMic

    return SyntheticMic(request.input.name, _prepare(request), request.config.mic)


def wav(request: Request) -> Source:
    """A WAV file."""
    from .wav import WavFile

    return WavFile(request.input.name, existing_file(request), _prepare(request), request.play)


def _other_file(request: Request) -> Source:
    raise UsageError(
        "only WAV files are supported",
        action=f"opening '{request.spec}' for '{request.input.name}'",
        hint=f"Convert it: ffmpeg -i {request.spec} sound.wav",
    )


def _device(request: Request) -> Source:
    from .device import Microphone

    return Microphone(request.input.name, request.rest, _prepare(request), request.config.mic)


FORMS = (
    Form("default", "default", _device),
    Form("2 (a device's number)", r"\d+", _device),
    Form("synthetic", "synthetic", _synthetic),
    Form("sound.wav", r".+\.wave?", wav),
    Form("", r".+\.(?:mp3|flac|ogg|opus|m4a|aac|mp4|mkv|webm)", _other_file),
    Form("USB (part of a device's name)", r".+", _device, takes_anything=True),
)

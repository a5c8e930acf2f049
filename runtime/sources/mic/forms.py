"""The SPECs that give sound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mm_edge.errors import UsageError
from mm_edge.runtime.sources.request import Form, Request
from mm_edge.spec import AudioInput, AudioPrepare

if TYPE_CHECKING:
    from mm_edge.runtime.source import Source


def _prepare(request: Request) -> AudioPrepare:
    if not isinstance(request.input, AudioInput):
        raise UsageError(f"input '{request.input.name}' takes no sound", asked=f"opening '{request.spec}'")
    return request.input.prepare


def _synthetic(request: Request) -> Source:
    from .synthetic import SyntheticMic

    return SyntheticMic(request.input.name, _prepare(request), request.config.mic)


FORMS = (Form("synthetic", "synthetic", _synthetic),)

"""The SPECs that give pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mm_edge.runtime.sources.request import Form, Request

if TYPE_CHECKING:
    from mm_edge.runtime.source import Source


def _synthetic(request: Request) -> Source:
    from .synthetic import SyntheticCamera

    return SyntheticCamera(request.input.name, request.config.camera)


FORMS = (Form("synthetic", "synthetic", _synthetic),)

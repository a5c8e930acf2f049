"""The SPECs that give text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mm_edge.runtime.sources.request import Form, Request

if TYPE_CHECKING:
    from mm_edge.runtime.source import Source


def _literal(request: Request) -> Source:
    from .literal import LiteralText

    return LiteralText(request.input.name, request.spec)


FORMS = (Form('"the red ball"', r"(?s:.*)", _literal),)

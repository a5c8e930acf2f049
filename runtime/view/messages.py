"""The messages a page may send: small, typed and validated before use."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from mm_edge.spec import Strict

MOST_MESSAGE_BYTES = 4096
MOST_TEXT_CHARACTERS = 500


class Drawn(Strict, tag="drawn", tag_field="kind", frozen=True):
    """The page has drawn a frame and is ready for another."""

    frame: Annotated[int, Meta(ge=0)]


class SetText(Strict, tag="text", tag_field="kind", frozen=True):
    """The live prompt. It is data, never markup, and is displayed as text."""

    text: Annotated[str, Meta(max_length=MOST_TEXT_CHARACTERS)]

    def __post_init__(self) -> None:
        if not self.text.isprintable():
            raise ValueError("a prompt is one line of printable characters")


class Play(Strict, tag="play", tag_field="kind", frozen=True):
    """Pauses, resumes or single-steps file playback."""

    action: Literal["pause", "resume", "step"]


class Watch(Strict, tag="watch", tag_field="kind", frozen=True):
    """The camera that the page shows large; the others are sent as small images."""

    camera: Annotated[str, Meta(max_length=64)]


Message: TypeAlias = Drawn | SetText | Play | Watch
_decode = msgspec.json.Decoder(Message).decode


def read_message(raw: str | bytes) -> Message:
    """Raises msgspec.MsgspecError for anything else."""
    if len(raw) > MOST_MESSAGE_BYTES:
        raise msgspec.ValidationError(f"a message may have at most {MOST_MESSAGE_BYTES} bytes")
    message: Message = _decode(raw)
    return message

"""What the last run of each bundle settled on here, kept for `doctor`; a run itself never reads it."""

from __future__ import annotations

import logging
import re

import msgspec
from msgspec import Struct

from mm_edge.atomic_write import atomic_write
from mm_edge.places import cache_folder

log = logging.getLogger(__name__)
_ROOM = "engines"
_MOST_BYTES = 1 << 16


class Remembered(Struct, frozen=True):
    """`fell`: parts that run in another precision than was chosen; `tried`: engines that should have run."""

    bundle: str
    engine: str
    precisions: dict[str, str]
    fell: list[str] = []
    tried: dict[str, str] = {}


def remember(settled: Remembered) -> None:
    name = re.sub(r"\W", "_", settled.bundle)
    try:
        atomic_write(cache_folder(_ROOM) / f"settled-{name}.json", msgspec.json.encode(settled))
    except OSError as error:
        log.debug("doctor will not know of it: %s", error)


def recall() -> list[Remembered]:
    """Every bundle that was settled here, by name; a file that cannot be read is left out."""
    found = []
    for path in sorted(cache_folder(_ROOM).glob("settled-*.json")):
        try:
            with path.open("rb") as file:
                found.append(msgspec.json.decode(file.read(_MOST_BYTES), type=Remembered))
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            log.debug("%s: %s", path, error)
    return found

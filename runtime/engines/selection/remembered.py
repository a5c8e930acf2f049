"""The engine that the last run of each bundle selected here, stored for `doctor`; a run itself never reads it."""

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
    """`fallbacks`: deviations from the choice; `failed_engines`: engines that should have run, with the reasons."""

    bundle: str
    engine: str
    precisions: dict[str, str]
    fallbacks: list[str] = []
    failed_engines: dict[str, str] = {}


def remember(selected: Remembered) -> None:
    name = re.sub(r"\W", "_", selected.bundle)
    try:
        atomic_write(cache_folder(_ROOM) / f"selected-{name}.json", msgspec.json.encode(selected))
    except OSError as error:
        log.debug("doctor will not report this run: %s", error)


def recall() -> list[Remembered]:
    """One record per bundle that ran here, by name. A file that cannot be read is skipped."""
    found = []
    for path in sorted(cache_folder(_ROOM).glob("selected-*.json")):
        try:
            with path.open("rb") as file:
                found.append(msgspec.json.decode(file.read(_MOST_BYTES), type=Remembered))
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            log.debug("%s: %s", path, error)
    return found

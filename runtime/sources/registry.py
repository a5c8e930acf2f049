"""Finds the source for a SPEC: the grammar of --camera, --mic and --text, and what plug-ins add to it."""

from __future__ import annotations

import dataclasses
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from mm_edge.errors import UsageError
from mm_edge.spec import modality_of

from .camera.forms import FORMS as CAMERA
from .mic.forms import FORMS as MIC
from .play import PlayClock
from .request import Form, Request
from .text.forms import FORMS as TEXT
from .vector.forms import FORMS as VECTOR

if TYPE_CHECKING:
    from mm_edge.config import SourcesConfig
    from mm_edge.runtime.source import Source
    from mm_edge.spec import InputSpec, Modality

PLUG_INS = (
    "mm_edge.sources"  # entry points: NAME = "package:make", for the SPEC NAME or NAME:REST; make takes a Request
)
FORMS: dict[Modality, tuple[Form, ...]] = {
    "image": CAMERA,
    "video": CAMERA,
    "audio": MIC,
    "text": TEXT,
    "vector": VECTOR,
}
NO_SOURCE = "none"


def open_source(
    spec: str, input_spec: InputSpec, config: SourcesConfig, play: PlayClock | None = None
) -> Source | None:
    """Makes the source, without touching its device; None for `none`. Played sources take their seat at `play`."""
    modality = modality_of(input_spec)
    if spec == NO_SOURCE and modality != "text":
        return None
    request = Request(spec, "", input_spec, config, play or PlayClock(config.speed))
    if (plug_in := _plug_in(spec)) is not None:
        made: Source = plug_in.load()(dataclasses.replace(request, rest=spec.partition(":")[2]))
        return made
    for form in FORMS[modality]:
        if (rest := form.rest_of(spec)) is not None:
            return form.make(dataclasses.replace(request, rest=rest))
    examples = (
        [form.example for form in FORMS[modality] if form.example] + [NO_SOURCE] + [f"{name}:…" for name in plug_ins()]
    )
    raise UsageError(
        f"'{spec}' is none of the forms that give {modality}",
        asked=f"opening a source for '{input_spec.name}'",
        todo=f"Write one of: {', '.join(examples)}",
    )


def plug_ins() -> list[str]:
    """The names that installed packages add."""
    return sorted(entry_points(group=PLUG_INS).names)


def _plug_in(spec: str) -> EntryPoint | None:
    return next(iter(entry_points(group=PLUG_INS, name=spec.partition(":")[0])), None)

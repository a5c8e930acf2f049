"""Finds the source for a SPEC: the grammar of --camera, --mic and --text, plus plug-ins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from mm_edge.errors import UsageError
from mm_edge.spec import modality_of

from .camera.forms import FORMS as CAMERA
from .mic.forms import FORMS as MIC
from .play import PlayClock
from .request import Form, Request
from .text.forms import FORMS as TEXT
from .vector.forms import FORMS as VECTOR

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mm_edge.config import SourcesConfig
    from mm_edge.runtime.source import Source
    from mm_edge.spec import InputSpec, Modality

# Entry points: NAME = "package:make", for the SPEC NAME or NAME:REST; `make` takes a Request. They are tried before the
# forms that accept anything (a text, part of a name) and after all others.
PLUG_INS = "mm_edge.sources"
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
    """Creates the source without touching its device; None for `none`. Played sources register at `play`."""
    modality = modality_of(input_spec)
    if spec == NO_SOURCE and modality != "text":
        return None
    forms = FORMS[modality]
    request = Request(spec, "", input_spec, config, play or PlayClock(config.speed))
    source = (
        _by_form(request, (form for form in forms if not form.takes_anything))
        or _by_plug_in(request)
        or _by_form(request, (form for form in forms if form.takes_anything))
    )
    if source is not None:
        return source
    examples = [*(form.example for form in forms if form.example), NO_SOURCE, *(f"{name}:…" for name in plug_ins())]
    raise UsageError(
        f"'{spec}' is not a valid {modality} source",
        action=f"opening a source for '{input_spec.name}'",
        hint=f"Use one of: {', '.join(examples)}",
    )


def plug_ins() -> list[str]:
    """The names added by installed packages."""
    from importlib.metadata import entry_points

    return sorted(entry_points(group=PLUG_INS).names)


def _by_form(request: Request, forms: Iterable[Form]) -> Source | None:
    for form in forms:
        if (rest := form.rest_of(request.spec)) is not None:
            return form.make(replace(request, rest=rest))
    return None


def _by_plug_in(request: Request) -> Source | None:
    name, _, rest = request.spec.partition(":")
    if not name.isidentifier():
        return None  # a sentence, for example; searching the installed packages takes 0.05 s
    from importlib.metadata import entry_points

    entry = next(iter(entry_points(group=PLUG_INS, name=name)), None)
    if entry is None:
        return None
    source: Source = entry.load()(replace(request, rest=rest))
    return source

"""Several cameras for one picture input: which sources they are, and what is refused."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from mm_edge.errors import UsageError
from mm_edge.spec import ImageInput, VideoInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mm_edge.bundle.manifest import Manifest
    from mm_edge.runtime.source import Source

MOST_CAMERAS = 32
NAME = "[A-Za-z_][A-Za-z0-9_]{0,63}"
RESERVED = frozenset({"engine", "realtime"})  # the names of other events


def named_source(source: Source, name: str) -> Source:
    """The source of one of several cameras: its events name the camera."""
    source.name = name
    return source


def cameras_of(manifest: Manifest, sources: Sequence[Source]) -> dict[str, Source]:
    """By name, if several sources feed one input; empty if each input has one source."""
    feeding = Counter(source.input for source in sources)
    shared = [name for name, count in feeding.items() if count > 1]
    if not shared:
        return {}
    name = shared[0]
    cameras = [source for source in sources if source.input == name]
    pictures = [spec.name for spec in manifest.inputs if isinstance(spec, (ImageInput, VideoInput))]
    if name not in pictures:
        refuse(f"'{name}' takes no pictures, so it has one source", "Give it one source")
    if len(pictures) > 1:
        refuse(
            f"'{manifest.name}' has the picture inputs {', '.join(pictures)}, one camera each",
            f"Give one camera for each input: --camera {pictures[0]}=0 --camera {pictures[1]}=1",
        )
    check_names(manifest, [source.name for source in cameras], [source for source in sources if source.input != name])
    return {source.name: source for source in cameras}


def check_names(manifest: Manifest, names: Sequence[str], others: Sequence[Source] = ()) -> None:
    """Raises a UsageError unless every event and count can be attributed to one camera."""
    if len(names) > MOST_CAMERAS:
        refuse(f"{len(names)} cameras; one run has at most {MOST_CAMERAS}", "Start a second run for the others")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        refuse(f"several have the name '{twice[0]}'", "Give each a name of its own: --camera door=0 --camera yard=1")
    taken = RESERVED | {spec.name for spec in manifest.inputs} | {source.name for source in others}
    if found := [name for name in names if name in taken]:
        refuse(f"the name '{found[0]}' is in use for something else", "Give that camera another name")


def specs_of(manifest: Manifest, texts: Sequence[str]) -> dict[str, str]:
    """SPECs by the camera's name, from what `--camera` was given: `door=0`, or `0`, which is named by its place. Empty
    if it is one camera without a name, or the bundle has not exactly one picture input.
    """
    pictures = [spec.name for spec in manifest.inputs if isinstance(spec, (ImageInput, VideoInput))]
    if len(pictures) != 1:
        return {}
    named = [_split(text.removeprefix(f"{pictures[0]}=")) for text in texts]
    if len(named) == 1 and not named[0][0]:
        return {}
    names = [name or f"camera{place}" for place, (name, _) in enumerate(named, start=1)]
    check_names(manifest, names)
    counts = Counter(spec for _, spec in named)
    for name, spec in named:
        if spec == "none":
            refuse("one of them is 'none'", "Leave it out")
        if not name and counts[spec] > 1 and spec != "synthetic":
            refuse(
                f"'{spec}' is given {counts[spec]} times",
                f"Give it once, or name each: --camera door={spec} --camera yard={spec}",
            )
    return {name: spec for name, (_, spec) in zip(names, named, strict=True)}


def _split(text: str) -> tuple[str, str]:
    """The name of a camera, if it has one, and its SPEC."""
    name, equals, rest = text.partition("=")
    return (name, rest) if equals and re.fullmatch(NAME, name) and not Path(text).exists() else ("", text)


def refuse(found: str, hint: str) -> NoReturn:
    raise UsageError(found, action="running several cameras on one model", hint=hint)

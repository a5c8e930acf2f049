"""A take: a folder with camera.mp4 (or images), sound.wav and text.jsonl, played together on one clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mm_edge.errors import UsageError
from mm_edge.spec import modality_of

from .camera.forms import pictures
from .mic.forms import wav
from .request import Make, Request
from .text.forms import script
from .vector.forms import table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from mm_edge.config import SourcesConfig
    from mm_edge.runtime.source import Source
    from mm_edge.spec import InputSpec, Modality

    from .play import PlayClock

# The files that may feed an input: the first that exists. A file named after the input wins: wrist.mp4 feeds `wrist`.
PICTURES = ("camera.mp4", "camera.mkv", "camera.avi", "camera", "images")
STREAMS: dict[Modality, tuple[str, ...]] = {
    "image": PICTURES,
    "video": PICTURES,
    "audio": ("sound.wav",),
    "text": ("text.jsonl",),
    "vector": ("sensor.csv", "sensor.jsonl"),
}
MAKE: dict[Modality, Make] = {"image": pictures, "video": pictures, "audio": wav, "text": script, "vector": table}


def open_take(folder: Path, inputs: Iterable[InputSpec], config: SourcesConfig, play: PlayClock) -> dict[str, Source]:
    """Sources by input name, without the inputs for which the take has no stream."""
    action = f"playing the take {folder}"
    if not folder.is_dir():
        raise UsageError("no such folder", action=action, hint="A take contains camera.mp4, sound.wav, text.jsonl")
    inputs = list(inputs)
    found = {spec.name: path for spec in inputs if (path := stream_of(folder, spec)) is not None}
    if not found:
        names = sorted({name for spec in inputs for name in STREAMS[modality_of(spec)]})
        raise UsageError("no file for any input", action=action, hint=f"Expected at least one of: {', '.join(names)}")
    sources = {}
    for spec in inputs:
        if (path := found.get(spec.name)) is not None:
            sources[spec.name] = MAKE[modality_of(spec)](Request(str(path), str(path), spec, config, play))
    return sources


def stream_of(folder: Path, spec: InputSpec) -> Path | None:
    usual = STREAMS[modality_of(spec)]
    named = [spec.name + name[name.index(".") :] if "." in name else spec.name for name in usual]
    return next((folder / name for name in (*named, *usual) if (folder / name).exists()), None)

"""Inputs for the bench: values in memory for every input, and live sources at realistic rates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mm_edge.config import MicConfig
from mm_edge.runtime.sources.mic.synthetic import SyntheticMic
from mm_edge.runtime.sources.text.literal import LiteralText
from mm_edge.spec import AudioInput, ImageInput, TextInput, VideoInput

from .frames import ReadyCamera, frames

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mm_edge.bundle.manifest import Manifest
    from mm_edge.spec import InputSpec

CAMERA_FPS = 30.0
SENSOR_HZ = 100.0
PICTURES = 60
OTHERS = 16
TEXTS = tuple(f"the {color} {thing}" for color in ("red", "green", "blue", "white") for thing in ("ball", "cube"))


class Feeds:
    """Values for each input of a model, generated once: 720p pictures, noise, phrases, numbers."""

    def __init__(self, manifest: Manifest) -> None:
        self._specs = {spec.name: spec for spec in manifest.inputs}
        self.values = {name: _values(spec) for name, spec in self._specs.items()}

    def cycle(self) -> Iterator[dict[str, Any]]:
        """Values for consecutive predictions; every input changes each time, so that every part runs."""
        tick = 0
        while True:
            yield {name: values[tick % len(values)] for name, values in self.values.items()}
            tick += 1

    def sources(self, fps: float = CAMERA_FPS, without: str | None = None) -> list[Any]:
        """Live sources for all inputs but `without`: cameras at `fps`, sound at its hop rate, a constant text."""
        return [self._source(spec, fps) for name, spec in self._specs.items() if name != without]

    def _source(self, spec: InputSpec, fps: float) -> Any:
        if isinstance(spec, ImageInput | VideoInput):
            return ReadyCamera(spec.name, self.values[spec.name], fps)
        if isinstance(spec, AudioInput):
            return SyntheticMic(spec.name, spec.prepare, MicConfig())
        if isinstance(spec, TextInput):
            return LiteralText(spec.name, TEXTS[0])
        return ReadyCamera(spec.name, self.values[spec.name], SENSOR_HZ)


def _values(spec: InputSpec) -> list[Any]:
    generator = np.random.default_rng(0)
    if isinstance(spec, ImageInput | VideoInput):
        return frames(PICTURES)
    if isinstance(spec, AudioInput):
        return [generator.uniform(-0.3, 0.3, spec.prepare.window).astype(np.float32) for _ in range(OTHERS)]
    if isinstance(spec, TextInput):
        return [" | ".join([text] * spec.prepare.prompts) for text in TEXTS]
    return [generator.random(spec.prepare.size, np.float32) for _ in range(OTHERS)]

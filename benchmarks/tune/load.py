"""The load of a measurement: what a live run or a file gives, with the decoding of pictures beside the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from msgspec.structs import replace

from mm_edge.benchmarks.bench.feeds import CAMERA_FPS, Feeds
from mm_edge.benchmarks.bench.frames import ReadyCamera, ReadyFile

if TYPE_CHECKING:
    from mm_edge.bundle.manifest import Manifest
    from mm_edge.runtime.source import Capture


class Load:
    """Sources for every input of a model; pictures arrive as JPEG, as those of most cameras do."""

    def __init__(self, manifest: Manifest) -> None:
        self._feeds, self._driver = Feeds(manifest), manifest.sync.driver
        self._encoded = {
            name: [cv2.imencode(".jpg", picture)[1] for picture in values]
            for name, values in self._feeds.values.items()
            if _are_pictures(values)
        }

    def at_camera_rate(self) -> list[Any]:
        return [
            _JpegCamera(source.input, self._encoded[source.input], CAMERA_FPS)
            if source.input in self._encoded
            else source
            for source in self._feeds.sources()
        ]

    def as_file(self) -> list[Any]:
        """The driver's next sample is always available; the other inputs are live."""
        sources = [source for source in self.at_camera_rate() if source.input != self._driver]
        if self._driver in self._encoded:
            return [_JpegFile(self._driver, self._encoded[self._driver]), *sources]
        return [ReadyFile(self._driver, self._feeds.values[self._driver]), *sources]


class _JpegCamera(ReadyCamera):
    def read(self) -> Capture | None:
        return _decoded(super().read())


class _JpegFile(ReadyFile):
    def read(self) -> Capture | None:
        return _decoded(super().read())


def _decoded(capture: Capture | None) -> Capture | None:
    return None if capture is None else replace(capture, payload=cv2.imdecode(capture.payload, cv2.IMREAD_COLOR))


def _are_pictures(values: list[Any]) -> bool:
    return isinstance(values[0], np.ndarray) and values[0].dtype == np.uint8 and values[0].ndim == 3

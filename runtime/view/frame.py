"""One frame for the page: the prediction as JSON together with its image and audio, in one message.

    4 bytes: length of the JSON, little-endian | JSON | JPEG | sound

The JSON is a line of `--jsonl` plus `frame`, `picture`, `sound` and `text`. Image and prediction are sent together, so
that an overlay always belongs to its image.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from mm_edge.runtime.picture import Planes
from mm_edge.runtime.sinks.telemetry.lines import as_json
from mm_edge.runtime.sound import SoundBlock

from .sound import newest_samples

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mm_edge.sample import HeatMap, Prediction

JPEG_QUALITY = 80
MOST_WIDTH = 1280  # of the displayed image; larger ones are downscaled
TILE_WIDTH = 480  # likewise, of a camera that no page shows large
_encode = msgspec.json.Encoder().encode


class Frame(NamedTuple):
    """`number` counts the frames made for pages."""

    number: int
    message: bytes
    jpeg: bytes | None


def make_frame(number: int, prediction: Prediction, rates: Mapping[str, int], most_width: int = MOST_WIDTH) -> Frame:
    """Takes a few milliseconds, mostly without the GIL. `rates`: sample rate by audio input."""
    head = as_json(prediction)
    head["frame"], head["text"] = number, {}
    jpeg, sound = None, None
    for name, sample in prediction.sources.items():
        payload = sample.payload
        if isinstance(payload, str):
            head["text"][name] = payload
        elif isinstance(payload, SoundBlock):
            sound = sound or newest_samples(payload, rates[name])
        elif jpeg is None and _is_picture(payload):
            jpeg, shown = _jpeg(np.asarray(payload), most_width)
            head["picture"] = {"input": name, "bytes": len(jpeg), "shown": shown, "source": list(payload.shape[1::-1])}
    head["maps"] = {name: _map(heat) for name, heat in prediction.maps.items()}
    if sound:
        head["sound"] = {"rate": sound.rate, "end": sound.end, "bytes": len(sound.pcm)}
    body = _encode(head)
    parts = [len(body).to_bytes(4, "little"), body, jpeg or b"", sound.pcm if sound else b""]
    return Frame(number, b"".join(parts), jpeg)


def _map(heat: HeatMap) -> dict[str, Any]:
    """One byte per cell, row by row from the top, in base64."""
    rows, columns = heat.values.shape
    levels = np.clip(heat.values * 255, 0, 255).astype(np.uint8)
    return {"size": [columns, rows], "box": heat.box, "values": b64encode(levels.tobytes()).decode()}


def _is_picture(payload: Any) -> bool:
    if isinstance(payload, Planes):
        return True
    return isinstance(payload, np.ndarray) and payload.ndim == 3 and payload.dtype == np.uint8


def _jpeg(picture: NDArray[np.uint8], most_width: int) -> tuple[bytes, list[int]]:
    """The JPEG and its width and height."""
    import cv2

    height, width = picture.shape[:2]
    if width > most_width:
        height, width = round(height * most_width / width), most_width
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return encoded.tobytes(), [width, height]

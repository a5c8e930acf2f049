"""Pictures in planes, made from BGR by the book, and pictures that look like something."""

import cv2
import numpy as np

from mm_edge.runtime.picture import Planes, colours

BT601 = (0.299, 0.114)
EVENLY = {"420": (2, 2), "422": (1, 2), "444": (1, 1)}


def planes_of(picture, ratio="420", *, shares=BT601, full=False):
    """The other way than the code under test: its matrix is inverted, colour averaged over what one value covers."""
    known = colours(*shares, full=full)
    yuv = (picture.astype(np.float64) - known.bgr[:, 3]) @ np.linalg.inv(known.bgr[:, :3].astype(np.float64)).T
    down, across = EVENLY[ratio]
    height, width = picture.shape[:2]
    parts = [yuv[..., 0]]
    for colour in (yuv[..., 1], yuv[..., 2]):
        whole = np.pad(colour, ((0, -height % down), (0, -width % across)), mode="edge")
        parts.append(whole.reshape(whole.shape[0] // down, down, whole.shape[1] // across, across).mean((1, 3)))
    planes = tuple(np.clip(np.rint(part), 0, 255).astype(np.uint8) for part in parts)
    return Planes(planes, known, picture.copy)


def smooth(height, width):
    """Slopes without an edge, different in each colour; none too strong to be told in brightness and colour."""
    down, across = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)[None]
    picture = np.stack([60 + 120 * across + 0 * down, 70 + 100 * down + 0 * across, 180 - 90 * across * down], axis=-1)
    return np.rint(picture).astype(np.uint8)


def natural(height, width):
    """Detail at every scale, the less the finer, more in brightness than in colour; and two coloured things."""
    generator = np.random.default_rng(0)
    picture = np.full((height, width, 3), 120.0, np.float32)
    for scale in (3, 6, 12, 24, 48, 96):
        noise = generator.standard_normal((scale, scale, 3), np.float32)
        noise = noise.mean(2, keepdims=True) + 0.4 * noise
        picture += 90 / scale**0.5 * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC) / 2
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    cv2.circle(picture, (width // 3, height // 2), min(height, width) // 6, (40, 40, 220), cv2.FILLED)
    cv2.rectangle(picture, (width // 2, height // 8), (width * 3 // 4, height // 2), (210, 120, 40), cv2.FILLED)
    return picture

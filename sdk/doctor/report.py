"""The JSON of `mm-edge doctor --json` and `mm-edge devices --json`."""

# Annotations are types, not strings: the JSON Schemas are generated from them.
from msgspec import UNSET, UnsetType

from mm_edge.spec import Strict

from .finding import Finding


class DoctorReport(Strict, frozen=True):
    """`mm-edge doctor --json`: the findings by heading."""

    mm_edge: str  # version
    findings: dict[str, list[Finding]]


class CameraMode(Strict, frozen=True):
    """One mode of a camera."""

    format: str
    size: tuple[int, int]  # width, height
    fps: list[float]


class Camera(Strict, frozen=True):
    """A camera; `camera` is its SPEC for --camera. `failed` is why it cannot be opened, or empty."""

    path: str
    camera: str
    failed: str
    name: str | UnsetType = UNSET
    driver: str | UnsetType = UNSET
    bus: str | UnsetType = UNSET
    modes: list[CameraMode] = []


class Microphone(Strict, frozen=True):
    """A microphone; `index` is its SPEC for --mic."""

    index: int
    name: str
    channels: int
    rate: float
    host: str
    default: bool


class DevicesReport(Strict, frozen=True):
    """`mm-edge devices --json`. `sound` is `ok`, or why microphones cannot be listed."""

    cameras: list[Camera]
    microphones: list[Microphone]
    sound: str

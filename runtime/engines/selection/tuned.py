"""The choice that was measured for a bundle on this machine: `run`, `bench` and `doctor` read it.

It counts only for the same bundle, processor, cores and library versions.
"""

from __future__ import annotations

import hashlib
import logging
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec
from msgspec import Struct

from mm_edge.atomic_write import atomic_write
from mm_edge.cache_limit import drop_least_recently_used
from mm_edge.cores import processor_name, usable_cores
from mm_edge.places import cache_folder

from .choice import Choice  # noqa: TC001  # msgspec reads it

if TYPE_CHECKING:
    from mm_edge.bundle.bundle import Bundle

log = logging.getLogger(__name__)
Goal: TypeAlias = Literal["latency", "throughput", "power"]
GOALS: tuple[Goal, ...] = ("latency", "throughput", "power")
_ROOM = "tuned"
_MOST_BYTES = 1 << 16
_MOST_BYTES_OF_ALL = 4 << 20
_LIBRARIES = ("onnxruntime", "openvino")


class Tuned(Struct, frozen=True):
    """`gain`: the measured value of the goal over that of the safe choice, below 1 if better. `origin`: what measured
    it. `loss`: the largest relative error in the golden check, None if the export was verified on this engine.
    """

    bundle: str
    goal: Goal
    choice: Choice
    gain: float
    origin: Literal["tune", "run"]
    machine: str
    loss: float | None = None


def machine_of() -> str:
    """What a measurement depends on: processor, cores, and the versions of the engines."""
    versions = " ".join(f"{name} {_version(name)}" for name in _LIBRARIES if find_spec(name) is not None)
    return f"{processor_name()}, {usable_cores()} cores, {versions}"


def recall_choice(bundle: Bundle, goal: Goal) -> Tuned | None:
    """The choice for this goal. A file that cannot be read does not count."""
    path = _path(bundle, goal)
    try:
        tuned = msgspec.json.decode(_read(path), type=Tuned)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        log.debug("%s: %s", path, error)
        return None
    return tuned if tuned.machine == machine_of() else None


def recall_best(bundle: Bundle, goal: Goal) -> Tuned | None:
    """The choice for this goal, or the one for another goal if nothing was measured for it."""
    goals = sorted(GOALS, key=lambda other: other != goal)
    return next((tuned for each in goals if (tuned := recall_choice(bundle, each)) is not None), None)


def remember_choice(bundle: Bundle, tuned: Tuned) -> None:
    path = _path(bundle, tuned.goal)
    try:
        atomic_write(path, msgspec.json.encode(tuned))
        drop_least_recently_used(path.parent.glob("*.json"), _MOST_BYTES_OF_ALL)
    except OSError as error:
        log.warning("the choice is not remembered: %s", error)


def recall_all() -> list[Tuned]:
    """Every choice that counts on this machine, for `doctor`."""
    found, machine = [], machine_of()
    for path in sorted(cache_folder(_ROOM).glob("*.json")):
        try:
            tuned = msgspec.json.decode(_read(path), type=Tuned)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            log.debug("%s: %s", path, error)
            continue
        if tuned.machine == machine:
            found.append(tuned)
    return found


def _path(bundle: Bundle, goal: Goal) -> Path:
    of_machine = hashlib.sha256(machine_of().encode()).hexdigest()
    return cache_folder(_ROOM) / f"{bundle.digest[:24]}-{of_machine[:12]}-{goal}.json"


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MOST_BYTES)


def _version(package: str) -> str:
    """From the name of its metadata folder: importlib.metadata would add 0.05 s to the start of a run."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return "unknown"
    site = Path(next(iter(spec.submodule_search_locations))).parent
    names = sorted(path.name for path in site.glob(f"{package}-*.dist-info"))
    return names[0].removesuffix(".dist-info").partition("-")[2] if names else "unknown"

"""The generated data: worker processes fill memory-mapped files, and an interrupted generation resumes."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import as_completed
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from mm_edge.zoo.worlds.processes import worker_processes

from .drawing.render import LEAST_VISIBLE, SIDE, SIGN_ID, View, render
from .mesh import SHAPES
from .scene import COLORS, MOST_BODIES, SPLIT_NUMBER, Scene, Split, sample
from .signs import SIGNS
from .sound import WINDOW, Acoustics, clip
from .speech import bank

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from .speech import Sounds

    Progress = Callable[[str, int, int], None]

EDITION = 3  # of the data; raised whenever an index gives another picture or sound than before
CHUNK = 250
NONE = len(SIGNS)  # the label of "no command"
SILENT_SHARES = 3  # of nine sounds contain no command
# In `things`, -1 marks an empty slot. A body that is barely visible is stored as -2 - number: no phrase names it, and
# no phrase treats it as absent.
EMPTY, UNCLEAR = -1, -2
LEAST_PIXELS = 40
LEAST_SIGN_VISIBLE = 0.36
DEFAULT_ACOUSTICS = Acoustics()


@dataclass(frozen=True)
class Condition:
    """How difficult a data set is: whether signs are occluded, and how loud the words are."""

    name: str
    half_hidden: bool | None = None
    acoustics: Acoustics = DEFAULT_ACOUSTICS


DEFAULT_CONDITION = Condition("usual")
CLEAN = Condition("clean", half_hidden=False, acoustics=Acoustics(snr_db=(20.0, 30.0), echo=0.2))
HARD = Condition("hard", half_hidden=True, acoustics=Acoustics(snr_db=(0.0, 0.0), echo=0.4))


@dataclass(frozen=True)
class World:
    """Pictures and sounds, not paired: each training step draws new pairs.

    `pictures` uint8 [n, side, side, 3], `ids` uint8 [n, side, side], `things` int8 [n, bodies, 2] as shape and colour,
    `signs` int8 [n]; `sounds` int16 [m, WINDOW], `words` int8 [m].
    """

    split: Split
    pictures: npt.NDArray[np.uint8]
    ids: npt.NDArray[np.uint8]
    things: npt.NDArray[np.int8]
    signs: npt.NDArray[np.int8]
    sounds: npt.NDArray[np.int16]
    words: npt.NDArray[np.int8]

    def digest(self) -> str:
        """sha256 over all labels, pictures and sounds."""
        total = hashlib.sha256()
        for array in (self.pictures, self.ids, self.things, self.signs, self.sounds, self.words):
            for start in range(0, len(array), 512):
                total.update(np.ascontiguousarray(array[start : start + 512]).tobytes())
        return total.hexdigest()


def view_of(seed: int, index: int, split: Split, condition: Condition) -> tuple[Scene, View]:
    """The picture with this index. A scene whose sign is occluded more than requested is drawn again."""
    attempt = 0
    while True:
        scene = sample(seed, index + attempt * 10_000_019, split, half_hidden=condition.half_hidden)
        view = render(scene)
        shown = any(card.sign is not None for card in scene.cards)
        if not shown or view.sign_visible >= (LEAST_SIGN_VISIBLE if condition.half_hidden is not False else 0.85):
            return scene, view
        attempt += 1


def labels_of(scene: Scene, view: View) -> tuple[npt.NDArray[np.int8], int]:
    things = np.full((MOST_BODIES, 2), EMPTY, np.int8)
    for slot, (thing, seen) in enumerate(zip(scene.bodies, view.visible, strict=True)):
        pair = np.array([SHAPES.index(thing.shape), COLORS.index(thing.color)], np.int8)
        clear = seen >= LEAST_VISIBLE and np.count_nonzero(view.ids == slot + 1) >= LEAST_PIXELS
        things[slot] = pair if clear else UNCLEAR - pair
    sign = next((SIGNS.index(card.sign) for card in scene.cards if card.sign is not None), NONE)
    return things, sign


@dataclass(frozen=True)
class DatasetSpec:
    """Which data to generate, and where it is stored."""

    folder: Path
    split: Split
    pictures: int
    sounds: int
    seed: int = 1
    condition: Condition = DEFAULT_CONDITION
    voices_at_most: int | None = None

    @property
    def home(self) -> Path:
        made = (self.split, self.condition.name, self.seed, self.pictures, self.sounds, self.voices_at_most or "all")
        return self.folder / "-".join(str(part) for part in (*made, f"e{EDITION}"))

    def arrays(self) -> dict[str, tuple[Any, tuple[int, ...]]]:
        return {
            "pictures": (np.uint8, (self.pictures, SIDE, SIDE, 3)),
            "ids": (np.uint8, (self.pictures, SIDE, SIDE)),
            "things": (np.int8, (self.pictures, MOST_BODIES, 2)),
            "signs": (np.int8, (self.pictures,)),
            "sounds": (np.int16, (self.sounds, WINDOW)),
            "words": (np.int8, (self.sounds,)),
        }

    def jobs(self) -> list[tuple[str, int, int]]:
        """Units of work for the worker processes: kind, first index, end index."""
        pictures = [("pictures", start, min(start + CHUNK, self.pictures)) for start in range(0, self.pictures, CHUNK)]
        sounds = [("sounds", start, min(start + 4 * CHUNK, self.sounds)) for start in range(0, self.sounds, 4 * CHUNK)]
        return pictures + sounds

    def mark(self, job: tuple[str, int, int]) -> Path:
        """The file that marks this job as done."""
        return self.home / "made" / f"{job[0]}-{job[1]}"

    def spoken(self, progress: Callable[[int, int], None] | None = None, workers: int = 1) -> Sounds:
        return bank(
            self.folder, self.split, self.seed, voices_at_most=self.voices_at_most, workers=workers, progress=progress
        )


def open_world(order: DatasetSpec, *, workers: int | None = None, progress: Progress | None = None) -> World:
    """The world from its cache; missing data is generated first."""
    many = workers if workers is not None else max(1, len(os.sched_getaffinity(0)))
    (order.home / "made").mkdir(parents=True, exist_ok=True)
    for name, (dtype, shape) in order.arrays().items():
        if not (order.home / f"{name}.npy").exists():
            np.lib.format.open_memmap(order.home / f"{name}.npy", "w+", dtype, shape).flush()
    jobs = order.jobs()
    left = [job for job in jobs if not order.mark(job).exists()]
    if left:
        order.spoken(None if progress is None else partial(progress, "words"), many)
        with worker_processes(many) as pool:
            done = len(jobs) - len(left)
            for finished in as_completed([pool.submit(_make, order, job) for job in left]):
                finished.result()
                done += 1
                if progress is not None:
                    progress("pictures and sounds", done, len(jobs))
    arrays = {name: np.load(order.home / f"{name}.npy", mmap_mode="r") for name in order.arrays()}
    return World(split=order.split, **arrays)


def _make(order: DatasetSpec, job: tuple[str, int, int]) -> None:
    import cv2

    cv2.setNumThreads(1)
    kind, start, end = job
    own = ("pictures", "ids", "things", "signs") if kind == "pictures" else ("sounds", "words")
    arrays = {name: np.load(order.home / f"{name}.npy", mmap_mode="r+") for name in own}
    spoken = order.spoken() if kind == "sounds" else {}
    for index in range(start, end):
        if kind == "pictures":
            scene, view = view_of(order.seed, index, order.split, order.condition)
            arrays["pictures"][index], arrays["ids"][index] = view.picture, view.ids
            arrays["things"][index], arrays["signs"][index] = labels_of(scene, view)
        else:
            rng = np.random.default_rng((order.seed, 53, SPLIT_NUMBER[order.split], index))
            word = int(rng.integers(len(SIGNS) + SILENT_SHARES))
            name = SIGNS[word] if word < NONE else None
            arrays["sounds"][index] = clip(rng, spoken, name, order.condition.acoustics)
            arrays["words"][index] = min(word, NONE)
    for array in arrays.values():
        array.flush()
    order.mark(job).touch()


__all__ = [
    "CLEAN",
    "DEFAULT_CONDITION",
    "HARD",
    "SIGN_ID",
    "Condition",
    "DatasetSpec",
    "World",
    "open_world",
    "view_of",
]

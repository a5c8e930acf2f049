"""Pictures and sounds made ahead by workers into memory-mapped files; an interrupted making goes on where it stopped."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .mesh import SHAPES
from .render import LEAST_VISIBLE, SIDE, SIGN_ID, View, render
from .scene import COLORS, MOST_BODIES, Scene, Split, sample
from .signs import SIGNS
from .sound import WINDOW, Acoustics, clip
from .speech import bank

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    Told = Callable[[str, int, int], None]

CHUNK = 250
NONE = len(SIGNS)  # the label of "no command"
# In `things`, -1 stands for nobody. A body of which too little is to be seen stands there as -2 - number: no phrase
# names it, and none calls it absent.
EMPTY, UNCLEAR = -1, -2
LEAST_PIXELS = 40
LEAST_SIGN_VISIBLE = 0.36


@dataclass(frozen=True)
class Condition:
    """How hard a set is: what covers the signs, and how loud the words are."""

    name: str
    half_hidden: bool | None = None
    acoustics: Acoustics = Acoustics()


AS_IT_COMES = Condition("usual")
CLEAN = Condition("clean", half_hidden=False, acoustics=Acoustics(snr_db=(20.0, 30.0), echo=0.2))
HARD = Condition("hard", half_hidden=True, acoustics=Acoustics(snr_db=(0.0, 0.0), echo=0.4))


@dataclass(frozen=True)
class World:
    """`pictures` uint8 [n, side, side, 3], `ids` uint8 [n, side, side], `things` int8 [n, bodies, 2] as shape and colour,
    `signs` int8 [n]; `sounds` int16 [m, WINDOW], `words` int8 [m]. Pictures and sounds are not paired: a training step pairs them.
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
    """The picture with this number. A scene whose sign happens to be hidden further than asked is drawn again."""
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


def open_world(
    folder: Path,
    split: Split,
    pictures: int,
    sounds: int,
    *,
    seed: int = 1,
    condition: Condition = AS_IT_COMES,
    voices_at_most: int | None = None,
    workers: int | None = None,
    told: Told | None = None,
) -> World:
    """The world from its cache; what is not there yet is made."""
    many = workers if workers is not None else max(1, len(os.sched_getaffinity(0)))
    home = folder / f"{split}-{condition.name}-{seed}-{pictures}-{sounds}-{voices_at_most or 'all'}"
    home.mkdir(parents=True, exist_ok=True)
    shapes: dict[str, tuple[Any, tuple[int, ...]]] = {
        "pictures": (np.uint8, (pictures, SIDE, SIDE, 3)),
        "ids": (np.uint8, (pictures, SIDE, SIDE)),
        "things": (np.int8, (pictures, MOST_BODIES, 2)),
        "signs": (np.int8, (pictures,)),
        "sounds": (np.int16, (sounds, WINDOW)),
        "words": (np.int8, (sounds,)),
    }
    for name, (dtype, shape) in shapes.items():
        if not (home / f"{name}.npy").exists():
            np.lib.format.open_memmap(home / f"{name}.npy", "w+", dtype, shape).flush()
    marks = home / "made"
    marks.mkdir(exist_ok=True)
    bank(
        folder,
        split,
        seed,
        voices_at_most=voices_at_most,
        workers=many,
        told=None if told is None else lambda done, all_: told("words", done, all_),
    )
    jobs = [("pictures", start, min(start + CHUNK, pictures)) for start in range(0, pictures, CHUNK)]
    jobs += [("sounds", start, min(start + 4 * CHUNK, sounds)) for start in range(0, sounds, 4 * CHUNK)]
    left = [job for job in jobs if not (marks / f"{job[0]}-{job[1]}").exists()]
    if left:
        with ProcessPoolExecutor(many) as pool:
            waiting = [pool.submit(_make, folder, home, split, seed, condition, voices_at_most, *job) for job in left]
            for number, job in enumerate(waiting):
                job.result()
                if told is not None:
                    told("pictures and sounds", len(jobs) - len(left) + number + 1, len(jobs))
    arrays = {name: np.load(home / f"{name}.npy", mmap_mode="r") for name in shapes}
    return World(split=split, **arrays)


def _make(
    folder: Path,
    home: Path,
    split: Split,
    seed: int,
    condition: Condition,
    voices_at_most: int | None,
    kind: str,
    start: int,
    end: int,
) -> None:
    import cv2

    cv2.setNumThreads(1)
    if kind == "pictures":
        arrays = {
            name: np.load(home / f"{name}.npy", mmap_mode="r+") for name in ("pictures", "ids", "things", "signs")
        }
        for index in range(start, end):
            scene, view = view_of(seed, index, split, condition)
            arrays["pictures"][index], arrays["ids"][index] = view.picture, view.ids
            arrays["things"][index], arrays["signs"][index] = labels_of(scene, view)
    else:
        arrays = {name: np.load(home / f"{name}.npy", mmap_mode="r+") for name in ("sounds", "words")}
        spoken = bank(folder, split, seed, voices_at_most=voices_at_most)
        for index in range(start, end):
            rng = np.random.default_rng((seed, 53, {"train": 0, "tune": 1, "held-out": 2}[split], index))
            word = int(rng.integers(len(SIGNS) + 3))  # a third of all sounds command nothing
            name = SIGNS[word] if word < NONE else None
            arrays["sounds"][index] = clip(rng, spoken, name, condition.acoustics)
            arrays["words"][index] = min(word, NONE)
    for array in arrays.values():
        array.flush()
    (home / "made" / f"{kind}-{start}").touch()


__all__ = ["AS_IT_COMES", "CLEAN", "HARD", "SIGN_ID", "Condition", "World", "open_world", "view_of"]

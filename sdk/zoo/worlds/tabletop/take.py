"""The demo take: twenty seconds in five shots, as camera.mp4, sound.wav and text.jsonl, with ground truth."""

from __future__ import annotations

import json
import wave
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from .drawing.render import render
from .scene import Body, Camera, Card, Scene, paint
from .sound import noise
from .speech import SAMPLE_RATE, say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mm_edge.zoo.arrays import Floats

FRAMES_A_SECOND = 15
SHOT_SECONDS = 4
SIDE = 256
SEED = 2024
WORD_AT_MS = 1500
VOICES = ("en-gb+f3", "en-us+m3", "en-gb-scotland+m6", "en-us+steph2")  # held out of training


@dataclass(frozen=True)
class Shot:
    """One scene, the text typed at its start, and the word spoken in it, with its noise level."""

    bodies: tuple[tuple[str, str], ...]  # colour and shape
    typed: str
    sign: str | None = None
    half_hidden: bool = False
    said: str | None = None
    noise_db: float = -30.0  # against the word


SHOTS = (
    Shot((("red", "cube"), ("blue", "ball"), ("green", "ring")), "the red cube", said="go"),
    Shot((("yellow", "ring"), ("purple", "cone"), ("orange", "ball")), "find the yellow ring", sign="left"),
    Shot(
        (("blue", "cylinder"), ("red", "pyramid"), ("green", "ball")),
        "where is the purple pyramid ?",
        sign="stop",
        half_hidden=True,
        said="stop",
        noise_db=0.0,
    ),
    Shot((("orange", "cone"), ("purple", "cube"), ("yellow", "ball")), "point at the purple cube", sign="follow"),
    Shot((("green", "pyramid"), ("blue", "cone"), ("red", "ring")), "show me the blue cone", said="search"),
)


def make_take(folder: Path) -> None:
    """Writes the take; the same library versions give identical pictures and sound."""
    folder.mkdir(parents=True, exist_ok=True)
    _film(folder / "camera.mp4")
    _sound(folder / "sound.wav")
    start = [number * SHOT_SECONDS * 1000 for number in range(len(SHOTS))]
    typed = [{"t_ms": t_ms, "text": shot.typed} for t_ms, shot in zip(start, SHOTS, strict=True)]
    _write_lines(folder / "text.jsonl", typed)
    truth = [
        {"t_ms": t_ms, "text": shot.typed, "sign": shot.sign, "said": shot.said, "said_at_ms": t_ms + WORD_AT_MS}
        for t_ms, shot in zip(start, SHOTS, strict=True)
    ]
    _write_lines(folder / "truth.jsonl", truth)


def _write_lines(path: Path, lines: Sequence[Mapping[str, object]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def _film(path: Path) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FRAMES_A_SECOND, (SIDE, SIDE))
    for number, shot in enumerate(SHOTS):
        first = _scene(number, shot)
        for frame in range(SHOT_SECONDS * FRAMES_A_SECOND):
            view = render(_at(first, frame / (SHOT_SECONDS * FRAMES_A_SECOND)), SIDE)
            writer.write(cv2.cvtColor(view.picture, cv2.COLOR_RGB2BGR))
    writer.release()


def _scene(number: int, shot: Shot) -> Scene:
    rng = np.random.default_rng((SEED, number))
    around, reach = rng.uniform(0, 360), 1.45
    facing = np.deg2rad(around)
    toward = np.array([np.cos(facing), np.sin(facing)])
    across = np.array([-np.sin(facing), np.cos(facing)])
    bodies = []
    for place, (color, shape) in enumerate(shot.bodies):
        spot = across * (place - 1) * 0.85 + toward * (0.45 + rng.uniform(-0.1, 0.1))
        bodies.append(
            Body(
                shape=shape,
                color=color,
                rgb=paint(rng, color),
                place=(float(spot[0]), float(spot[1])),
                size=0.3,
                turn=rng.uniform(0, 6.28),
                tipped=False,
                pattern="plain",
                gloss=0.4,
            )
        )
    cards: tuple[Card, ...] = ()
    if shot.sign is not None:
        behind = -0.55 * toward
        hidden = (90.0, 0.5) if shot.half_hidden else None
        cards = (Card(shot.sign, (float(behind[0]), float(behind[1])), 0.5, float(facing), 1.4, hidden),)
    return Scene(
        seed=(SEED, number),
        split="held-out",
        camera=Camera(around=around, elevation=48, distance=6, roll=0, reach=reach),
        light=(0.3, 0.45, 0.84),
        bodies=tuple(bodies),
        cards=cards,
        clutter=3,
        clear=True,
    )


def _at(scene: Scene, share: float) -> Scene:
    """The scene at this share of the shot: the camera and the first body have moved."""
    sway = np.sin(2 * np.pi * share)
    camera = replace(scene.camera, around=scene.camera.around + 14 * sway, elevation=48 + 6 * np.cos(2 * np.pi * share))
    mover = scene.bodies[0]
    shift = 0.25 * np.sin(4 * np.pi * share)
    moved = replace(mover, place=(mover.place[0] + shift, mover.place[1]), turn=mover.turn + 3 * share)
    return replace(scene, camera=camera, bodies=(moved, *scene.bodies[1:]))


def _sound(path: Path) -> None:
    rng = np.random.default_rng((SEED, 99))
    pieces = [_room(rng, shot, VOICES[number % len(VOICES)]) for number, shot in enumerate(SHOTS)]
    samples = (np.clip(np.concatenate(pieces), -1, 1) * 32767).astype(np.int16)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.tobytes())


def _room(rng: np.random.Generator, shot: Shot, voice: str) -> Floats:
    """The sound of one shot: a quiet room, or the word under noise."""
    level = 0.3 * 10 ** (shot.noise_db / 20)
    sound = np.concatenate([noise(rng, "pink", {}) for _ in range(SHOT_SECONDS)])
    sound *= level / (np.sqrt(np.mean(sound**2)) + 1e-9) * 0.35
    if shot.said is not None:
        word = say((shot.said, voice, 155, 50)).astype(np.float32) / 32768
        word *= 0.35 * 0.3 / np.sqrt(np.mean(word**2))
        start = WORD_AT_MS * SAMPLE_RATE // 1000
        sound[start : start + len(word)] += word
    return sound

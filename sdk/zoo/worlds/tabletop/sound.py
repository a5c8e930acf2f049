"""One-second sounds: a command, another word or none, with room echo, level and noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .signs import SIGNS
from .speech import SAMPLE_RATE

if TYPE_CHECKING:
    import numpy.typing as npt

    from mm_edge.zoo.arrays import Floats

    from .speech import Sounds

WINDOW = SAMPLE_RATE  # one second
NOISES = ("white", "pink", "brown", "hum", "babble", "tones", "clicks")


@dataclass(frozen=True)
class Acoustics:
    """Signal-to-noise ratio of the word in dB, and the probability of room echo."""

    snr_db: tuple[float, float] = (-4.0, 30.0)
    echo: float = 0.4


def clip(rng: np.random.Generator, sounds: Sounds, word: str | None, acoustics: Acoustics) -> npt.NDArray[np.int16]:
    """A second of sound: int16 [WINDOW]. `word` None: background, other words, talk, or a fragment of a command."""
    speech: Floats = np.zeros(WINDOW, np.float32)
    if word is not None:
        speech = _placed(rng, _one_of(rng, sounds[word]), least=0.87)
    else:
        kind = rng.random()
        if kind < 0.5:
            speech = _placed(rng, _one_of(rng, sounds["other"]), least=0.5)
        elif kind < 0.65:
            speech = _cut(rng, _one_of(rng, sounds["talk"]))
        elif kind < 0.72:
            speech = _scrap(rng, _one_of(rng, sounds[SIGNS[rng.integers(len(SIGNS))]]))
    if rng.random() < acoustics.echo:
        speech = _echoed(rng, speech)
    power = _power_where_loud(speech)
    kind_of_noise = NOISES[rng.integers(len(NOISES))]
    background = noise(rng, kind_of_noise, sounds)
    background /= np.sqrt(np.mean(background**2)) + 1e-9
    level = np.sqrt(power if power > 0 else 1.0) * 10 ** (-rng.uniform(*acoustics.snr_db) / 20)
    mixed = speech + level * background
    loudest = float(np.abs(mixed).max()) + 1e-9
    if power > 0 or rng.random() < 0.7:
        mixed *= 10 ** rng.uniform(-1.5, -0.05) / loudest
    else:
        mixed *= 10 ** rng.uniform(-4, -1.5) / loudest  # a quiet room
    return np.asarray((mixed * 32767).astype(np.int16))


def _one_of(rng: np.random.Generator, sounds: list[npt.NDArray[np.int16]]) -> Floats:
    return sounds[rng.integers(len(sounds))].astype(np.float32) / 32768


def _placed(rng: np.random.Generator, word: Floats, *, least: float) -> Floats:
    """The word somewhere in the window; at least that share of it is inside."""
    out = np.zeros(WINDOW, np.float32)
    word = word[:WINDOW]
    slack = int((1 - least) * len(word)) if rng.random() < 0.25 else 0
    start = int(rng.integers(-slack, WINDOW - len(word) + slack + 1))
    low, high = max(start, 0), min(start + len(word), WINDOW)
    out[low:high] = word[low - start : high - start]
    return out


def _scrap(rng: np.random.Generator, word: Floats) -> Floats:
    """At most a quarter of a word at the edge of the window: too little to recognize it."""
    out = np.zeros(WINDOW, np.float32)
    n = max(1, int(rng.uniform(0.05, 0.25) * len(word)))
    if rng.random() < 0.5:
        out[:n] = word[-n:]
    else:
        out[-n:] = word[:n]
    return out


def _cut(rng: np.random.Generator, talk: Floats) -> Floats:
    if len(talk) <= WINDOW:
        return np.pad(talk, (0, WINDOW - len(talk)))
    start = int(rng.integers(len(talk) - WINDOW))
    return talk[start : start + WINDOW]


def _power_where_loud(sound: Floats) -> float:
    """Mean power of the quarter-of-peak parts, in 10 ms blocks; 0 for silence."""
    blocks = (sound.reshape(-1, SAMPLE_RATE // 100) ** 2).mean(1)
    if blocks.max() <= 1e-8:
        return 0.0
    return float(blocks[blocks > 0.05 * blocks.max()].mean())


def _echoed(rng: np.random.Generator, sound: Floats) -> Floats:
    length = 1 << 13
    decay = np.exp(-np.arange(length) / (SAMPLE_RATE * rng.uniform(0.02, 0.09)))
    room = rng.standard_normal(length, dtype=np.float32) * decay * rng.uniform(0.03, 0.16)
    room[0] = 1.0
    size = 1 << 15
    spectrum = np.fft.rfft(sound, size) * np.fft.rfft(room, size)
    return np.fft.irfft(spectrum, size)[:WINDOW].astype(np.float32)


def noise(rng: np.random.Generator, kind: str, sounds: Sounds) -> Floats:
    if kind == "babble":
        voices = int(rng.integers(3, 7))
        talk = [rng.uniform(0.4, 1) * _cut(rng, _one_of(rng, sounds["talk"])) for _ in range(voices)]
        return np.asarray(np.sum(talk, 0))
    seconds = np.arange(WINDOW, dtype=np.float32) / SAMPLE_RATE
    if kind == "hum":
        base = rng.uniform(45, 130)
        harmonics = [
            np.sin(2 * np.pi * base * n * seconds + rng.uniform(0, 6.28)) * rng.uniform(0.1, 1) / n for n in range(1, 9)
        ]
        return np.asarray(np.sum(harmonics, 0) + 0.1 * rng.standard_normal(WINDOW, dtype=np.float32))
    if kind == "tones":
        total = 0.05 * rng.standard_normal(WINDOW, dtype=np.float32)
        for _ in range(int(rng.integers(2, 7))):
            start, pitch = rng.uniform(0, 0.8), rng.uniform(150, 2500)
            total += np.sin(2 * np.pi * pitch * seconds) * np.exp(-np.abs(seconds - start) * rng.uniform(3, 15))
        return total
    white = rng.standard_normal(WINDOW, dtype=np.float32)
    if kind == "clicks":
        return np.asarray(white * (rng.random(WINDOW) < 0.004) + 0.02 * white)
    if kind == "white":
        return white
    spectrum = np.fft.rfft(white)
    slope = 0.5 if kind == "pink" else 1.0
    spectrum /= np.maximum(np.arange(len(spectrum)), 8) ** slope
    return np.fft.irfft(spectrum, WINDOW).astype(np.float32)

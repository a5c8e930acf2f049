"""Spoken words synthesized by espeak-ng: many voices, rates and pitches, 16 kHz, cached."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import wave
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from mm_edge.atomic_write import atomic_path
from mm_edge.errors import UnavailableError
from mm_edge.zoo.worlds.processes import worker_processes

from .scene import SPLIT_NUMBER
from .signs import SIGNS
from .words import HELD_OUT_OTHER_WORDS, HELD_OUT_SENTENCES, OTHER_WORDS, SENTENCES, near_words

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from .scene import Split

    Sounds = dict[str, list[npt.NDArray[np.int16]]]

SAMPLE_RATE = 16_000
ACCENTS = ("en-us", "en-gb", "en-gb-x-rp", "en-gb-x-gbclan", "en-029", "en-us-nyc")
HELD_OUT_ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-gbcwmd")
DEFAULT = "default"  # the accent's own voice, without a variant; four times as often as each of the others
VOICES = (
    *("Alex", "Alicia", "Andrea", "Andy", "Annie", "antonio", "aunty", DEFAULT, "benjamin", "boris", "caleb"),
    *("david", "Denis", "Diogo", "ed", "edward", "Gene", DEFAULT, "Henrique", "Hugo", "iven", "iven2", "iven3"),
    *("Jacky", "john", "kaukovalta", "Lee", "linda", "marcelo", "Marco", "Mario", "max", DEFAULT, DEFAULT),
    *("Mike", "Nguyen", "pablo", "paul", "pedro", "quincy", "rob", "robert", "sandro", "shelby", "steph"),
    *("steph3", "Tweaky", "f1", "f2", "f4", "m1", "m2", "m4", "m5", "m7", "klatt", "klatt3", "klatt5"),
)
HELD_OUT_VOICES = (
    *("adam", "anika", "f3", "f5", "m3", "m6", "m8", "klatt2", "klatt4", "Gene2", "iven4", "miguel", "norbert"),
    *("steph2", "travis", "victor", "zac", "grandma"),
)
# Voices of other languages get the commands as phonemes, and read all other text by their own rules.
FOREIGN = ("es", "it", "de", "pl", "nl", "sv", "hi", "pt")
SOUNDS = {
    "stop": "[[st'op]]",
    "go": "[[g'o]]",
    "left": "[[l'eft]]",
    "right": "[[r'ait]]",
    "follow": "[[f'olo]]",
    "search": "[[s'ertS]]",
}
FOREIGN_SHARE, NEAR_SHARE = 0.15, 0.5  # of what is spoken in training; of its other words
TAKES, TAKES_OF_FEW, TAKES_ELSEWHERE = 12, 4, 2  # of each command by each voice: in training, by few voices, else
OTHERS, OTHERS_ELSEWHERE = 18, 6  # other words for each take of a command: unknown words are the most frequent errors
Call = tuple[str, str, int, int]  # text, voice, words a minute, pitch


def require_espeak() -> str:
    path = shutil.which("espeak-ng")
    if path is None:
        raise UnavailableError(
            "espeak-ng is not installed",
            action="synthesizing the spoken words of the world 'tabletop'",
            hint="Install it: sudo apt-get install espeak-ng",
        )
    return path


@lru_cache
def installed_voices() -> frozenset[str]:
    """Accents and variants that espeak-ng has; for any other it silently uses its default voice."""
    found = set()
    for kind in ("", "=variant"):
        listed = subprocess.run([require_espeak(), f"--voices{kind}"], capture_output=True, text=True, check=False)
        for line in listed.stdout.splitlines()[1:]:
            words = line.split()
            found |= {words[1], line[line.find("!v/") + 3 :].split("  ")[0].strip() if "!v/" in line else ""}
    return frozenset(found)


def say(call: Call) -> npt.NDArray[np.int16]:
    """One utterance at 16 kHz, silence cut off at both ends."""
    import soxr

    text, voice, rate, pitch = call
    espeak = require_espeak()
    if missing := [part for part in voice.split("+") if part not in installed_voices()]:
        raise UnavailableError(
            f"espeak-ng has no voice '{missing[0]}'",
            action=f"speaking '{text}' with the voice {voice}",
            hint="Install its voices: sudo apt-get install espeak-ng-data",
        )
    done = subprocess.run(
        [espeak, "-v", voice, "-s", str(rate), "-p", str(pitch), "--stdout", text],
        capture_output=True,
        check=False,
    )
    if done.returncode != 0 or len(done.stdout) < 1000:
        raise UnavailableError(
            f"espeak-ng failed: {done.stderr.decode(errors='replace').strip() or 'no output'}",
            action=f"speaking '{text}' with the voice {voice}",
            hint="Install its voices: sudo apt-get install espeak-ng-data",
        )
    with wave.open(io.BytesIO(done.stdout)) as file:
        rate_in = file.getframerate()
        raw = np.frombuffer(file.readframes(1 << 24), np.int16)
    sound = soxr.resample(raw.astype(np.float32), rate_in, SAMPLE_RATE)
    loud = np.flatnonzero(np.abs(sound) > 0.02 * np.abs(sound).max())
    return np.asarray(np.clip(sound[loud[0] : loud[-1] + 1], -32768, 32767).astype(np.int16))


def calls(split: Split, seed: int, voices_at_most: int | None = None) -> list[Call]:
    """The utterances of a split. `tune` uses the voices of training at other rates and pitches."""
    held_out = split == "held-out"
    rng = np.random.default_rng((seed, 31, SPLIT_NUMBER[split]))
    voices, accents = (HELD_OUT_VOICES, HELD_OUT_ACCENTS) if held_out else (VOICES, ACCENTS)
    others = HELD_OUT_OTHER_WORDS if held_out else OTHER_WORDS
    sentences = HELD_OUT_SENTENCES if held_out else SENTENCES
    near = () if held_out else near_words()
    takes = TAKES_ELSEWHERE if split != "train" else TAKES_OF_FEW if voices_at_most else TAKES
    other_words = takes * (OTHERS if takes == TAKES else OTHERS_ELSEWHERE)
    made: list[Call] = []

    def speak(text: str, voice: str) -> None:
        accent = accents[rng.integers(len(accents))]
        if near and rng.random() < FOREIGN_SHARE:
            accent = FOREIGN[rng.integers(len(FOREIGN))]
            text = SOUNDS.get(text, text)
        full = accent if voice == DEFAULT else f"{accent}+{voice}"
        made.append((text, full, int(rng.integers(115, 225)), int(rng.integers(20, 85))))

    for voice in voices[:: max(1, len(voices) // (voices_at_most or len(voices)))][:voices_at_most]:
        for word in SIGNS:
            for _ in range(takes):
                speak(word, voice)
        for _ in range(other_words):
            words = near if near and rng.random() < NEAR_SHARE else others
            speak(words[rng.integers(len(words))], voice)
        for _ in range(-(-takes // 4)):
            speak(sentences[rng.integers(len(sentences))], voice)
    return made


def bank(
    folder: Path,
    split: Split,
    seed: int,
    *,
    voices_at_most: int | None = None,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Sounds:
    """All utterances of a split by content: commands by name, `other` words, `talk`. Synthesized once, then cached."""
    from safetensors.numpy import load_file, save_file

    wanted = calls(split, seed, voices_at_most)
    digest = hashlib.sha256(repr(wanted).encode()).hexdigest()[:12]
    path = folder / f"speech-{split}-{seed}-{digest}.safetensors"
    if not path.exists():
        require_espeak()
        with worker_processes(workers) as pool:
            spoken = {}
            for number, sound in enumerate(pool.map(say, wanted, chunksize=16)):
                spoken[str(number)] = sound
                if progress is not None:
                    progress(number + 1, len(wanted))
        with atomic_path(path) as partial:
            save_file(spoken, str(partial))
    kept = load_file(str(path))
    sounds: Sounds = {word: [] for word in (*SIGNS, "other", "talk")}
    for number, (text, *_) in enumerate(wanted):
        sounds[_kind(text)].append(kept[str(number)])
    return sounds


def _kind(text: str) -> str:
    """The key under which an utterance is stored."""
    for word, spelled in SOUNDS.items():
        if text in {word, spelled}:
            return word
    return "talk" if " " in text else "other"

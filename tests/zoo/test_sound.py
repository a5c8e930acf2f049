"""Sounds: words are placed, mixed at the level asked for, and spoken by espeak-ng where it is installed."""

import shutil
import subprocess

import numpy as np
import pytest

from mm_edge.errors import UnavailableError
from mm_edge.zoo.worlds.tabletop import sound, speech
from mm_edge.zoo.worlds.tabletop.signs import SIGNS
from mm_edge.zoo.worlds.tabletop.words import HELD_OUT_OTHER_WORDS, OTHER_WORDS, SOUND_ALIKE, near_words

needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")


@pytest.fixture
def spoken():
    """A stand-in for voices: each word is a tone of its own."""
    time = np.arange(8000) / speech.SAMPLE_RATE
    kinds = (*SIGNS, "other", "talk")
    return {kind: [(8000 * np.sin(2 * np.pi * 200 * (n + 1) * time)).astype(np.int16)] for n, kind in enumerate(kinds)}


def test_a_clip_is_one_second_and_follows_from_its_seed(spoken):
    first, again = (sound.clip(np.random.default_rng(3), spoken, "go", sound.Acoustics()) for _ in range(2))
    assert first.shape == (16_000,)
    assert first.dtype == np.int16
    assert np.array_equal(first, again)


@pytest.mark.parametrize("snr_db", [0.0, 20.0])
def test_noise_has_the_level_that_was_asked_for(spoken, monkeypatch, snr_db):
    """White noise over a tone: the power beside the tone's frequency tells the ratio."""
    monkeypatch.setattr(sound, "NOISES", ("white",))
    ratios = []
    for seed in range(12):
        heard = sound.clip(np.random.default_rng(seed), spoken, "left", sound.Acoustics((snr_db, snr_db), echo=0))
        spectrum = np.abs(np.fft.rfft(heard)) ** 2
        tone = spectrum[560:641].sum()  # the word "left" is a tone of 600 Hz
        rest = (spectrum.sum() - tone) * len(spectrum) / (len(spectrum) - 81)
        ratios.append(10 * np.log10(2 * tone / rest))  # the word fills half of the second
    assert np.median(ratios) == pytest.approx(snr_db, abs=1.5)


@pytest.mark.parametrize("kind", sound.NOISES)
def test_every_noise_is_loud_and_finite(spoken, kind):
    made = sound.noise(np.random.default_rng(0), kind, spoken)
    assert made.shape == (16_000,)
    assert np.isfinite(made).all()
    assert made.std() > 0


def test_without_espeak_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(speech.shutil, "which", lambda _: None)
    with pytest.raises(UnavailableError, match="sudo apt-get install espeak-ng"):
        speech.say(("stop", "en-us+m3", 160, 50))


@needs_espeak
def test_a_voice_speaks_at_16_khz_without_silence_around_it():
    word = speech.say(("stop", "en-us+m3", 160, 50))
    assert 3_000 < len(word) < 14_000
    assert np.abs(word[:400]).max() > 0.01 * np.abs(word).max()


@needs_espeak
def test_a_voice_that_is_not_there_is_told():
    with pytest.raises(UnavailableError, match="klingon"):
        speech.say(("stop", "klingon", 160, 50))


def test_held_out_voices_words_and_sentences_are_others():
    train, held_out = (speech.calls(split, 1) for split in ("train", "held-out"))

    def voices(calls):
        return {voice.partition("+")[2] for _, voice, _, _ in calls}

    def others(calls):
        return {text for text, *_ in calls if text not in SIGNS}

    assert not voices(train) & voices(held_out)
    assert not others(train) & others(held_out)
    assert {text for text, *_ in held_out} >= set(SIGNS)
    assert len(voices(speech.calls("train", 1, 5))) <= 5


def _read_aloud(words, voice):
    """The sounds that espeak-ng has for each word."""
    command = ["espeak-ng", "-q", "-x", "-v", voice]
    said = subprocess.run(command, input="\n\n".join(words) + "\n", capture_output=True, text=True, check=True).stdout
    return [line.strip() for line in said.splitlines() if line.strip()]


@needs_espeak
@pytest.mark.parametrize("voice", ["en-us", "en-gb", "en-029"])
def test_nothing_that_commands_nothing_sounds_like_a_command(voice):
    others = [*near_words(), *OTHER_WORDS, *HELD_OUT_OTHER_WORDS]
    heard = _read_aloud(others, voice)
    assert len(heard) == len(others)
    commands = _read_aloud(SIGNS, voice)
    assert [word for word, sounds in zip(others, heard, strict=True) if sounds in commands] == []
    assert _read_aloud(SOUND_ALIKE, voice) == [commands[3], commands[5], commands[5]]  # why these are kept out


def test_what_is_held_out_is_never_taught():
    taught = {text for text, *_ in speech.calls("train", 1)} | {text for text, *_ in speech.calls("tune", 1)}
    requested = {text for text, *_ in speech.calls("held-out", 1)} - set(SIGNS)
    assert requested
    assert not taught & requested

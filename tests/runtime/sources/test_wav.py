"""Wav files: every kind of sample, every rate, nothing lost."""

import struct
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from playing import ManualPlayClock

from mm_edge.errors import InputError
from mm_edge.runtime.clock import NS_PER_S
from mm_edge.runtime.sources.mic.resampler import Resampler
from mm_edge.runtime.sources.mic.riff import EXTENSIBLE, FLOAT, PCM, read_wav
from mm_edge.runtime.sources.mic.wav import WavFile
from mm_edge.spec import AudioPrepare

TYPES = {
    (PCM, 16): lambda x: np.round(x * 32767).astype("<i2").tobytes(),
    (PCM, 32): lambda x: np.round(x * (2**31 - 1)).astype("<i4").tobytes(),
    (PCM, 24): lambda x: np.round(x * (2**23 - 1)).astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes(),
    (PCM, 8): lambda x: np.round(x * 127 + 128).astype(np.uint8).tobytes(),
    (FLOAT, 32): lambda x: x.astype("<f4").tobytes(),
    (FLOAT, 64): lambda x: x.astype("<f8").tobytes(),
}


def write_wav(path, sound, *, rate=16000, form=PCM, bits=16, extensible=False, junk=b"", length=None):
    """`sound`: [n] or [n, channels]."""
    channels = 1 if sound.ndim == 1 else sound.shape[1]
    data = TYPES[form, bits](sound.reshape(-1).astype(np.float64))
    head = struct.pack(
        "<HHIIHH",
        EXTENSIBLE if extensible else form,
        channels,
        rate,
        rate * channels * bits // 8,
        channels * bits // 8,
        bits,
    )
    if extensible:
        head += struct.pack("<HHI", 22, bits, 0) + struct.pack("<H", form) + b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
    chunks = b"fmt " + struct.pack("<I", len(head)) + head
    if junk:
        chunks += b"LIST" + struct.pack("<I", len(junk)) + junk + b"\0" * (len(junk) % 2)
    chunks += b"data" + struct.pack("<I", len(data) if length is None else length) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks)
    return path


def tone(seconds, rate, hz=300.0):
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


@pytest.mark.parametrize(("form", "bits"), TYPES)
@pytest.mark.parametrize("extensible", [False, True])
def test_every_kind_of_sample_is_read(tmp_path, form, bits, extensible):
    sound = tone(0.1, 16000)
    wav = read_wav(write_wav(tmp_path / "a.wav", sound, form=form, bits=bits, extensible=extensible, junk=b"odd"))
    assert (wav.rate, wav.channels, wav.samples) == (16000, 1, 1600)
    np.testing.assert_allclose(wav.mono(0, 1600), sound, atol=2.0 ** (1 - min(bits, 20)))
    assert wav.mono(1500, 1600).shape == (100,)
    assert wav.mono(0, 10).dtype == np.float32


def test_what_the_standard_library_writes_is_read(tmp_path):
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((2, 2, 44100, 0, "NONE", ""))
        file.writeframes(np.array([[1000, 3000], [-200, 200]], "<i2").tobytes())
    wav = read_wav(tmp_path / "a.wav")
    np.testing.assert_allclose(wav.mono(0, 2), np.array([2000, 0]) / 32768)


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF, 3201, 1 << 30])
def test_a_file_whose_length_was_never_filled_in_or_that_was_cut_off_is_read_to_its_end(tmp_path, length):
    wav = read_wav(write_wav(tmp_path / "a.wav", tone(0.1, 16000), length=length))
    assert wav.samples == 1600


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "not a WAV file"),
        (b"ID3" + b"\0" * 100, "not a WAV file"),
        (b"RIFF\0\0\0\0WAVE", "contains no audio"),
        (b"RIFF\0\0\0\0WAVEdata\4\0\0\0\0\0\0\0", "contains no audio"),
        (b"RIFF\0\0\0\0WAVEfmt \4\0\0\0\1\0\1\0", "truncated"),
        (b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + struct.pack("<HHIIHH", 2, 1, 16000, 0, 0, 4), "format 2, 4 bits"),
        (b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + struct.pack("<HHIIHH", 1, 0, 16000, 0, 0, 16), "0 channels"),
        (b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + struct.pack("<HHIIHH", 1, 1, 0, 0, 0, 16), "0 Hz"),
    ],
)
def test_what_is_not_a_wav_file_is_rejected(tmp_path, content, found):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(InputError, match=found):
        read_wav(tmp_path / "a.wav")


@given(st.binary(max_size=80))
def test_broken_bytes_never_do_more_than_be_refused(tmp_path_factory, tail):
    path = tmp_path_factory.mktemp("broken") / "a.wav"
    path.write_bytes(b"RIFF\0\0\0\0WAVEfmt " + tail)
    try:
        wav = read_wav(path)
    except InputError:
        return
    assert np.isfinite(wav.mono(0, 10)).all() or wav.kind.startswith("float")


def played(path, prepare):
    play = ManualPlayClock(start_ns=NS_PER_S)
    source = WavFile("audio", path, prepare, play)
    opened, captures = source.open(), []
    while (capture := source.read()) is not None:
        captures.append((capture, play._clock.now_ns()))
    return opened, captures


def test_hops_come_when_their_last_sample_is_due_and_the_rest_comes_too(tmp_path):
    sound = tone(0.35, 16000)
    path = write_wav(tmp_path / "a.wav", sound, form=FLOAT, bits=32)
    opened, captures = played(path, AudioPrepare(16000, 8000, 1600))
    assert opened.detail == "a.wav, float 32 bit, 16000 Hz, 1 ch, 0.3 s"
    assert [capture.payload.count for capture, _ in captures] == [1600, 1600, 1600, 800]
    for number, (capture, now_ns) in enumerate(captures):
        assert capture.t_ns == NS_PER_S + number * NS_PER_S // 10
        assert now_ns == NS_PER_S + capture.payload.end * NS_PER_S // 16000
        assert capture.shift_ns == 0
    last = captures[-1][0].payload
    np.testing.assert_array_equal(last.ring.window(last.end, 5600), sound.astype(np.float32))


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 96000])
def test_another_rate_is_resampled_without_a_shift(tmp_path, rate):
    sound, wanted = tone(1.0, rate), tone(1.0, 16000)
    opened, captures = played(
        write_wav(tmp_path / "a.wav", sound, rate=rate, bits=32), AudioPrepare(16000, 16000, 1600)
    )
    assert "resampled to 16000 Hz" in opened.detail
    last = captures[-1][0].payload
    assert last.end == pytest.approx(16000, abs=1)
    heard = last.ring.window(last.end, last.end)
    middle = slice(1600, 14400)  # at its ends a filter sees the silence around
    np.testing.assert_allclose(heard[middle], wanted[middle], atol=2e-3)


@given(st.lists(st.integers(1, 2000), min_size=1, max_size=20))
def test_a_resampled_stream_does_not_depend_on_how_it_is_cut(cuts):
    sound = tone(sum(cuts) / 48000, 48000).astype(np.float32)
    whole = Resampler(48000, 16000).push(sound, last=True)
    resampler, pieces, at = Resampler(48000, 16000), [], 0
    for cut in cuts:
        pieces.append(resampler.push(sound[at : at + cut], last=at + cut == len(sound)))
        at += cut
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-6)

"""The synthetic camera and microphone: live by their own clock, the same every time."""

import numpy as np
import pytest
from playing import ManualTicker

from mm_edge.config import CameraConfig, MicConfig
from mm_edge.errors import UsageError
from mm_edge.runtime.clock import NS_PER_MS, NS_PER_S
from mm_edge.runtime.sources.camera.synthetic import SyntheticCamera
from mm_edge.runtime.sources.mic.synthetic import SyntheticMic, sweep
from mm_edge.spec import AudioPrepare

SMALL = CameraConfig(width=64, height=48, fps=25)


def test_pictures_come_at_their_rate_with_the_offset_and_differ():
    camera = SyntheticCamera("image", CameraConfig(width=64, height=48, fps=25, offset_ms=-8), ManualTicker(NS_PER_S))
    opened = camera.open()
    assert (opened.detail, opened.period_ns) == ("synthetic camera, 64x48 at 25 fps", 40 * NS_PER_MS)
    captures = [camera.read() for _ in range(3)]
    assert [capture.t_ns - NS_PER_S for capture in captures] == [(-8 + 40 * k) * NS_PER_MS for k in range(3)]
    assert not np.array_equal(captures[0].payload, captures[2].payload)
    assert camera.figures()["skipped"] == 0


def test_two_cameras_show_the_same():
    pair = [SyntheticCamera("image", SMALL, ManualTicker(start)) for start in (0, 77 * NS_PER_S)]
    for camera in pair:
        camera.open()
    for _ in range(5):
        a, b = (camera.read().payload for camera in pair)
        np.testing.assert_array_equal(a, b)


def test_a_late_reader_misses_pictures_and_they_are_counted():
    ticker = ManualTicker(0)
    camera = SyntheticCamera("image", SMALL, ticker)
    camera.open()
    camera.read()
    ticker.clock.advance(NS_PER_S)
    assert camera.read().t_ns == NS_PER_S
    assert camera.figures()["skipped"] == 24


def test_interrupted_it_stops_and_opened_it_begins_again():
    for source in (
        SyntheticCamera("image", SMALL, ManualTicker()),
        SyntheticMic("audio", AudioPrepare(16000, 16000, 1600), MicConfig(), ManualTicker()),
    ):
        source.open()
        assert source.read() is not None
        source.interrupt()
        assert source.read() is None
        source.close()
        source.open()
        assert source.read() is not None


def test_hops_follow_one_another_and_are_stamped_with_their_first_sample():
    ticker = ManualTicker(NS_PER_S)
    mic = SyntheticMic("audio", AudioPrepare(16000, 8000, 1600), MicConfig(offset_ms=3), ticker)
    assert mic.open().period_ns == 100 * NS_PER_MS
    for number in range(3):
        capture = mic.read()
        assert capture.t_ns == NS_PER_S + (100 * number + 3) * NS_PER_MS
        assert ticker.now_ns() == NS_PER_S + 100 * (number + 1) * NS_PER_MS  # not before its last sample
        assert (capture.payload.end, capture.payload.count) == (1600 * (number + 1), 1600)
    np.testing.assert_array_equal(capture.payload.ring.window(4800, 4800), sweep(16000)[:4800])
    assert not capture.payload.ring.window(4800, 8000)[:3200].any()


def test_the_sweep_can_be_played_round_and_round():
    once = sweep(16000)
    steps = np.abs(np.diff(np.concatenate((once, once[:100]))))
    assert steps[-101:].max() <= steps.max()
    assert np.abs(once).max() <= 0.3


def test_a_size_that_would_fill_the_memory_is_refused():
    with pytest.raises(UsageError, match="16384x16384 has more than 33,177,600 pixels"):
        SyntheticCamera("image", CameraConfig(width=16_384, height=16_384))
    SyntheticCamera("image", CameraConfig(width=16_384))

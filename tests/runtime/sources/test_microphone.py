"""The microphone: clock, rates and faults, with a simulated PortAudio."""

import itertools
import queue
import sys

import numpy as np
import pytest
from fake_sounddevice import FakeSoundDevice
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_edge.config import MicConfig
from mm_edge.errors import DeviceError, SourceLostError
from mm_edge.runtime.clock import NS_PER_MS, NS_PER_S
from mm_edge.runtime.sources.mic import device as device_module
from mm_edge.runtime.sources.mic import portaudio
from mm_edge.runtime.sources.mic.device import Microphone
from mm_edge.runtime.sources.mic.sample_clock import SampleClock
from mm_edge.spec import AudioPrepare

PREPARE = AudioPrepare(16000, 8000, 1600)
START_NS = 1000 * NS_PER_S


# --- when a sample was captured


@settings(max_examples=25)
@given(st.floats(-200, 200), st.sampled_from([8000, 16000, 44100, 48000]), st.integers(0, 1000))
def test_the_fit_finds_the_drift_and_the_time_through_the_jitter(drift_ppm, rate, seed):
    jitter = np.random.default_rng(seed).exponential(0.3e-3, 6000)  # callbacks come late, never early
    clock, block = SampleClock(rate), rate // 100
    for number in range(6000):  # a minute
        true_s = number * block / rate / (1 + drift_ppm * 1e-6)
        clock.observe(number * block, START_NS + round((true_s + jitter[number]) * NS_PER_S))
    assert clock.drift_ppm == pytest.approx(drift_ppm, abs=5)
    sample = 5990 * block
    true_ns = START_NS + sample / rate / (1 + drift_ppm * 1e-6) * NS_PER_S
    assert clock.time_of(sample) - true_ns == pytest.approx(0.3 * NS_PER_MS, abs=0.15 * NS_PER_MS)  # the mean lateness


def test_a_delayed_callback_moves_nothing():
    clock = SampleClock(16000)
    for number in range(500):
        held_up_ns = 80 * NS_PER_MS if number % 50 == 49 else 0
        clock.observe(number * 160, number * 10 * NS_PER_MS + held_up_ns)
    assert clock.time_of(80_000) == pytest.approx(5 * NS_PER_S, abs=0.4 * NS_PER_MS)


def test_the_clock_detects_unreported_sample_loss_within_a_second():
    clock = SampleClock(16000)
    for number in range(1000):
        lost_ns = 250 * NS_PER_MS if number >= 300 else 0
        clock.observe(number * 160, number * 10 * NS_PER_MS + lost_ns)
        if number == 380:
            assert clock.time_of(380 * 160) == pytest.approx(4050 * NS_PER_MS, abs=NS_PER_MS)
    assert clock.drift_ppm == pytest.approx(0, abs=5)


def test_the_first_callback_already_gives_a_time():
    clock = SampleClock(16000)
    clock.observe(0, START_NS)
    assert clock.time_of(1600) == START_NS + 100 * NS_PER_MS
    assert clock.drift_ppm == 0


def test_it_stays_precise_for_a_month():
    clock, rate = SampleClock(48000), 48000
    first = 30 * 24 * 3600 * rate
    for number in range(200):
        clock.observe(first + number * 480, START_NS + number * 10 * NS_PER_MS)
    assert clock.time_of(first + 200 * 480) == pytest.approx(START_NS + 2 * NS_PER_S, abs=1000)


# --- the device


class Lab:
    """A microphone whose callbacks the test makes, at chosen times."""

    def __init__(self, monkeypatch, *, latency_s=0.03, wave=lambda n: n % 1000 / 1000, **fake):
        self.sd = FakeSoundDevice(on_start=self._first, **fake)
        self.latency_s, self.wave, self.now_ns, self.heard = latency_s, wave, START_NS, 0
        self.adc_s = lambda now_s: now_s - self.latency_s
        monkeypatch.setitem(sys.modules, "sounddevice", self.sd)
        monkeypatch.setattr(portaudio, "_scanned", False)
        monkeypatch.setattr(device_module.time, "monotonic_ns", lambda: self.now_ns)

    def source(self, spec="default", **config):
        self.mic = Microphone("audio", spec, PREPARE, MicConfig(**config))
        return self.mic

    def _first(self, stream):
        self.stream = stream
        self.hear()

    def hear(self, blocks=1, *, overflow=False):
        for _ in range(blocks):
            stream = self.stream
            block = self.wave(np.arange(self.heard, self.heard + stream.block))
            self.heard += stream.block
            self.now_ns += stream.block * NS_PER_S // stream.rate
            now_s = self.now_ns / NS_PER_S - 900  # PortAudio's clock is not ours
            stream.hear(block, adc_s=self.adc_s(now_s), now_s=now_s, overflow=overflow)


@pytest.fixture
def lab(monkeypatch):
    def make(**fake):
        return Lab(monkeypatch, **fake)

    yield make
    assert portaudio._open_streams == 0, "a stream was left open"


def test_hops_at_the_models_rate_stamped_by_the_converter(lab):
    here = lab(rates=(16000,))
    source = here.source(offset_ms=2)
    opened = source.open()
    assert opened.detail == "microphone 0 'USB Mic' (ALSA), 16000 Hz, 1 ch, stamped by the converter's time"
    assert opened.period_ns == 100 * NS_PER_MS
    here.hear(19)
    first, second = source.read(), source.read()
    # the first sample of the first block: its callback came 10 ms after the start, 30 ms after the capture
    assert first.t_ns == pytest.approx(START_NS + (10 - 30 + 2) * NS_PER_MS, abs=1000)
    assert second.t_ns - first.t_ns == pytest.approx(100 * NS_PER_MS, abs=1000)
    assert (second.payload.end, second.payload.count) == (3200, 1600)
    wanted = (np.arange(3200) % 1000 / 1000).astype(np.float32)
    np.testing.assert_allclose(second.payload.ring.window(3200, 3200), wanted)
    assert not second.payload.ring.window(3200, 8000)[:4800].any()  # silence before the first
    source.close()
    assert here.stream.closed


@pytest.mark.parametrize(
    "adc_s",
    [
        lambda _: 0.0,  # never set
        lambda _: 77.0,  # stuck
        lambda now_s: now_s + 5,  # in the future
        lambda now_s: now_s - 0.001,  # captured before it could have been heard
        lambda now_s: now_s - 30,  # long ago
    ],
)
def test_a_converter_time_that_cannot_be_is_not_taken(lab, adc_s):
    here = lab(rates=(16000,))
    here.adc_s = adc_s
    source = here.source()
    opened = source.open()
    here.hear(9)
    capture = source.read()
    assert capture.t_ns == pytest.approx(START_NS, abs=1000)  # the callback less its own length
    if adc_s(100.0) != 77.0:
        assert opened.detail.endswith("stamped by the callback's time")
    source.close()


def test_another_rate_is_resampled_and_stamped_all_the_same(lab):
    here = lab(rates=(48000,), wave=lambda n: np.sin(2 * np.pi * 250 * n / 48000))
    source = here.source()
    assert "48000 Hz, 1 ch (requested 16000 Hz), resampled to 16000 Hz" in source.open().detail
    here.hear(29)
    captures = [source.read(), source.read()]
    assert captures[0].t_ns == pytest.approx(START_NS - 20 * NS_PER_MS, abs=1000)
    assert captures[1].t_ns == pytest.approx(START_NS + 80 * NS_PER_MS, abs=1000)
    heard = captures[1].payload.ring.window(3200, 1600)
    wanted = np.sin(2 * np.pi * 250 * np.arange(1600, 3200) / 16000)
    np.testing.assert_allclose(heard, wanted, atol=0.01)
    source.close()


def test_a_microphone_that_has_two_channels_only_is_averaged(lab):
    here = lab(rates=(16000,), mono=False)
    source = here.source()
    assert "16000 Hz, 2 ch" in source.open().detail
    here.hear(9)
    wanted = (np.arange(1600) % 1000 / 1000).astype(np.float32)
    np.testing.assert_allclose(source.read().payload.ring.window(1600, 1600), wanted)
    source.close()


def test_callbacks_that_stop_are_a_loss_and_it_can_be_opened_again(lab, monkeypatch):
    here = lab(rates=(16000,))
    source = here.source()
    source.open()
    here.hear(12)
    source.read()
    monkeypatch.setattr(device_module, "SILENT_S", 0.0)  # the time that passes without a callback
    with pytest.raises(SourceLostError, match="unplugged"):
        source.read()
    assert here.stream.active  # which is why it is not asked
    source.close()
    here.sd.names = ("Speakerphone", "USB Mic")
    opened = source.open()
    assert here.sd.scans == 1  # PortAudio lists its devices once, unless it is rescanned
    assert opened.detail.startswith("microphone 0 'Speakerphone'")
    here.hear(9)
    assert source.read().payload.end == 1600
    source.close()


def test_a_microphone_without_audio_does_not_open(lab, monkeypatch):
    here = lab(rates=(16000,))
    here.sd.on_start = lambda stream: None
    monkeypatch.setattr(device_module, "START_S", 0.0)
    with pytest.raises(DeviceError, match="no audio received"):
        here.source().open()


def test_an_interrupt_ends_a_wait(lab):
    here = lab(rates=(16000,))
    source = here.source()
    source.open()
    source.interrupt()
    assert source.read() is None
    source.close()


def test_audio_lost_by_the_host_is_counted_and_the_time_stays_right(lab):
    here = lab(rates=(16000,))
    source = here.source()
    source.open()
    here.hear(9)
    source.read()
    here.now_ns += 500 * NS_PER_MS  # lost
    here.hear(1, overflow=True)
    here.hear(9)
    capture = source.read()
    assert source.figures()["overflows"] == 1
    assert capture.t_ns == pytest.approx(START_NS + (100 + 500 - 20) * NS_PER_MS, abs=1000)
    source.close()


def test_a_late_reader_gets_silence_for_missed_samples_and_keeps_count(lab):
    here = lab(rates=(16000,))
    source = here.source()
    source.open()
    here.hear(299)  # three seconds; two are kept
    captures = [source.read() for _ in range(30)]
    assert source.figures()["samples_lost"] == 16000 - 160  # the first callback was taken when it opened
    assert captures[-1].payload.end == 48000
    ring = captures[-1].payload.ring
    assert not ring.window(15840, 1600).any()
    np.testing.assert_allclose(ring.window(48000, 1600), np.arange(46400, 48000) % 1000 / 1000, atol=1e-6)
    assert captures[-1].t_ns - captures[-2].t_ns == pytest.approx(100 * NS_PER_MS, abs=1000)
    source.close()


def test_time_never_goes_back(lab):
    here = lab(rates=(16000,))
    source = here.source()
    source.open()
    stamps = []
    for number in range(60):
        here.latency_s = 0.03 if number % 2 else 0.9  # a jumpy driver
        here.hear(10, overflow=number % 7 == 0)
        stamps.append(source.read().t_ns)
    assert all(a < b for a, b in itertools.pairwise(stamps))
    source.close()


# --- which one


def test_devices_by_default_number_and_name(lab):
    here = lab(names=("HDA Intel: ALC295", "USB Audio: Mic", "USB"), rates=(16000,), default=1)
    for spec, number in (("default", 1), ("0", 0), ("alc295", 0), ("audio", 1), ("usb", 2)):
        assert portaudio.find(here.sd, spec).number == number
    with pytest.raises(DeviceError, match=r"matches several.*Give the number: 1 'USB Audio: Mic' \(ALSA\), 2 'USB'"):
        portaudio.find(here.sd, "us")
    for spec in ("9", "3", "nothing like it"):  # 3 is the loudspeaker
        with pytest.raises(DeviceError, match=r"no such microphone.*0 'HDA Intel: ALC295'"):
            portaudio.find(here.sd, spec)


def test_without_any_microphone(lab):
    here = lab(names=(), default=-1)
    with pytest.raises(DeviceError, match=r"no default microphone.*--mic synthetic"):
        here.source().open()


def test_a_microphone_that_is_in_use_or_takes_no_format(lab):
    here = lab(rates=(16000,))
    here.sd.refuses_to_start = True
    with pytest.raises(DeviceError, match=r"Device unavailable.*fuser"):
        here.source().open()
    here.sd.refuses_to_start, here.sd.check_input_settings = False, refuse
    with pytest.raises(DeviceError, match="supports none of: 16000 Hz, 1 ch; 16000 Hz, 2 ch"):
        here.source().open()


def refuse(*_, **__):
    raise ValueError("no")


def test_a_missing_portaudio_names_its_package(monkeypatch):
    class Missing:
        def find_spec(self, name, path=None, target=None):
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    with pytest.raises(DeviceError, match=r"PortAudio library not found.*sudo apt install libportaudio2"):
        portaudio.load()


def test_devices_are_not_looked_for_again_while_a_stream_is_open(lab):
    here = lab(rates=(16000,))
    first, second = here.source(), here.source()
    first.open()
    second.open()
    assert here.sd.scans == 0
    first.close()
    second.close()
    second.close()
    first.open()
    assert here.sd.scans == 1
    first.close()


def test_the_callback_only_leaves_a_note(lab):
    """It must not block, resample or write to the model's ring buffer: that is the reader's job."""
    here = lab(rates=(48000,))
    source = here.source()
    source.open()
    here.hear(5)
    assert here.mic._ring.written < 2 * 160
    assert here.mic._raw.written == 6 * 480
    assert isinstance(here.mic._notes, queue.SimpleQueue)
    source.close()

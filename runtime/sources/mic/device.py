"""A microphone, through PortAudio."""

from __future__ import annotations

import logging
import queue
import time
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from mm_edge.errors import DeviceError, SourceLostError
from mm_edge.runtime.clock import NS_PER_S, ms_to_ns
from mm_edge.runtime.sound import SoundBlock, SoundRing
from mm_edge.runtime.source import Capture, Opened

from . import portaudio
from .resampler import Resampler
from .ring import ring_for
from .sample_clock import SampleClock

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from mm_edge.config import MicConfig
    from mm_edge.spec import AudioPrepare

RAW_S = 2  # of raw audio are buffered for the reader
START_S = 3.0  # a device may be slow to make its first callback
SILENT_S = 0.7  # without a callback: unplugged; PortAudio itself never reports that
MOST_LATENCY_S = 1.0
log = logging.getLogger(__name__)


class Note(Struct, frozen=True):
    """What a callback passes to the reader: the number of samples and the time."""

    count: int  # samples per channel
    now_ns: int
    now_s: float  # on PortAudio's own clock
    adc_s: float  # when the first sample reached the converter, on the same clock; may be invalid
    overflow: bool


class Microphone:
    """Hops of mono audio at the model's rate. The callback only copies; the reading thread does everything else."""

    live = True

    def __init__(self, input_name: str, spec: str, prepare: AudioPrepare, config: MicConfig) -> None:
        self.name, self.input = "mic", input_name
        self._spec, self._prepare, self._config = spec, prepare, config
        self._offset_ns = ms_to_ns(config.offset_ms)
        self._notes: queue.SimpleQueue[Note | None] = queue.SimpleQueue()
        self._stream: Any = None
        self._overflows = self._lost = 0
        self._clock = SampleClock(prepare.sample_rate)

    def open(self) -> Opened:
        sd = portaudio.load()
        portaudio.scan(sd)
        device = portaudio.find(sd, self._spec)
        requested_rate = self._config.rate or self._prepare.sample_rate
        form = portaudio.format_for(sd, device, requested_rate)
        self._rate, self._channels = form.rate, form.channels
        self._notes = queue.SimpleQueue()
        self._raw = SoundRing(RAW_S * self._rate * self._channels)  # the channels interleaved
        self._resampler = Resampler(self._rate, self._prepare.sample_rate)
        self._ring, self._given, self._last_ns = ring_for(self._prepare), 0, 0
        self._clock, self._taken, self._last_adc_s, self._adc_trusted = SampleClock(self._rate), 0, 0.0, True
        self._overflows = self._lost = 0
        self._stream = portaudio.start(sd, device, form, self._callback)
        # A microphone counts as open after its first audio: only then is it known whether its timestamps are valid.
        try:
            first = self._note(START_S)
        except SourceLostError:
            self.close()
            hint = "Another program may be using it, or it may be muted or suspended"
            raise DeviceError("no audio received", action=f"opening the microphone {device}", hint=hint) from None
        if first is not None:
            self._take(first)
        rate, stamps = self._prepare.sample_rate, "the converter's time" if self._adc_trusted else "the callback's time"
        differs = "" if self._rate == requested_rate else f" (requested {requested_rate} Hz)"
        resampled = "" if self._rate == rate else f", resampled to {rate} Hz"
        detail = f"microphone {device}, {form}{differs}{resampled}, stamped by {stamps}"
        return Opened(detail, period_ns=self._prepare.hop * NS_PER_S // rate, facts=(("stamps", stamps),))

    def _callback(self, sound: NDArray[np.float32], count: int, times: Any, status: Any) -> None:
        """PortAudio's callback: it must not block."""
        now_ns = time.monotonic_ns()
        self._raw.write(sound.reshape(-1))
        overflow = bool(status and status.input_overflow)
        self._notes.put(Note(count, now_ns, times.currentTime, times.inputBufferAdcTime, overflow))

    def read(self) -> Capture | None:
        hop = self._prepare.hop
        while self._ring.written - self._given < hop:
            note = self._note(SILENT_S)
            if note is None:
                return None
            self._take(note)
        first, self._given = self._given, self._given + hop
        t_ns = self._clock.time_of(first * self._rate / self._prepare.sample_rate) + self._offset_ns
        self._last_ns = max(t_ns, self._last_ns + 1)  # a newly fitted line may lie slightly behind the old one
        until_ns = self._last_ns + hop * NS_PER_S // self._prepare.sample_rate
        return Capture(self._last_ns, SoundBlock(self._ring, self._given, hop), until_ns=until_ns)

    def _note(self, patience_s: float) -> Note | None:
        try:
            return self._notes.get(timeout=patience_s)
        except queue.Empty:
            found = f"no audio for {1000 * patience_s:.0f} ms: the microphone was unplugged or its driver stopped"
            raise SourceLostError(found, action=f"reading the microphone '{self._spec}'") from None

    def _take(self, note: Note) -> None:
        """Resamples the audio of one callback to the model's rate, and updates the sample clock."""
        if note.overflow:
            self._overflows += 1
            self._clock.restart()
        self._clock.observe(self._taken, note.now_ns - self._latency_ns(note))
        self._taken += note.count
        end, length = self._taken * self._channels, note.count * self._channels
        sound = self._raw.window(end, length).reshape(-1, self._channels).mean(axis=1)
        if not self._raw.holds(end, length):  # silence instead, so that the sample count stays correct
            self._lost += note.count
            sound[:] = 0
        self._ring.write(self._resampler.push(sound))

    def _latency_ns(self, note: Note) -> int:
        """The time from the capture of the first sample to the callback."""
        block_s = note.count / self._rate
        latency_s = note.now_s - note.adc_s
        if self._adc_trusted and not (
            note.adc_s > self._last_adc_s and 0.9 * block_s <= latency_s <= block_s + MOST_LATENCY_S
        ):
            self._adc_trusted = False
            self._clock.restart()
            if self._taken:
                log.warning("microphone '%s': stamped by the callback's time from now on", self._spec)
        self._last_adc_s = note.adc_s
        return round((latency_s if self._adc_trusted else block_s) * NS_PER_S)

    def interrupt(self) -> None:
        self._notes.put(None)

    def figures(self) -> Mapping[str, float]:
        return {"overflows": self._overflows, "samples_lost": self._lost, "drift_ppm": self._clock.drift_ppm}

    def close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            portaudio.stop(stream)

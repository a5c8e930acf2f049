"""A synthetic microphone without a device: a tone sweep from 200 Hz to 2 kHz every four seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mm_edge.runtime.clock import NS_PER_S, ms_to_ns
from mm_edge.runtime.sound import SoundBlock
from mm_edge.runtime.source import Capture, Opened
from mm_edge.runtime.sources.ticker import Ticker

from .ring import ring_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mm_edge.config import MicConfig
    from mm_edge.spec import AudioPrepare

SWEEP_S, LOW_HZ, HIGH_HZ, LOUDNESS = 4.0, 200.0, 2000.0, 0.3


class SyntheticMic:
    """Delivers hop k when its last sample is due, stamped with its first."""

    live = True

    def __init__(self, input_name: str, prepare: AudioPrepare, config: MicConfig, ticker: Ticker | None = None) -> None:
        self.name, self.input = "mic", input_name
        self._prepare, self._offset_ns = prepare, ms_to_ns(config.offset_ms)
        self._ticker = ticker or Ticker()
        self._sweep = np.empty(0, np.float32)
        self._start_ns = 0

    def open(self) -> Opened:
        rate, hop = self._prepare.sample_rate, self._prepare.hop
        self._ticker.reset()
        self._ring = ring_for(self._prepare)
        self._sweep = sweep(rate)
        self._start_ns = self._ticker.now_ns()
        return Opened(f"synthetic microphone, {rate} Hz", period_ns=hop * NS_PER_S // rate)

    def read(self) -> Capture | None:
        rate, hop, first = self._prepare.sample_rate, self._prepare.hop, self._ring.written
        t_ns, due_ns = (self._start_ns + sample * NS_PER_S // rate for sample in (first, first + hop))
        if not self._ticker.until(due_ns):
            return None
        self._ring.write(np.take(self._sweep, np.arange(first, first + hop), mode="wrap"))
        block = SoundBlock(self._ring, first + hop, hop)
        return Capture(t_ns + self._offset_ns, block, until_ns=due_ns + self._offset_ns)

    def interrupt(self) -> None:
        self._ticker.interrupt()

    def figures(self) -> Mapping[str, float]:
        return {}

    def close(self) -> None:
        self._sweep = np.empty(0, np.float32)


def sweep(rate: int) -> NDArray[np.float32]:
    """One sweep; it ends in its initial phase, so that it can be repeated."""
    seconds = np.arange(round(SWEEP_S * rate)) / rate
    cycles = LOW_HZ * seconds + (HIGH_HZ - LOW_HZ) * seconds**2 / (2 * SWEEP_S)
    return (LOUDNESS * np.sin(2 * np.pi * cycles)).astype(np.float32)

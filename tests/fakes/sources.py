"""Sources that tests drive by hand: what they give, when they fail, whether they come back."""

from __future__ import annotations

import queue

import numpy as np

from mm_edge.errors import SourceLostError
from mm_edge.runtime.sound import SoundBlock, SoundRing
from mm_edge.runtime.source import Capture, Opened

END = object()


class Script:
    """Gives the captures that are put into it. An exception in their place is raised; END ends it."""

    def __init__(self, input_name, items=(), *, name=None, live=False, period_ns=None, ready=False, fail_to_open=0):
        self.input, self.name, self.live = input_name, name or input_name, live
        self.items = queue.Queue()
        for item in items:
            self.items.put(item)
        self._period_ns, self._ready = period_ns, ready
        self.opened = self.closed = 0
        self.fail_to_open = fail_to_open  # how many times open() fails after the first

    def open(self):
        self.opened += 1
        if self.opened > 1 and self.fail_to_open:
            self.fail_to_open -= 1
            raise SourceLostError("it is still away")
        return Opened(f"scripted {self.name}", self._period_ns, ready=self._ready)

    def read(self):
        item = self.items.get()
        if isinstance(item, Exception):
            raise item
        return None if item is END else item

    def interrupt(self):
        self.items.put(END)

    def figures(self):
        return {"opened": self.opened}

    def close(self):
        self.closed += 1


def picture(t_ns, level, size=32):
    return Capture(t_ns, np.full((size, size, 3), level, np.uint8))


def pictures(count, period_ns=33_000_000, size=32):
    """Picture k is as grey as k, so that a result tells which picture it came from."""
    return [picture((k + 1) * period_ns, k % 256, size) for k in range(count)] + [END]


def sounds(count, hop=1600, rate=16_000):
    """Block k is as loud as k / 100."""
    ring, made = SoundRing(rate + hop * (count + 1)), []
    for k in range(count):
        ring.write(np.full(hop, k / 100, np.float32))
        made.append(Capture(k * hop * 1_000_000_000 // rate, SoundBlock(ring, (k + 1) * hop, hop)))
    return [*made, END]

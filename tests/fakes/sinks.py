"""A sink that keeps what it gets."""

from __future__ import annotations

from mm_edge.runtime.sink import Summary
from mm_edge.sample import Event, Prediction


class Kept:
    name = "kept"
    wants_samples = False

    def __init__(self):
        self.items, self.run, self.closed = [], None, False

    def open(self, run):
        self.run = run

    def take(self, item):
        self.items.append(item)

    def close(self):
        self.closed = True

    @property
    def predictions(self):
        return [item for item in self.items if isinstance(item, Prediction)]

    @property
    def events(self):
        return [(item.source, item.state) for item in self.items if isinstance(item, Event)]

    @property
    def summary(self):
        return next(item for item in self.items if isinstance(item, Summary))

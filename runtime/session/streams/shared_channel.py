"""The channel of an input that several cameras share: each of them gets every sample, in a channel of its own."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mm_edge.runtime.channel import SampleChannel
    from mm_edge.sample import Sample


class SharedChannel:
    """What a source and the counts need of a channel. What a camera does not use is counted for that camera."""

    def __init__(self, channels: Sequence[SampleChannel]) -> None:
        self._channels = tuple(channels)
        self._lock = threading.Lock()
        self.given = 0
        self.dropped: Counter[str] = Counter()
        self.closed = False

    def put(self, sample: Sample) -> bool:
        """False: no camera takes samples any more. The channel of one that has ended refuses them."""
        if not self._count():
            return False
        return any([channel.put(sample) for channel in self._channels])  # noqa: C419  # every one of them gets it

    def refuse(self, sample: Sample) -> None:
        if self._count():
            self.dropped["refused"] += 1
            for channel in self._channels:
                channel.refuse(sample)

    def close(self) -> None:
        with self._lock:
            self.closed = True
        for channel in self._channels:
            channel.close()

    def _count(self) -> bool:
        with self._lock:
            self.given += not self.closed
            return not self.closed

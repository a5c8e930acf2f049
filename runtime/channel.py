"""A bounded channel between a source and the loop. Its policy names what happens when it is full, and every loss is
counted by cause.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from itertools import pairwise
from typing import TYPE_CHECKING, Generic, Literal, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mm_edge.sample import Sample

T = TypeVar("T")
Policy: TypeAlias = Literal["drop_oldest", "wait"]
FOREVER_NS = 1 << 62
LEAST_LAG_NS, MOST_LAG_NS = 400_000_000, 2_000_000_000  # of a driver's captures: device, transfer and decoding


class Channel(Generic[T]):
    """A queue of fixed capacity. `bell` is notified of every item; channels may share one, to wait for all of them.

    drop_oldest: the newest item is always accepted, and the oldest is counted as overrun. wait: `put` blocks until
    there is room.
    """

    def __init__(
        self, capacity: int, policy: Policy, lock: threading.Lock | None = None, bell: threading.Condition | None = None
    ) -> None:
        self.capacity, self.policy = capacity, policy
        self.lock = lock or threading.Lock()
        self.bell = bell or threading.Condition(self.lock)
        self._room = threading.Condition(self.lock)
        self.items: deque[T] = deque()
        self.given = 0
        self.dropped: Counter[str] = Counter()
        self.closed = False

    def put(self, item: T) -> bool:
        """False: the channel is closed, and the item was not taken."""
        with self.lock:
            if self.policy == "wait":
                while len(self.items) >= self.capacity and not self.closed:
                    self._room.wait()
            if self.closed:
                return False
            self.given += 1
            self._make_room()
            self.items.append(item)
            self._noticed(item)
            self.bell.notify()
        return True

    def take(self) -> T | None:
        """The oldest item, or None if there is none. The caller holds the lock."""
        if not self.items:
            return None
        item = self.items.popleft()
        if self.policy == "wait":
            self._room.notify()
        return item

    def wait_take(self) -> T | None:
        """Waits for the oldest item; None once the channel is closed and empty."""
        with self.lock:
            while not self.items and not self.closed:
                self.bell.wait()
            return self.take()

    def close(self) -> None:
        """Accepts no more items; those inside can still be taken."""
        with self.lock:
            self.end()

    def end(self) -> None:
        """The same; the caller holds the lock."""
        self.closed = True
        self.bell.notify_all()
        self._room.notify_all()

    def _make_room(self) -> None:
        while len(self.items) >= self.capacity:
            self.items.popleft()
            self.dropped["overrun"] += 1

    def _noticed(self, item: T) -> None:
        """A hook for channels that remember more than their items."""


class SampleChannel(Channel["Sample"]):
    """A channel of one input's samples, in the order of their stamps."""

    def __init__(
        self, capacity: int, policy: Policy, lock: threading.Lock | None = None, bell: threading.Condition | None = None
    ) -> None:
        super().__init__(capacity, policy, lock, bell)
        self.current: Sample | None = None  # the newest that a tick has used; it stays until a newer one replaces it
        self._newest_ns = self.promised_ns = -FOREVER_NS

    def refuse(self, sample: Sample) -> None:
        """Counts a capture that no tick may use. It still shows how far the input has come."""
        with self.lock:
            if not self.closed:
                self.given += 1
                self.dropped["refused"] += 1
                self._noticed(sample)
                self.bell.notify()

    @property
    def watermark_ns(self) -> int:
        """No later sample ends at or before this time."""
        return FOREVER_NS if self.closed else max(self._newest_ns, self.promised_ns)

    def newest_until(self, limit_ns: int) -> Sample | None:
        """The newest sample that ends at or before `limit_ns`. Older ones are dropped: no later tick needs them. The
        caller holds the lock.
        """
        unused = False
        while self.items and self.items[0].end_ns <= limit_ns:
            if unused:
                self.dropped["superseded"] += 1
            self.current, unused = self.items.popleft(), True
        if unused and self.policy == "wait":
            self._room.notify()
        if self.current is not None and self.current.end_ns <= limit_ns:
            return self.current
        return None

    def _noticed(self, item: Sample) -> None:
        self._newest_ns = max(self._newest_ns, item.end_ns)


class DriverChannel(SampleChannel):
    """The driver's channel. If played sources are released in the order of time, its captures set the watermark of the
    `others`. `live`: the followers that must know which of its captures still wait for their tick.
    """

    others: Sequence[SampleChannel] = ()
    live: Sequence[LiveFollowerChannel] = ()
    _taken: Sample | None = None  # the newest, for which a tick may still wait

    def take(self) -> Sample | None:
        taken = super().take()
        self._taken = taken or self._taken
        return taken

    @property
    def waiting(self) -> list[Sample]:
        return [*self.items, *([self._taken] if self._taken else [])]

    def _noticed(self, item: Sample) -> None:
        super()._noticed(item)
        for other in self.others:
            other.promised_ns = max(other.promised_ns, item.end_ns)
        for follower in self.live:
            follower.driver_came(item)


class LiveFollowerChannel(SampleChannel):
    """The channel of a live input that follows the driver. A capture of the driver arrives a little after its stamp, so
    a few older samples are kept; the others could not belong to any tick, and are counted as superseded.
    """

    def __init__(
        self, capacity: int, driver: DriverChannel, tolerance_ns: int, lock: threading.Lock, bell: threading.Condition
    ) -> None:
        super().__init__(capacity, "drop_oldest", lock, bell)
        self._driver, self._tolerance_ns = driver, tolerance_ns
        self._lag_ns = 0  # how much later than its stamp a capture of the driver has arrived, at most

    def driver_came(self, sample: Sample) -> None:
        self._lag_ns = min(MOST_LAG_NS, max(self._lag_ns, self._newest_ns - sample.end_ns))

    def _make_room(self) -> None:
        super()._make_room()
        oldest_ns = self._newest_ns - LEAST_LAG_NS - self._lag_ns
        if len(self.items) < 2 or self.items[1].end_ns > oldest_ns:
            return
        limits = [sample.end_ns + self._tolerance_ns for sample in self._driver.waiting]
        kept = [
            sample
            for sample, later in pairwise(self.items)
            if later.end_ns > oldest_ns or any(sample.end_ns <= limit < later.end_ns for limit in limits)
        ]
        kept.append(self.items[-1])
        self.dropped["superseded"] += len(self.items) - len(kept)
        self.items = deque(kept)

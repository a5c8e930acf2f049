"""Aligns streams of different rates: which sample of each input belongs to a tick of the driver. Pure: no threads and
no clock of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from mm_edge.runtime.channel import FOREVER_NS
from mm_edge.runtime.clock import ms_to_ns
from mm_edge.sample import Moment, Reading, Sample
from mm_edge.spec import InputSync

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mm_edge.runtime.channel import SampleChannel

MISSING = Reading("missing", None)


class Wait(Struct, frozen=True):
    """No tick yet. `until_ns`: call again then, even if nothing arrives."""

    until_ns: int = FOREVER_NS


class Skip(Struct, frozen=True):
    """This capture of the driver gives no prediction: `input` was missing."""

    driver: Sample
    input: str


class Stop(Struct, frozen=True):
    """`input` was missing, and its rule ends the run."""

    driver: Sample
    input: str


class Over(Struct, frozen=True):
    """The driver has ended."""


Step: TypeAlias = Moment | Wait | Skip | Stop | Over


class Aligner:
    """Makes moments out of channels, by the rules of docs/architecture.md (a tick). Called with the channels' lock
    held.

    `played` inputs lose nothing: a tick waits until it is certain which of their samples belongs to it, so that equal
    timestamps always give equal moments. Of a live input, only what has arrived counts. `absent` inputs have no
    source. `can_mask`: the model has a presence input, which marks a missing one.
    """

    def __init__(
        self,
        driver: str,
        rules: Mapping[str, InputSync],
        channels: Mapping[str, SampleChannel],
        *,
        played: frozenset[str] = frozenset(),
        absent: frozenset[str] = frozenset(),
        can_mask: bool = True,
    ) -> None:
        self.driver, self.channels, self.absent, self.can_mask = driver, channels, absent, can_mask
        others = [name for name in (*channels, *absent) if name != driver]
        self._followers = [_Follower(name, rules.get(name, InputSync()), name in played) for name in others]
        self._pending: Sample | None = None  # a waiting tick keeps its capture, even if newer ones arrive
        self._next_seq = 0
        self._last_driver_seq = -1

    def next(self, now_ns: int) -> Step:
        if self._pending is None:
            channel = self.channels[self.driver]
            self._pending = channel.take()
            if self._pending is None:
                return Over() if channel.closed else Wait()
        driver = self._pending
        readings = {self.driver: Reading("fresh", driver)}
        for follower in self._followers:
            found = self._find(follower, driver, now_ns)
            if not isinstance(found, Reading):
                if not isinstance(found, Wait):
                    self._pending = None
                return found
            readings[follower.name] = found
        self._pending = None
        moment = Moment(self._next_seq, driver, readings)
        self._next_seq += 1
        for follower in self._followers:
            sample = readings[follower.name].sample
            if sample is not None:
                follower.last_seq = sample.seq
        return moment

    @property
    def has_driver(self) -> bool:
        """Whether a tick is available or waiting."""
        return self._pending is not None or bool(self.channels[self.driver].items)

    def close_channels(self) -> None:
        """After the driver's end: whoever fills a channel must not wait for room in it."""
        for channel in self.channels.values():
            channel.end()

    @property
    def pending(self) -> Sample | None:
        return self._pending

    def _find(self, follower: _Follower, driver: Sample, now_ns: int) -> Reading | Wait | Skip | Stop:
        name = follower.name
        if name in self.absent:
            return MISSING if follower.rule.missing != "stop" else Stop(driver, name)
        channel = self.channels[name]
        limit_ns = driver.end_ns + follower.tolerance_ns
        if follower.played and channel.watermark_ns < limit_ns:
            return Wait()
        sample = channel.newest_until(limit_ns)
        if sample is not None and (follower.max_age_ns is None or driver.t_ns - sample.t_ns <= follower.max_age_ns):
            return Reading("held" if sample.seq == follower.last_seq else "fresh", sample)
        # The wait is counted from the capture itself, so that it does not depend on when this is called.
        wait_until_ns = driver.t_ns + driver.shift_ns + follower.wait_ns
        if follower.wait_ns and not follower.played and now_ns < wait_until_ns:
            return Wait(wait_until_ns)
        return self._without(follower, driver, sample)

    def _without(self, follower: _Follower, driver: Sample, outdated: Sample | None) -> Reading | Skip | Stop:
        """What the input's rule requires if no sample is recent enough."""
        missing = follower.rule.missing
        if missing == "stop":
            return Stop(driver, follower.name)
        if missing == "hold" and outdated is not None:
            return Reading("held", outdated)
        if missing == "mask" or (missing == "hold" and self.can_mask):
            return MISSING
        return Skip(driver, follower.name)


class _Follower:
    """One input that follows the driver."""

    __slots__ = ("last_seq", "max_age_ns", "name", "played", "rule", "tolerance_ns", "wait_ns")

    def __init__(self, name: str, rule: InputSync, played: bool) -> None:
        self.name, self.rule, self.played = name, rule, played
        self.tolerance_ns, self.wait_ns = ms_to_ns(rule.tolerance_ms), ms_to_ns(rule.wait_ms)
        self.max_age_ns = None if rule.max_age_ms is None else ms_to_ns(rule.max_age_ms)
        self.last_seq = -1

"""Where the items of a run go: the channels of its sinks, and the taps of programs that read along."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from msgspec.structs import replace

from mm_edge.redact import redact
from mm_edge.sample import Event

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mm_edge.runtime.channel import Channel
    from mm_edge.runtime.clock import Clock
    from mm_edge.sample import HeatMap, Moment, Prediction

    from .sink_keeper import Item, SinkKeeper

log = logging.getLogger(__name__)


class Outlets:
    """Called from any thread. `cameras`: the sources whose events name their camera."""

    def __init__(self, sinks: Sequence[SinkKeeper], clock: Clock, cameras: frozenset[str] = frozenset()) -> None:
        self._light: tuple[Channel[Item], ...] = tuple(
            keeper.channel for keeper in sinks if not keeper.sink.wants_samples
        )
        self._full: tuple[Channel[Item], ...] = tuple(keeper.channel for keeper in sinks if keeper.sink.wants_samples)
        self._taps: tuple[Channel[Item], ...] = ()
        self._clock, self._cameras = clock, cameras

    def add(self, tap: Channel[Item]) -> None:
        # Replaced as a whole: a worker that delivers meanwhile continues with the tuple it has.
        self._taps += (tap,)

    def remove(self, tap: Channel[Item]) -> None:
        self._taps = tuple(other for other in self._taps if other is not tap)

    @property
    def is_tapped(self) -> bool:
        return bool(self._taps)

    def close_taps(self) -> None:
        for tap in self._taps:
            tap.close()

    def put(self, prediction: Prediction, moment: Moment, maps: Mapping[str, HeatMap]) -> None:
        """Only readers that want the samples get them: a sink's queue of pictures takes much memory."""
        for channel in self._light:
            channel.put(prediction)
        if readers := self._full + self._taps:
            sources = {name: reading.sample for name, reading in moment.readings.items() if reading.sample is not None}
            full = replace(prediction, sources=sources, maps=maps)
            for channel in readers:
                channel.put(full)

    def report(self, source: str, state: str, detail: str, camera: str | None = None) -> None:
        """An event, for every reader and for the log."""
        detail = redact(detail)
        if camera is None and source in self._cameras:
            camera = source
        event = Event(self._clock.now_ns(), source, state, detail, camera)
        for channel in self._light + self._full + self._taps:
            channel.put(event)
        level = logging.INFO if state in {"starting", "live", "ended"} else logging.WARNING
        of_camera = f" of camera {camera}" if camera not in {None, source} else ""
        log.log(level, "%s%s: %s%s", source, of_camera, state, f" ({detail})" if detail else "")

"""What feeds each stream: the channels of its inputs. Cameras that share a model have one stream each."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from mm_edge.errors import UsageError
from mm_edge.runtime.channel import SampleChannel

from .channels import make_channels, played_inputs
from .shared_channel import SharedChannel

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping, Sequence

    from mm_edge.runtime.source import Source
    from mm_edge.spec import InputSync

AnyChannel: TypeAlias = SampleChannel | SharedChannel


class Feed(Struct, frozen=True):
    """One stream's inputs. `played`: those that lose nothing; `camera`: its name, if the run has several."""

    camera: str | None
    played: frozenset[str]
    channels: dict[str, SampleChannel]


class Feeds(Struct, frozen=True):
    """All streams of a run. `channels` is what the sources fill: by the camera's name, or by input."""

    streams: tuple[Feed, ...]
    channels: dict[str, AnyChannel]

    @property
    def played(self) -> frozenset[str]:
        """The inputs of a run that loses nothing, as a live one may not wait for anything."""
        played = [feed.played for feed in self.streams]
        return frozenset().union(*played) if all(played) else frozenset()


def make_feeds(
    sources: Sequence[Source],
    cameras: Mapping[str, Source],
    driver: str,
    lock: threading.Lock,
    bell: threading.Condition,
    *,
    rules: Mapping[str, InputSync],
    in_step: bool,
) -> Feeds:
    def feed(own: Sequence[Source], camera: str | None) -> Feed:
        played = played_inputs(own, driver)
        return Feed(camera, played, make_channels(own, driver, played, lock, bell, rules=rules, in_step=in_step))

    if not cameras:
        only = feed(sources, None)
        return Feeds((only,), dict(only.channels))
    if driver != next(iter(cameras.values())).input:
        raise UsageError(
            f"'{driver}' drives the run, and each camera needs moments of its own",
            action="running several cameras on one model",
            hint=f"Use --set driver={next(iter(cameras.values())).input}, or one camera",
        )
    shared = [source for source in sources if source.input != driver]
    streams = tuple(feed([camera, *shared], name) for name, camera in cameras.items())
    channels: dict[str, AnyChannel] = {name: each.channels[driver] for name, each in zip(cameras, streams, strict=True)}
    for source in shared:
        channels[source.input] = SharedChannel([each.channels[source.input] for each in streams])
    return Feeds(streams, channels)

"""Which input drives a run, and the channel of each input: how much it buffers, and what happens when it is full."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from mm_edge.errors import ConfigError, UsageError
from mm_edge.runtime.channel import DriverChannel, Policy, SampleChannel

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from mm_edge.bundle.manifest import Manifest
    from mm_edge.config import RunConfig
    from mm_edge.runtime.source import Source

log = logging.getLogger(__name__)
DRIVER_AHEAD = 4  # frames that a played driver may be read ahead, so that decoding overlaps inference
FOLLOWER_CAPACITY = 1024  # of a played input: a fast sensor between two pictures; a live one needs far less


def choose_driver(manifest: Manifest, config: RunConfig, names: Sequence[str]) -> str:
    """The input that drives the run; `names` are the inputs with a source. The configured one, or the bundle's own; the
    first input with a source replaces the bundle's, which is logged.
    """
    wanted = config.driver or manifest.sync.driver
    if wanted not in {spec.name for spec in manifest.inputs}:
        raise ConfigError(
            f"the bundle has no input '{wanted}'",
            action=f"reading driver = {wanted}",
            hint=f"Its inputs are {', '.join(spec.name for spec in manifest.inputs)}",
        )
    if wanted in names:
        return wanted
    others = [spec.name for spec in manifest.inputs if spec.name in names]
    if not others or config.driver:
        raise UsageError(
            f"nothing feeds '{wanted}'",
            action="choosing the input that drives the run",
            hint="Give it a source, as --camera, --mic or --text",
        )
    log.warning("'%s' has no source; '%s' drives the run instead", wanted, others[0])
    return others[0]


def played_inputs(sources: Sequence[Source], driver: str) -> frozenset[str]:
    """The inputs that lose nothing: those played from files, unless the driver is live, which waits for nothing."""
    if next(source.live for source in sources if source.input == driver):
        return frozenset()
    return frozenset(source.input for source in sources if not source.live)


def make_channels(
    sources: Sequence[Source],
    driver: str,
    played: frozenset[str],
    lock: threading.Lock,
    bell: threading.Condition,
    *,
    in_step: bool,
) -> dict[str, SampleChannel]:
    """By input, the driver's first. `in_step`: the played sources share a clock, so a capture of the driver shows how
    far the others have come.
    """
    followers: dict[str, SampleChannel] = {}
    for source in sources:
        policy: Policy = "wait" if source.input in played else "drop_oldest"
        if source.input != driver:
            followers[source.input] = SampleChannel(FOLLOWER_CAPACITY, policy, lock, bell)
    live = next(source.live for source in sources if source.input == driver)
    capacity, policy = (1, "drop_oldest") if live else (DRIVER_AHEAD, "wait")
    channel = DriverChannel(capacity, policy, lock, bell)
    if in_step:
        channel.others = [follower for name, follower in followers.items() if name in played]
    return {driver: channel, **followers}

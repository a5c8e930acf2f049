"""Which input drives a run, and the channel of each input: how much it buffers, and what happens when it is full."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from mm_edge.errors import ConfigError, UsageError
from mm_edge.runtime.channel import DriverChannel, LiveFollowerChannel, Policy, SampleChannel
from mm_edge.runtime.clock import ms_to_ns
from mm_edge.spec import InputSync

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping, Sequence

    from mm_edge.bundle.manifest import Manifest
    from mm_edge.config import RunConfig
    from mm_edge.runtime.source import Source

log = logging.getLogger(__name__)
DRIVER_AHEAD = 4  # frames that a played driver may be read ahead, so that decoding overlaps inference
FOLLOWER_CAPACITY = 1024  # of a played input: a fast sensor between two pictures; a live one keeps far less


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
    rules: Mapping[str, InputSync],
    in_step: bool,
) -> dict[str, SampleChannel]:
    """By input, the driver's first. `in_step`: the played sources share a clock, so a capture of the driver shows how
    far the others have come.
    """
    live = next(source.live for source in sources if source.input == driver)
    policy: Policy
    capacity, policy = (1, "drop_oldest") if live else (DRIVER_AHEAD, "wait")
    channel = DriverChannel(capacity, policy, lock, bell)
    waiting: dict[str, SampleChannel] = {}
    following: dict[str, LiveFollowerChannel] = {}
    for name in (source.input for source in sources if source.input != driver):
        if name in played:
            waiting[name] = SampleChannel(FOLLOWER_CAPACITY, "wait", lock, bell)
        else:
            tolerance_ns = ms_to_ns(rules.get(name, InputSync()).tolerance_ms)
            following[name] = LiveFollowerChannel(FOLLOWER_CAPACITY, channel, tolerance_ns, lock, bell)
    channel.live = list(following.values())
    if in_step:
        channel.others = list(waiting.values())
    return {driver: channel, **waiting, **following}

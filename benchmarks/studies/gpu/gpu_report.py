"""What a run on a GPU came to, and what it must show: every promise that it breaks, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from mm_edge.benchmarks.bench.figure import Machine  # noqa: TC001  # the report's reader needs it at run time

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_P50_RATIO, LEAST_RATE_RATIO, MOST_HOST_MS, MOST_GROWTH_MB = 1.15, 0.9, 0.3, 2.0
PIPELINED = 2  # moments in flight, which is what a user gets


class Timed(msgspec.Struct, frozen=True):
    """One way of running an engine. Milliseconds are medians; `device_ms` is by event pairs."""

    graphs: bool
    depth: int
    device_ms: dict[str, float]
    host_ms_a_tick: float  # what putting all parts of a moment on their streams takes
    prepare_ms: float  # of the picture, alone
    p50_ms: float  # at the camera's pace, from capture to the prediction
    p50_ratio: float  # to device and preparation alone
    per_s: float  # saturated
    rate_ratio: float  # to the slowest stage's
    graphs_told: dict[str, str]
    copies_a_tick: float  # put on streams, by event pairs in the trace
    waiting_copies: int  # copies that kept the host waiting, in all of the run

    @property
    def captured(self) -> bool:
        return self.graphs and set(self.graphs_told.values()) == {"captured"}


class Row(msgspec.Struct, frozen=True):
    """One engine. `state`: proven, failed, or not here."""

    engine: str
    state: str
    why: str = ""
    settled: dict[str, Any] = {}
    golden: tuple[str, ...] = ()
    timed: tuple[Timed, ...] = ()
    soak: dict[str, float] = {}
    sanitized: dict[str, str] = {}


class GpuReport(msgspec.Struct, frozen=True):
    """A run of all of it, and the machine that it was."""

    when: str
    bundle: str
    device: str
    machine: Machine
    rows: tuple[Row, ...]


def failures(report: GpuReport) -> list[str]:
    """What was tried and did not run; and that nothing was tried."""
    found = [f"{row.engine}: {row.why}" for row in report.rows if row.state == "failed"]
    nothing = all(row.state == "not here" for row in report.rows)
    return [*found, *(f"{row.engine} is not here: {row.why}" for row in report.rows if nothing)]


def slow_hosts(report: GpuReport) -> list[str]:
    """Where putting a moment on the streams takes the host too long, with graphs; and parts that have none."""
    found = []
    for row in _ran(report):
        with_graphs = [timed for timed in row.timed if timed.graphs]
        found += [f"{row.engine}: graphs {timed.graphs_told}" for timed in with_graphs if not timed.captured]
        best = min((timed.host_ms_a_tick for timed in with_graphs if timed.captured), default=0.0)
        if best >= MOST_HOST_MS:
            found.append(f"{row.engine}: a tick takes the host {best:.3f} ms, {MOST_HOST_MS} ms at most is promised")
    return found


def waits(report: GpuReport) -> list[str]:
    """Where a copy kept the host waiting; and where none was seen at all, so that the trace proves nothing."""
    found = []
    for row in _ran(report):
        if waiting := sum(timed.waiting_copies for timed in row.timed):
            found.append(f"{row.engine}: {waiting} copies kept the host waiting, none is promised")
        found += [f"{row.engine}: the trace shows no copy" for timed in row.timed if not timed.copies_a_tick]
    return found


def slow_pipelines(report: GpuReport) -> list[str]:
    """Where the pipeline adds too much to device and preparation, loses too much of their rate, or gains nothing."""
    found = []
    for row in _ran(report):
        pipelined = [timed for timed in row.timed if timed.depth == PIPELINED]
        p50, rate = min(timed.p50_ratio for timed in pipelined), max(timed.rate_ratio for timed in pipelined)
        if p50 > MOST_P50_RATIO:
            found.append(f"{row.engine}: p50 is {p50:.2f} x device and preparation, {MOST_P50_RATIO} is promised")
        if rate < LEAST_RATE_RATIO:
            found.append(f"{row.engine}: {rate:.2f} x the slowest stage's rate, {LEAST_RATE_RATIO} is promised")
        serial = [timed.per_s for timed in row.timed if timed.graphs and timed.depth == 1]
        if serial and max(timed.per_s for timed in pipelined) < max(serial):
            found.append(f"{row.engine}: two moments in flight give less than one, {max(serial):.0f} a second")
    return found


def leaks(report: GpuReport) -> list[str]:
    return [
        f"{row.engine}: {name} is {row.soak[name]:.1f} after {row.soak['minutes']:g} minutes"
        for row in _ran(report)
        for name in ("host_grown_mb", "device_grown_mb")
        if row.soak and row.soak[name] >= MOST_GROWTH_MB
    ]


def faults_found(report: GpuReport) -> list[str]:
    """What compute-sanitizer found; a tool that is not installed finds nothing, and its row says so."""
    return [
        f"{row.engine}: {tool} {told}"
        for row in _ran(report)
        for tool, told in row.sanitized.items()
        if told.startswith("failed")
    ]


def _ran(report: GpuReport) -> Iterator[Row]:
    return (row for row in report.rows if row.state == "proven")

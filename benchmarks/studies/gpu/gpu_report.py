"""The report of a run on a GPU, and its requirements: every one that is not met."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from mm_edge.benchmarks.bench.figure import Machine  # noqa: TC001  # the report's reader needs it at run time

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_P50_RATIO, LEAST_RATE_RATIO, MOST_HOST_MS, MOST_GROWTH_MB = 1.15, 0.9, 0.3, 2.0
PIPELINED = 2  # moments in flight, the default


class Timed(msgspec.Struct, frozen=True):
    """One mode of an engine. Milliseconds are medians; `device_ms` is measured by event pairs."""

    graphs: bool
    depth: int
    device_ms: dict[str, float]
    host_ms_a_tick: float  # time to enqueue all parts of a moment
    prepare_ms: float  # of the picture alone
    p50_ms: float  # at the camera's rate, from capture to prediction
    p50_ratio: float  # to device time and preparation
    per_s: float  # saturated
    rate_ratio: float  # to the rate of the slowest stage
    graph_states: dict[str, str]
    copies_a_tick: float  # asynchronous, by event pairs in the trace
    waiting_copies: int  # copies that blocked the host, in the whole run

    @property
    def captured(self) -> bool:
        return self.graphs and set(self.graph_states.values()) == {"captured"}


class Row(msgspec.Struct, frozen=True):
    """One engine. `state`: passed, failed, or not available."""

    engine: str
    state: str
    why: str = ""
    settled: dict[str, Any] = {}
    golden: tuple[str, ...] = ()
    timed: tuple[Timed, ...] = ()
    soak: dict[str, float] = {}
    sanitized: dict[str, str] = {}


class GpuReport(msgspec.Struct, frozen=True):
    """The rows of all engines, and the machine."""

    when: str
    bundle: str
    device: str
    machine: Machine
    rows: tuple[Row, ...]


def failures(report: GpuReport) -> list[str]:
    """Engines that failed; every engine if none is available."""
    found = [f"{row.engine}: {row.why}" for row in report.rows if row.state == "failed"]
    nothing = all(row.state == "not available" for row in report.rows)
    return [*found, *(f"{row.engine} is not available: {row.why}" for row in report.rows if nothing)]


def slow_hosts(report: GpuReport) -> list[str]:
    """Engines whose host time per tick is too long with CUDA graphs, and parts without a graph."""
    found = []
    for row in _ran(report):
        with_graphs = [timed for timed in row.timed if timed.graphs]
        found += [f"{row.engine}: graphs {timed.graph_states}" for timed in with_graphs if not timed.captured]
        best = min((timed.host_ms_a_tick for timed in with_graphs if timed.captured), default=0.0)
        if best >= MOST_HOST_MS:
            found.append(f"{row.engine}: host time per tick {best:.3f} ms, limit {MOST_HOST_MS} ms")
    return found


def waits(report: GpuReport) -> list[str]:
    """Engines with copies that block the host, and traces without any copy, which prove nothing."""
    found = []
    for row in _ran(report):
        if waiting := sum(timed.waiting_copies for timed in row.timed):
            found.append(f"{row.engine}: {waiting} copies blocked the host, limit 0")
        found += [f"{row.engine}: the trace contains no copy" for timed in row.timed if not timed.copies_a_tick]
    return found


def slow_pipelines(report: GpuReport) -> list[str]:
    """Engines whose pipeline adds too much latency, loses too much throughput, or gains nothing."""
    found = []
    for row in _ran(report):
        pipelined = [timed for timed in row.timed if timed.depth == PIPELINED]
        p50, rate = min(timed.p50_ratio for timed in pipelined), max(timed.rate_ratio for timed in pipelined)
        if p50 > MOST_P50_RATIO:
            found.append(f"{row.engine}: p50 is {p50:.2f} x device time and preparation, limit {MOST_P50_RATIO}")
        if rate < LEAST_RATE_RATIO:
            found.append(f"{row.engine}: {rate:.2f} x the rate of the slowest stage, minimum {LEAST_RATE_RATIO}")
        serial = [timed.per_s for timed in row.timed if timed.graphs and timed.depth == 1]
        if serial and max(timed.per_s for timed in pipelined) < max(serial):
            found.append(
                f"{row.engine}: two moments in flight are slower than one, which gives {max(serial):.0f} per second"
            )
    return found


def leaks(report: GpuReport) -> list[str]:
    return [
        f"{row.engine}: {name} is {row.soak[name]:.1f} after {row.soak['minutes']:g} minutes, limit {MOST_GROWTH_MB}"
        for row in _ran(report)
        for name in ("host_grown_mb", "device_grown_mb")
        if row.soak and row.soak[name] >= MOST_GROWTH_MB
    ]


def faults_found(report: GpuReport) -> list[str]:
    """Findings of compute-sanitizer; a tool that is not installed is noted in its row."""
    return [
        f"{row.engine}: {tool} {outcome}"
        for row in _ran(report)
        for tool, outcome in row.sanitized.items()
        if outcome.startswith("failed")
    ]


def _ran(report: GpuReport) -> Iterator[Row]:
    return (row for row in report.rows if row.state == "passed")

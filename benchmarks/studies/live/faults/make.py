"""What each fault of a chaos run does, and when which state must be reported (docs/live-loop.md, docs/live-page.md)."""

from __future__ import annotations

import contextlib
import http.client
import socket
import time
from typing import TYPE_CHECKING

import numpy as np
from msgspec.structs import replace

from mm_edge.config import CameraConfig, MicConfig
from mm_edge.errors import MmEdgeError
from mm_edge.runtime.session.sink_keeper import STUCK_NS
from mm_edge.runtime.session.source_keeper import LONGEST_RETRY_S, STALL_GRACE_NS, STALL_PERIODS
from mm_edge.runtime.session.watchdog import CHECK_EVERY_S
from mm_edge.runtime.sources.camera.synthetic import SyntheticCamera
from mm_edge.runtime.sources.mic.synthetic import SyntheticMic
from mm_edge.runtime.view import connections

from .breakable import BlockingSink, BreakableEngine, BreakableSource, FullDisk
from .witness import NEVER_MS, NS_PER_MS, Report, Witness

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mm_edge.runtime.session.run import Run
    from mm_edge.runtime.sink import Summary
    from mm_edge.spec import AudioPrepare

    from .schedule import Fault

NS_PER_S = 1_000_000_000
FPS, HOP_S, AUDIO_MAX_AGE_S = 30.0, 0.1, 0.4  # the last two: of the bundle that ships
CAMERA = CameraConfig(width=640, height=360, fps=FPS)
PARTS = ("encode_image", "fuse")  # both run at each tick
# For the scheduler of a machine that others use, too, and for what a report passes through. Everything else in a limit
# is what the documentation says.
GRACE_S = 0.25
STALE_WITHIN_S = STALL_PERIODS / FPS + STALL_GRACE_NS / NS_PER_S + CHECK_EVERY_S + GRACE_S
STALLED_WITHIN_S = STUCK_NS / NS_PER_S + CHECK_EVERY_S + GRACE_S
BACK_WITHIN_S = LONGEST_RETRY_S + HOP_S + GRACE_S
ANSWER_WITHIN_S = 1.0
HAPPENS_WITHIN_S = 30.0  # a part that is to fail, or a sink that is to block, must get something to do first
OTHER_ADDRESS = "127.0.0.2"


class Faults:
    """The parts of the run that can fail. Each method makes one fault and waits until its part has recovered."""

    def __init__(self, lines: Path, audio: AudioPrepare, seed: int) -> None:
        self.camera = BreakableSource(SyntheticCamera("image", CAMERA))
        self.mic = BreakableSource(SyntheticMic("audio", audio, MicConfig()))
        self.engine, self.sink, self.witness = BreakableEngine(), BlockingSink(), Witness()
        self.port = 0
        self.parts_failed = 0
        self.wrong: list[str] = []  # what no report shows
        self.lines = lines  # written by the run's sink of JSON lines
        self._chance = np.random.default_rng(seed)

    def make(self, fault: Fault) -> list[Report]:
        makes: Callable[[float], list[Report]] = getattr(self, fault.kind)
        return makes(fault.seconds)

    def camera_stall(self, seconds: float) -> list[Report]:
        began_ns = time.monotonic_ns()
        self.camera.stall()
        stale = self.witness.report_of("camera", "stale", began_ns, STALE_WITHIN_S)
        _sleep_until(began_ns + round(seconds * NS_PER_S))
        back_ns = time.monotonic_ns()
        self.camera.resume()
        return [stale, self.witness.report_of("camera", "live", back_ns, 2 / FPS + GRACE_S)]

    def camera_loss(self, seconds: float) -> list[Report]:
        return self._loss(self.camera, seconds)

    def mic_loss(self, seconds: float) -> list[Report]:
        """A microphone that is gone must not go on feeding old sound."""
        began_ns = time.monotonic_ns()
        reports = self._loss(self.mic, seconds)
        old_ns = began_ns + round((AUDIO_MAX_AGE_S + HOP_S) * NS_PER_S)
        for seen in self.witness.between(old_ns, began_ns + round(seconds * NS_PER_S)):
            if (seen.audio, seen.health) != ("missing", "degraded"):
                self.wrong.append(f"without a microphone, a prediction says {seen.audio}, {seen.health}")
        return reports

    def _loss(self, source: BreakableSource, seconds: float) -> list[Report]:
        began_ns = time.monotonic_ns()
        source.lose()
        lost = self.witness.report_of(source.name, "lost", began_ns, GRACE_S)
        again = self.witness.report_of(source.name, "reconnecting", began_ns, 0.1 + GRACE_S)
        _sleep_until(began_ns + round(seconds * NS_PER_S))
        back_ns = time.monotonic_ns()
        source.find()
        return [lost, again, self.witness.report_of(source.name, "live", back_ns, BACK_WITHIN_S)]

    def part_raises(self, _seconds: float) -> list[Report]:
        self.engine.fail_once(PARTS[int(self._chance.integers(len(PARTS)))])
        if not self.engine.raised.wait(HAPPENS_WITHIN_S):
            return [Report("engine: failed", NEVER_MS, GRACE_S * 1000)]
        self.parts_failed += 1
        failed = self.witness.report_of("engine", "failed", self.engine.raised_ns, GRACE_S)
        # Three faults without a prediction in between end a run, and that is not what is tried here.
        if not self.witness.predicts(HAPPENS_WITHIN_S):
            self.wrong.append("no prediction after a part has failed")
        return [failed]

    def sink_blocks(self, seconds: float) -> list[Report]:
        self.sink.block()
        if not self.sink.blocked.wait(HAPPENS_WITHIN_S):
            return [Report("sink.blocking: stalled", NEVER_MS, STALLED_WITHIN_S * 1000)]
        stalled = self.witness.report_of("sink.blocking", "stalled", self.sink.blocked_ns, STALLED_WITHIN_S)
        _sleep_until(self.sink.blocked_ns + round(seconds * NS_PER_S))
        free_ns = time.monotonic_ns()
        self.sink.accept()
        return [stalled, self.witness.report_of("sink.blocking", "live", free_ns, GRACE_S)]

    def disk_full(self, seconds: float) -> list[Report]:
        with FullDisk(self.lines):
            began_ns = time.monotonic_ns()
            failed = self._of_write("failed", began_ns)
            _sleep_until(began_ns + round(seconds * NS_PER_S))
        return [failed, self._of_write("live", time.monotonic_ns())]

    def _of_write(self, state: str, since_ns: int) -> Report:
        """Counted from the first prediction on: while a camera stalls, nothing is written."""
        if not self.witness.predicts(HAPPENS_WITHIN_S):
            self.wrong.append("no prediction while the disk was full")
        waited_ms = (time.monotonic_ns() - since_ns) / NS_PER_MS
        report = self.witness.report_of("sink.jsonl", state, since_ns, GRACE_S)
        return report if report.ms == NEVER_MS else replace(report, ms=max(0.0, round(report.ms - waited_ms, 1)))

    def client_flood(self, _seconds: float) -> list[Report]:
        """One address takes all the connections it can get, and sends half of a second request on each."""
        flood = [held for _ in range(connections.MOST_CONNECTIONS) if (held := _half_a_request(self.port))]
        began_ns = time.monotonic_ns()
        other = self._answer("the page answers others", OTHER_ADDRESS)
        for held in flood:
            _wait_until_closed(held)
        ms = round((time.monotonic_ns() - began_ns) / NS_PER_MS, 1)
        # The server looks for silent connections twice in that time.
        closed = Report("connections closed", ms, (1.5 * connections.SILENT_S + GRACE_S) * 1000)
        return [other, closed, self._answer("the page answers again", "127.0.0.1")]

    def _answer(self, what: str, address: str) -> Report:
        began_ns, ms = time.monotonic_ns(), NEVER_MS
        page = http.client.HTTPConnection("127.0.0.1", self.port, 2 * ANSWER_WITHIN_S, source_address=(address, 0))
        with contextlib.closing(page), contextlib.suppress(OSError, http.client.HTTPException):
            page.request("GET", "/api/state")
            if page.getresponse().status == http.HTTPStatus.OK:
                ms = round((time.monotonic_ns() - began_ns) / NS_PER_MS, 1)
        return Report(what, ms, ANSWER_WITHIN_S * 1000)


def unbalanced(summary: Summary | None) -> list[str]:
    """Captures that were neither predicted nor counted as dropped."""
    if summary is None:
        return ["it has no summary"]
    captured, dropped = summary.captured["image"], sum(summary.dropped["image"].values())
    if captured == summary.predictions + dropped:
        return []
    return [f"captured {captured}, but predicted {summary.predictions} and dropped {dropped}"]


def exit_code_of(run: Run) -> int:
    """What `mm-edge run` ends with."""
    try:
        run.raise_error()
    except MmEdgeError as error:
        return error.exit_code
    return 0


def _half_a_request(port: int) -> socket.socket | None:
    """None: the server refused the connection."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=HAPPENS_WITHIN_S)
    try:
        connection.sendall(f"GET /healthz HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n".encode())
        if connection.recv(4096):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: local")
            return connection
    except ConnectionError:
        pass  # refused after it was accepted
    connection.close()
    return None


def _wait_until_closed(connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        while connection.recv(4096):
            pass


def _sleep_until(t_ns: int) -> None:
    time.sleep(max(0.0, (t_ns - time.monotonic_ns()) / NS_PER_S))

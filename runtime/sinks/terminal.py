"""A live table on a terminal; one line per second if standard error is not a terminal."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from mm_edge.printable import printable
from mm_edge.runtime.clock import MonotonicClock

from .telemetry.status import Tally

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

    from mm_edge.runtime.sink import RunInfo, Summary
    from mm_edge.sample import Event, Prediction

TABLE_PERIOD_S = 0.5  # a table takes 5 to 10 ms of interpreter time
LINE_PERIOD_S = 1.0


class TerminalSink:
    """Draws in its own thread, so that a slow terminal blocks nothing.

    It draws on standard error: standard output is for `--jsonl -`.
    """

    name = "terminal"
    wants_samples = False
    is_status = True

    def __init__(self, console: Console | None = None) -> None:
        self._console = console
        self._tally = Tally(MonotonicClock())
        self._over = threading.Event()
        self._live: Live | None = None
        self._thread = threading.Thread(target=self._refresh, name="mm-edge-terminal", daemon=True)

    def open(self, run: RunInfo) -> None:
        self._tally.open(run)
        self._thread.start()

    def take(self, item: Prediction | Event | Summary) -> None:
        self._tally.take(item)

    def close(self) -> None:
        """Leaves the final state of the run on the terminal."""
        if not self._thread.is_alive():
            return
        self._over.set()
        self._thread.join()
        self._draw()
        if self._live:
            self._live.stop()

    def _refresh(self) -> None:
        period_s = TABLE_PERIOD_S
        while not self._over.wait(period_s):
            self._draw()
            period_s = TABLE_PERIOD_S if self._live else LINE_PERIOD_S

    def _draw(self) -> None:
        from .telemetry.board import board, line

        console = self._console or self._standard_error()
        view = self._tally.view()
        if not console.is_terminal:
            console.file.write(f"{printable(line(view))}\n")
            console.file.flush()
            return
        if self._live is None:
            from rich.live import Live

            self._live = Live(console=console, auto_refresh=False)
            self._live.start()
        self._live.update(board(view), refresh=True)

    def _standard_error(self) -> Console:
        """Created at the first drawing: loading rich takes longer than a first prediction."""
        from mm_edge.console import SafeConsole

        self._console = SafeConsole(stderr=True)
        return self._console

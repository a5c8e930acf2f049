"""Shows a remote run in the terminal: polls /api/state and draws the same table as the run itself."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import msgspec
from msgspec import Struct

from mm_edge.errors import UnavailableError, UsageError
from mm_edge.printable import printable
from mm_edge.runtime.sinks.telemetry.status import RunView

if TYPE_CHECKING:
    import threading

    from rich.console import Console

DEFAULT_PORT = 8700
PATIENCE_S = 3.0
PERIOD_S = 0.5
MOST_STATE_BYTES = 4 << 20
EXAMPLES = "Examples: mm-edge view robot:8700, mm-edge view 'http://robot:8700/?token=…', mm-edge view ssh://me@robot"


class Robot(Struct, frozen=True):
    """The address of a run's page, and its token."""

    base: str  # http://host:port
    token: str | None

    @classmethod
    def at(cls, url: str) -> Robot:
        """From `host`, `host:port` or the link that the run printed."""
        action = f"reading the address {url}"
        try:
            parts = urlsplit(url if "//" in url else f"//{url}", scheme="http")
            host, port = parts.hostname, parts.port or DEFAULT_PORT
        except ValueError as error:
            raise UsageError(f"{error}", action=action, hint=EXAMPLES) from None
        if not host or parts.scheme not in {"http", "https"}:
            raise UsageError("not the address of a live page", action=action, hint=EXAMPLES)
        host = f"[{host}]" if ":" in host else host
        return cls(f"{parts.scheme}://{host}:{port}", parse_qs(parts.query).get("token", [None])[0])

    @property
    def link(self) -> str:
        return f"{self.base}/" + (f"?token={self.token}" if self.token else "")

    def state(self) -> RunView:
        """The current state of the run. Raises UsageError or UnavailableError if it cannot be read."""
        action = f"reading the state of {self.base}"
        request = urllib.request.Request(f"{self.base}/api/state")  # noqa: S310  # the scheme was checked
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310  # likewise
                return msgspec.json.decode(answer.read(MOST_STATE_BYTES), type=RunView)
        except urllib.error.HTTPError as refusal:
            with refusal:
                if refusal.code == 401:
                    hint = "Use the full link that the run printed, including its token"
                    raise UsageError("a token is required", action=action, hint=hint) from None
                found = f"the server responded {refusal.code}: {refusal.read(200).decode(errors='replace').strip()}"
                raise UnavailableError(found, action=action) from None
        except (OSError, msgspec.MsgspecError) as error:
            reason = getattr(error, "reason", error)
            hint = "Check that the run is active with --view on an address reachable from here. See docs/live-page.md"
            raise UnavailableError(f"{reason}", action=action, hint=hint) from None


def watch_in_text(robot: Robot, console: Console, over: threading.Event) -> None:
    """Updates a table until `over`, or until the run has ended or is unreachable."""
    from rich.live import Live

    from mm_edge.runtime.sinks.telemetry.board import board, line

    view = robot.state()
    if not console.is_terminal:
        while not over.is_set():
            console.file.write(f"{printable(line(view))}\n")
            console.file.flush()
            if view.summary is not None or over.wait(2 * PERIOD_S):
                return
            view = robot.state()
    with Live(console=console, auto_refresh=False) as live:
        while not over.is_set():
            live.update(board(view), refresh=True)
            if view.summary is not None or over.wait(PERIOD_S):
                return
            view = robot.state()

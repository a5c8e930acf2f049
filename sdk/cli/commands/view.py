"""mm-edge view: shows the live page of a remote run, in the browser or in the terminal."""

from __future__ import annotations

import os
import sys
import threading
import webbrowser
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from mm_edge.runtime.view.watch import Robot


def view(
    url: Annotated[
        str,
        typer.Argument(metavar="URL", help="The link that the run printed, host[:port], or ssh://[user@]host[/port]."),
    ],
    text: Annotated[bool, typer.Option("--text", help="Use the terminal even if a browser is available.")] = False,
) -> None:
    """Show the live page of a remote run, in the browser or in the terminal.

    mm-edge view 'http://192.168.1.7:8700/?token=…'    the link that the run printed

    mm-edge view ssh://me@robot                        through an ssh tunnel, for a run that listens only on loopback
    """
    from mm_edge.errors import NotImplementedYetError
    from mm_edge.runtime.view.tunnel import SCHEME, tunnel
    from mm_edge.runtime.view.watch import Robot

    if url.endswith(".mcap"):
        hint = "View an active run: mm-edge view URL"
        raise NotImplementedYetError("recordings are not supported yet", action=f"mm-edge view {url}", hint=hint)
    through_ssh = url.startswith(SCHEME)
    connection: AbstractContextManager[int | None] = tunnel(url) if through_ssh else nullcontext()
    with connection as port:
        robot = Robot.at(f"127.0.0.1:{port}" if port else url)
        robot.state()  # raises before anything is opened
        if text or not _has_browser():
            _in_terminal(robot)
            return
        webbrowser.open(robot.link)
        typer.echo(f"Live page: {robot.link}", err=True)
        if through_ssh:
            typer.echo("The ssh tunnel stays open until Ctrl-C.", err=True)
            threading.Event().wait()


def _in_terminal(robot: Robot) -> None:
    from mm_edge.console import SafeConsole
    from mm_edge.runtime.view.watch import watch_in_text

    watch_in_text(robot, SafeConsole(), threading.Event())


def _has_browser() -> bool:
    """Whether a graphical browser is available; text browsers do not count."""
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True

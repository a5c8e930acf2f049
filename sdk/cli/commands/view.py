"""mm-edge view: shows the live page of a run that goes on elsewhere, in the browser or in this terminal."""

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
    text: Annotated[bool, typer.Option("--text", help="In this terminal, also where there is a browser.")] = False,
) -> None:
    """Show the live page of a run that goes on elsewhere, in the browser or in this terminal.

    mm-edge view 'http://192.168.1.7:8700/?token=…'    the link that the run printed

    mm-edge view ssh://me@robot                         a run that listens only on its own machine, through ssh
    """
    from mm_edge.errors import NotBuiltYetError
    from mm_edge.runtime.view.tunnel import SCHEME, tunnel
    from mm_edge.runtime.view.watch import Robot

    if url.endswith(".mcap"):
        hint = "Watch a run that goes on: mm-edge view URL"
        raise NotBuiltYetError("looking at a recording is not built yet", action=f"mm-edge view {url}", hint=hint)
    through_ssh = url.startswith(SCHEME)
    way: AbstractContextManager[int | None] = tunnel(url) if through_ssh else nullcontext()
    with way as port:
        robot = Robot.at(f"127.0.0.1:{port}" if port else url)
        robot.state()  # says what is wrong before anything is opened
        if text or not _has_browser():
            _in_terminal(robot)
            return
        webbrowser.open(robot.link)
        typer.echo(f"The live page: {robot.link}", err=True)
        if through_ssh:
            typer.echo("The way through ssh stays open until Ctrl-C.", err=True)
            threading.Event().wait()


def _in_terminal(robot: Robot) -> None:
    from rich.console import Console

    from mm_edge.runtime.view.watch import watch_in_text

    watch_in_text(robot, Console(), threading.Event())


def _has_browser() -> bool:
    """A browser that opens a window; one that would take over this terminal is none."""
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True

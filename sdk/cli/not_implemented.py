"""Commands that are not implemented yet: hidden from --help and completion; calling one exits with 3."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import typer

from mm_edge.errors import NotImplementedYetError

if TYPE_CHECKING:
    from collections.abc import Callable

# The planned summary and parameters of each: `[OPTIONAL]` or `REQUIRED` argument, `--flag`, `--option VALUE`.
NOT_IMPLEMENTED = {
    "replay": (
        "Replay a recording through a bundle.",
        *("FILE.mcap", "[BUNDLE]", "--jsonl FILE|-", "--speed N|max", "--compare OTHER"),
    ),
    "recover": ("Repair a truncated recording.", "FILE.mcap"),
    "info": ("Show the contents of a recording.", "FILE.mcap"),
    "label": ("Label a recording.", "FILE.mcap"),
    "export-dataset": ("Convert a recording to a dataset.", "FILE.mcap", "--format folder|lerobot"),
    "service": ("Run a bundle as a system service.", "install|status|logs"),
}


def add(app: typer.Typer, name: str) -> None:
    about, *usage = NOT_IMPLEMENTED[name]
    app.command(name, help=f"{about} (not implemented yet)", hidden=True)(_refusal(name, usage))


def _refusal(name: str, usage: list[str]) -> Callable[..., None]:
    def refuse(**_given: Any) -> None:
        raise NotImplementedYetError(
            "not implemented yet", action=f"mm-edge {name}", hint="Available commands: mm-edge --help"
        )

    parameters = [_parameter(word, f"given_{place}") for place, word in enumerate(usage)]
    refuse.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads the options from here
    refuse.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return refuse


def _parameter(word: str, name: str) -> inspect.Parameter:
    info: Any
    if word.startswith("--"):
        option, _, value = word.partition(" ")
        info = typer.Option(None, option, metavar=value) if value else typer.Option(False, option)
        kind = str | None if value else bool
    else:
        info, kind = typer.Argument(None if word.startswith("[") else ..., metavar=word.strip("[]")), str
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=info, annotation=kind)

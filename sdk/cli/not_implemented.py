"""The verbs whose room does not stand yet: each shows its options and says so, until its file arrives."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import typer

from mm_edge.errors import NotBuiltYetError

if TYPE_CHECKING:
    from collections.abc import Callable

# What the verb does, and what it takes: `[MAY]` or `MUST` be given, `--flag`, `--option VALUE`.
UNBUILT = {
    "replay": (
        "Play a recording through a bundle again.",
        *("FILE.mcap", "[BUNDLE]", "--jsonl FILE|-", "--speed N|max", "--compare OTHER"),
    ),
    "recover": ("Make a recording whole that was cut off.", "FILE.mcap"),
    "info": ("Tell what is in a recording.", "FILE.mcap"),
    "label": ("Put labels on a recording.", "FILE.mcap"),
    "export-dataset": ("Make a data set out of a recording.", "FILE.mcap", "--format folder|lerobot"),
    "service": ("Run a bundle as a service of the system.", "install|status|logs"),
}


def add(app: typer.Typer, verb: str, *, panel: str) -> None:
    about, *usage = UNBUILT[verb]
    app.command(verb, help=about, short_help=f"{about} (not built yet)", rich_help_panel=panel)(_refusal(verb, usage))


def _refusal(verb: str, usage: list[str]) -> Callable[..., None]:
    def refuse(**_given: Any) -> None:
        raise NotBuiltYetError(
            "this part of mm-edge is not built yet",
            action=f"mm-edge {verb}",
            hint="See the verbs that are: mm-edge --help",
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

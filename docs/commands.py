"""Writes docs/reference/commands.md from the command line: python docs/commands.py > docs/reference/commands.md."""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from typer.main import get_command

from mm_edge.cli import app

if TYPE_CHECKING:
    from collections.abc import Iterator

    import click

HEAD = """# Commands

<!-- Written by docs/commands.py from the command line; do not edit. -->

`mm-edge COMMAND --help` prints the same text. `mm-edge --version` prints the version; `--debug`, anywhere on the line,
shows tracebacks and logs everything; `mm-edge --install-completion` sets up completion for your shell.

| exit code | meaning |
|---|---|
| 0 | success |
| 1 | the work failed: a check, a measurement or a run |
| 2 | wrong usage or input |
| 3 | something that was requested is not available on this machine |
| 130 | interrupted (Ctrl-C) |
"""


def document() -> str:
    return HEAD + "".join(f"{line}\n" for verb in _available() for line in _section(verb))


def _available() -> list[str]:
    """The commands that have a file; the others are not implemented yet."""
    return [verb for verb in app.COMMANDS if find_spec(f"mm_edge.cli.commands.{verb.replace('-', '_')}")]


def _section(verb: str) -> Iterator[str]:
    command = get_command(app._command([verb])).commands[verb]  # type: ignore[attr-defined]  # noqa: SLF001
    yield f"\n## mm-edge {verb}\n"
    yield from _command(f"mm-edge {verb}", command)
    for name, inner in getattr(command, "commands", {}).items():
        yield f"\n### mm-edge {verb} {name}\n"
        yield from _command(f"mm-edge {verb} {name}", inner)


def _command(path: str, command: click.Command) -> Iterator[str]:
    about, examples = _help(command.help or "")
    yield f"{about}\n"
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    usage = [
        path,
        "[OPTIONS]" if options else "",
        *(parameter.make_metavar(_context(command)) for parameter in arguments),
    ]
    yield "```text\n" + "\n".join([" ".join(word for word in usage if word), *examples]) + "\n```\n"
    rows = [(_metavar(command, parameter), parameter) for parameter in [*arguments, *options]]
    rows = [(name, parameter) for name, parameter in rows if not getattr(parameter, "hidden", False)]
    if rows:
        yield "| argument or option | |\n|---|---|"
        for name, parameter in rows:
            note = " ".join((getattr(parameter, "help", None) or "").split())
            yield f"| `{_cell(name)}` | {_cell(note)}{_default(parameter)} |"


def _context(command: click.Command) -> click.Context:
    return command.context_class(command)


def _metavar(command: click.Command, parameter: click.Parameter) -> str:
    metavar = parameter.make_metavar(_context(command))
    if parameter.param_type_name == "argument":
        return metavar
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    return names if getattr(parameter, "is_flag", False) else f"{names} {metavar}"


def _default(parameter: click.Parameter) -> str:
    default = parameter.default
    if (
        default is None
        or default is False
        or callable(default)
        or default == ()
        or not getattr(parameter, "show_default", False)
    ):
        return ""
    return f" Default: `{default}`."


def _cell(text: str) -> str:
    return re.sub(r"\[dim\]|\[/dim\]", "", text).replace("|", "\\|")


def _help(text: str) -> tuple[str, list[str]]:
    """The sentences of a command's help, and its example lines."""
    paragraphs = [" ".join(part.replace("\b", "").split()) for part in text.strip().split("\n\n")]
    examples = [line for line in text.replace("\b", "").splitlines() if line.strip().startswith("mm-edge ")]
    about = [part for part in paragraphs if part and not part.startswith("mm-edge ")]
    return "\n\n".join(about), [""] * bool(examples) + [line.strip() for line in examples]


if __name__ == "__main__":
    sys.stdout.write(document())

"""The command line: adds the verb that is asked for, runs it, turns every error into one message and an exit code."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any

import typer

from mm_edge.errors import MmEdgeError
from mm_edge.log import set_up_logging

from . import not_implemented

# Every verb, in the order of --help, and the heading it stands under. A verb is a file of this folder that holds a
# function of the same name, or `app` where it has verbs of its own; it is imported only when its verb is asked for.
VERBS = {
    "run": "Use",
    "replay": "Use",
    "view": "Use",
    "service": "Use",
    "export": "Make",
    "train": "Make",
    "zoo": "Make",
    "build": "Make",
    "bench": "Make",
    "inspect": "Look",
    "verify": "Look",
    "info": "Look",
    "label": "Look",
    "recover": "Look",
    "export-dataset": "Look",
    "doctor": "This machine",
    "devices": "This machine",
    "keygen": "This machine",
}
INTERRUPTED = 130
MESSAGE_CHARACTERS = 2000  # a message may quote what a stranger wrote


def run(argv: list[str]) -> int:
    """Runs one command line and gives its exit code. No exception leaves."""
    argv = _debug_first(argv) or ["--help"]
    debug = argv[:1] == ["--debug"]
    try:
        code = _command(argv)(argv, prog_name="mm-edge", standalone_mode=False)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; what is still buffered must not fail again when Python exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (MmEdgeError, typer.TyperException) as error:
        if debug:
            _show_traceback()
        _say(_message(error))
        return error.exit_code
    except Exception as error:  # noqa: BLE001  # the last line before the user: a fault of mm-edge, told as one
        if debug:
            _show_traceback()
        fault = f"a fault of mm-edge itself: {type(error).__name__}: {error}"
        _say(f"{fault}. Run it again with --debug and report what it shows")
        return 1
    return code if isinstance(code, int) else 0


def _command(argv: list[str]) -> typer.Typer:
    """The command with the one verb that `argv` names, or all of them (help, completion, a verb that is not there)."""
    app = typer.Typer(callback=_before_any_verb, context_settings={"help_option_names": ["-h", "--help"]})
    named = next((word for word in argv if not word.startswith("-")), None)
    for verb in [named] if named in VERBS else VERBS:
        _add(app, verb)
    return app


def _add(app: typer.Typer, verb: str) -> None:
    file = verb.replace("-", "_")
    if find_spec(f"{__package__}.commands.{file}") is None:
        not_implemented.add(app, verb, panel=VERBS[verb])
        return
    module = import_module(f".commands.{file}", __package__)
    if isinstance(verbs := getattr(module, "app", None), typer.Typer):
        app.add_typer(verbs, name=verb, rich_help_panel=VERBS[verb])
    else:
        app.command(verb, rich_help_panel=VERBS[verb])(getattr(module, file))


def _version(requested: bool) -> None:
    if requested:
        from mm_edge import __version__

        typer.echo(f"mm-edge {__version__}")
        raise typer.Exit


def _before_any_verb(
    *,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks and log everything; may stand anywhere.")
    ] = False,
    version: Annotated[  # noqa: ARG001  # its callback has answered by now
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Models that see, hear and read: export and prove them, then run them live on camera, microphone and text."""
    set_up_logging("debug" if debug else "info")


def _debug_first(argv: list[str]) -> list[str]:
    """--debug may stand anywhere, as people add it at the end of the line that failed."""
    end = argv.index("--") if "--" in argv else len(argv)
    if "--debug" not in argv[:end]:
        return argv
    return ["--debug", *(word for word in argv[:end] if word != "--debug"), *argv[end:]]


def _message(error: MmEdgeError | typer.TyperException) -> str:
    if isinstance(error, MmEdgeError):
        return str(error)
    context: Any = getattr(error, "ctx", None)
    requested = context.command_path if context else "mm-edge"
    return f"{requested}: {error.format_message().rstrip('.')}. See: {requested} --help"


def _say(message: str) -> None:
    """One line on stderr, whatever a stranger's file put into the message."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message[:MESSAGE_CHARACTERS])
    typer.echo(f"{typer.style('error', fg=typer.colors.RED, bold=True)}: {shown}", err=True)


def _show_traceback() -> None:
    import traceback

    traceback.print_exc()

"""The command line: loads the requested command, runs it, and turns every error into one message and an exit code."""

from __future__ import annotations

import errno
import os
import sys
from importlib import import_module
from typing import Annotated, Any

import typer

from mm_edge.errors import MmEdgeError, as_exception
from mm_edge.log import set_up_logging
from mm_edge.redact import redact

from . import interrupts, not_implemented
from .memory import HINT, check_address_space, is_out_of_memory

# Every command in the order of --help, with its heading. A command is a file in commands/ with a function of the same
# name, or with `app` if it has subcommands; it is imported only when needed.
COMMANDS = {
    "run": "Run",
    "view": "Run",
    "export": "Build models",
    "build": "Build models",
    "train": "Build models",
    "zoo": "Build models",
    "bench": "Measure and inspect",
    "tune": "Measure and inspect",
    "inspect": "Measure and inspect",
    "verify": "Measure and inspect",
    "schema": "Measure and inspect",
    "doctor": "System",
    "devices": "System",
    "keygen": "System",
}
# What may be wrong with a path that a user gives; a full disk and the like are failures.
PATH_FAULTS = {errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP}
OUTPUT_FAULTS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG}
QUOTED_CHARACTERS = 200
MESSAGE_CHARACTERS = 2000  # a message may quote untrusted input


def run(argv: list[str]) -> int:
    """Runs one command line and returns its exit code. Raises nothing."""
    argv = _debug_first(argv) or ["--help"]
    try:
        code = _command(argv)(argv, prog_name="mm-edge", standalone_mode=False)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return interrupts.INTERRUPTED
    except BrokenPipeError:
        _abandon_output()  # its reader has exited
        code = 1
    except SystemExit as raised:
        code = 1
        if not isinstance(raised.__context__, BrokenPipeError):  # click makes one of that; else a model's code left
            code = _failed(as_exception(raised, action=_named(argv)), debug=argv[:1] == ["--debug"])
    except BaseException as raised:  # noqa: BLE001  # the last resort, also a panic of a library
        error = as_exception(raised, action=_named(argv))
        # An interrupt may be its cause: a package whose import is interrupted raises an ImportError.
        code = interrupts.INTERRUPTED if interrupts.arrived() else _failed(error, debug=argv[:1] == ["--debug"])
    if interrupts.arrived():
        return interrupts.INTERRUPTED
    return code if isinstance(code, int) else 0


def _named(argv: list[str]) -> str:
    return f"mm-edge {' '.join(argv)}"[:QUOTED_CHARACTERS]


def _failed(error: Exception, *, debug: bool) -> int:
    """Reports the error, and returns the exit code."""
    if debug:
        _show_traceback()
    if isinstance(error, (MmEdgeError, typer.TyperException)):
        _report(_message(error))
        return error.exit_code
    message, code = _unforeseen(error)
    if _is_of_output(error):
        _abandon_output()
    _report(message)
    return code


def _is_of_output(error: Exception) -> bool:
    """Errors of files have a name; one of standard output has none."""
    return isinstance(error, OSError) and error.filename is None and error.errno in OUTPUT_FAULTS


def _abandon_output() -> None:
    """What could not be written must not fail again when Python exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _unforeseen(error: Exception) -> tuple[str, int]:
    """The message and the exit code of an error that nobody put into words."""
    if is_out_of_memory(error):
        return f"out of memory: {error}. {HINT}", 1
    if isinstance(error, OSError) and error.filename is not None:
        message = f"using {str(error.filename)[:200]}: {error.strerror}. Check the path and its permissions"
        return message, 2 if error.errno in PATH_FAULTS else 1
    if isinstance(error, OSError) and _is_of_output(error):
        return f"writing to standard output: {error.strerror}. Free disk space, or write somewhere else", 1
    return f"internal error: {type(error).__name__}: {error}. Run again with --debug and report the output", 1


def _command(argv: list[str]) -> typer.Typer:
    """The application with the one command that `argv` names, or with all (help, completion, an unknown command)."""
    app = typer.Typer(callback=_before_any_command, context_settings={"help_option_names": ["-h", "--help"]})
    named = next((word for word in argv if not word.startswith("-")), None)
    if named in not_implemented.NOT_IMPLEMENTED:
        not_implemented.add(app, named)
        return app
    check_address_space(named or "")
    for name in [named] if named in COMMANDS else COMMANDS:
        _add(app, name)
    return app


def _add(app: typer.Typer, name: str) -> None:
    file = name.replace("-", "_")
    module = import_module(f".commands.{file}", __package__)
    if isinstance(subcommands := getattr(module, "app", None), typer.Typer):
        app.add_typer(subcommands, name=name, rich_help_panel=COMMANDS[name])
    else:
        app.command(name, rich_help_panel=COMMANDS[name])(getattr(module, file))


def _version(requested: bool) -> None:
    if requested:
        from mm_edge import __version__

        typer.echo(f"mm-edge {__version__}")
        raise typer.Exit


def _before_any_command(
    *,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks and log at debug level. May appear anywhere.")
    ] = False,
    version: Annotated[  # noqa: ARG001  # its callback has already run
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Export multimodal fusion models, verify them, and run them live on cameras, microphones and text."""
    set_up_logging("debug" if debug else "info")


def _debug_first(argv: list[str]) -> list[str]:
    """Accepts --debug anywhere, since it is often appended to the command line that failed."""
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


def _report(message: str) -> None:
    """Prints one line to stderr, without credentials and with untrusted characters escaped."""
    message = redact(message)
    if len(message) > MESSAGE_CHARACTERS:  # its end is the hint
        message = f"{message[: MESSAGE_CHARACTERS // 2]} … {message[-MESSAGE_CHARACTERS // 2 :]}"
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)
    typer.echo(f"{typer.style('error', fg=typer.colors.RED, bold=True)}: {shown}", err=True)


def _show_traceback() -> None:
    import traceback

    typer.echo(redact(traceback.format_exc()), err=True)

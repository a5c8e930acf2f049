"""The signals that end a command: at every moment the exit code is 130, and resources are closed."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

INTERRUPTED = 130
SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # SIGHUP: the terminal was closed
_arrived = False


def _raise(_number: int, _frame: object) -> NoReturn:
    """Remembered as well: while a package is being imported, the exception may become an ImportError or disappear."""
    global _arrived  # noqa: PLW0603  # there is one process
    _arrived = True
    raise KeyboardInterrupt


def raise_on_signals() -> None:
    """Each of the signals raises KeyboardInterrupt in the main thread, wherever it is."""
    handle(_raise)


def arrived() -> bool:
    """Whether one of them arrived, though its exception may have become another one."""
    return _arrived


def handle(handler: Callable[[int, Any], Any]) -> dict[int, Any]:
    """Sets the handler of every signal that is not ignored, as `nohup` does. Returns the handlers before."""
    return {
        number: signal.signal(number, handler) for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN
    }


def ignore() -> None:
    """For the end of the process: its result stands."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)

"""Entry point of the command `mm-edge`."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import NoReturn

from . import interrupts, standard_streams


def main() -> None:
    try:
        interrupts.raise_on_signals()  # first, so that an interrupt during the imports prints no traceback
        standard_streams.open_closed()
        from .gc_paused import gc_paused

        with gc_paused():
            from .app import run

        code = run(sys.argv[1:])
    except BaseException:
        if not interrupts.arrived():
            raise
        code = interrupts.INTERRUPTED
    interrupts.ignore()
    if code == interrupts.INTERRUPTED:
        _leave(code)
    sys.exit(code)


def _leave(code: int) -> NoReturn:
    """Ends at once: Python would wait for every thread that is still in a library, and then for the libraries."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()

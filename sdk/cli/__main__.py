"""Entry point of the command `mm-edge`."""

from __future__ import annotations

import sys

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
    sys.exit(code)


if __name__ == "__main__":
    main()

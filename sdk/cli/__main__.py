"""Entry point of the command `mm-edge`."""

from __future__ import annotations

import signal
import sys

from .gc_paused import gc_paused

INTERRUPTED = 130


def main() -> None:
    # SIGTERM ends a command like Ctrl-C, so that resources are closed and partial files removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with gc_paused():
            from .app import run  # inside, so that Ctrl-C during the imports prints no traceback

        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()

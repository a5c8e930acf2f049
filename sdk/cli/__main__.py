"""Entry point of the command `mm-edge`."""

from __future__ import annotations

import signal
import sys

from .gc_paused import gc_paused

INTERRUPTED = 130


def main() -> None:
    # SIGTERM ends a command as Ctrl-C does, so that what it holds is closed and what is half written is removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with gc_paused():
            from .app import run  # inside, so that Ctrl-C during the imports is no traceback either

        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()

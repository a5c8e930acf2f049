"""Entry point of the command `mm-edge`."""

from __future__ import annotations

import signal
import sys

from .app import run


def main() -> None:
    # SIGTERM ends a command as Ctrl-C does, so that what it holds is closed and what is half written is removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()

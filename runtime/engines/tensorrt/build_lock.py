"""A lock between processes that a killed holder gives back, and that waits no longer than it is wanted."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from mm_edge.runtime.engines.building import BuildStopped

if TYPE_CHECKING:
    import threading
    from pathlib import Path
    from types import TracebackType

_ASK_EVERY_S = 0.1


class BuildLock:
    """Held by one thread of one process at a time; the kernel releases it with the process."""

    def __init__(self, path: Path, stopped: threading.Event) -> None:
        self._path, self._stopped = path, stopped
        self._descriptor = -1

    def __enter__(self) -> BuildLock:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while not self._taken():
                if self._stopped.wait(_ASK_EVERY_S):
                    raise BuildStopped
        except BaseException:
            os.close(self._descriptor)
            raise
        return self

    def _taken(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

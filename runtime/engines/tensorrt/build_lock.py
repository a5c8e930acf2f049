"""A lock between processes: a killed process releases it, and waiting for it can be cancelled."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from mm_edge.runtime.engines.building import BuildStopped

if TYPE_CHECKING:
    import threading
    from pathlib import Path
    from types import TracebackType

_TRY_EVERY_S = 0.1


class BuildLock:
    """Held by one thread of one process; the kernel releases it when the process ends."""

    def __init__(self, path: Path, stopped: threading.Event) -> None:
        self._path, self._stopped = path, stopped
        self._descriptor = -1

    def __enter__(self) -> BuildLock:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while not self._try_to_lock():
                if self._stopped.wait(_TRY_EVERY_S):
                    raise BuildStopped
        except BaseException:
            os.close(self._descriptor)
            raise
        return self

    def _try_to_lock(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

"""A thread that reads a camera and keeps its newest frame, for sequential loops."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def newest(camera: Any) -> Iterator[tuple[int, Any]]:
    """Capture times and frames; frames that arrive while the caller is busy are dropped."""
    kept: deque[Any] = deque(maxlen=1)
    arrived = threading.Event()
    ended = False

    def keep() -> None:
        nonlocal ended
        while (captured := camera.read()) is not None:
            kept.append(captured)
            arrived.set()
        ended = True
        arrived.set()

    reader = threading.Thread(target=keep)
    reader.start()
    while not ended:
        arrived.wait()
        arrived.clear()
        if kept:
            yield kept.popleft()
    reader.join()

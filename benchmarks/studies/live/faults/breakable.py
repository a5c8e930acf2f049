"""Parts of a real run that fail on request: a source, a part of the model, a sink, and a disk."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mm_edge.errors import SourceLostError
from mm_edge.runtime.engines.onnxruntime import OnnxRuntimeEngine
from mm_edge.runtime.sinks.null import NullSink

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from mm_edge.bundle.manifest import Part, Precision
    from mm_edge.runtime.source import Capture, Opened, Source

FULL = "/dev/full"  # every write to it fails as on a full disk


class BreakableSource:
    """A source that stalls (its read blocks) or is lost (its read and open raise) on request."""

    def __init__(self, source: Source) -> None:
        self.name, self.input, self.live = source.name, source.input, source.live
        self._source = source
        self._delivers = threading.Event()
        self._delivers.set()
        self._is_lost = self._interrupted = False

    def stall(self) -> None:
        self._delivers.clear()

    def resume(self) -> None:
        self._delivers.set()

    def lose(self) -> None:
        self._is_lost = True
        self._source.interrupt()  # an unplugged device does not wait for its next capture

    def find(self) -> None:
        self._is_lost = False

    def open(self) -> Opened:
        self._raise_if_lost()
        return self._source.open()

    def read(self) -> Capture | None:
        while True:
            capture = self._source.read()
            self._raise_if_lost()
            if self._delivers.is_set():
                return capture
            self._delivers.wait()  # what was captured when it stalled never arrives
            if self._interrupted:
                return None

    def interrupt(self) -> None:
        self._interrupted = True
        self._delivers.set()
        self._source.interrupt()

    def figures(self) -> Mapping[str, float]:
        return self._source.figures()

    def close(self) -> None:
        self._source.close()

    def _raise_if_lost(self) -> None:
        if self._is_lost:
            raise SourceLostError("the device is unplugged", action=f"reading {self.name}")


class BreakableEngine(OnnxRuntimeEngine):
    """ONNX Runtime on the CPU, with parts that raise once on request."""

    def __init__(self) -> None:
        super().__init__()
        self.raised = threading.Event()
        self.raised_ns = 0
        self._part: str | None = None
        self._lock = threading.Lock()

    def fail_once(self, part: str) -> None:
        """The next run of `part` raises; then `raised` is set."""
        with self._lock:
            self.raised.clear()
            self._part = part

    def raise_if_requested(self, part: str) -> None:
        with self._lock:
            if self._part != part:
                return
            self._part, self.raised_ns = None, time.monotonic_ns()
        self.raised.set()
        raise RuntimeError(f"{part} was requested to fail")

    def load(self, part: Part, precision: Precision, *how: Any) -> Any:
        return _BreakableExecutable(super().load(part, precision, *how), self)


class _BreakableExecutable:
    def __init__(self, executable: Any, engine: BreakableEngine) -> None:
        self.part, self.precision = executable.part, executable.precision
        self._executable, self._engine = executable, engine

    def slot(self, to_host: Collection[str] = ()) -> _BreakableSlot:
        return _BreakableSlot(self._executable.slot(to_host), self.part.name, self._engine)

    def release(self, slot: _BreakableSlot) -> None:
        self._executable.release(slot.slot)

    def close(self) -> None:
        self._executable.close()


class _BreakableSlot:
    def __init__(self, slot: Any, part: str, engine: BreakableEngine) -> None:
        self.slot, self.outputs = slot, slot.outputs
        self._part, self._engine = part, engine

    def run(self, inputs: Sequence[Any]) -> None:
        self._engine.raise_if_requested(self._part)
        self.slot.run(inputs)

    def clear(self) -> None:
        self.slot.clear()


class BlockingSink(NullSink):
    """A sink that accepts nothing between `block` and `accept`. `blocked` is set once it is busy with an item."""

    name = "blocking"

    def __init__(self) -> None:
        self.blocked = threading.Event()
        self.blocked_ns = 0
        self._accepts = threading.Event()
        self._accepts.set()

    def block(self) -> None:
        self.blocked.clear()
        self._accepts.clear()

    def accept(self) -> None:
        self._accepts.set()

    def take(self, item: Any) -> None:
        del item
        if not self._accepts.is_set():
            self.blocked_ns = time.monotonic_ns()
            self.blocked.set()
            self._accepts.wait()


class FullDisk:
    """While it is entered, the kernel refuses every write of this process to the open file, as on a full disk."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        self._file = self._number()
        self._real = os.dup(self._file)
        full = os.open(FULL, os.O_WRONLY)
        os.dup2(full, self._file, inheritable=False)
        os.close(full)

    def __exit__(self, *_: object) -> None:
        os.dup2(self._real, self._file, inheritable=False)
        os.close(self._real)

    def _number(self) -> int:
        for link in Path("/proc/self/fd").iterdir():
            if link.is_symlink() and link.readlink() == self._path:
                return int(link.name)
        raise FileNotFoundError(f"{self._path} is not open")

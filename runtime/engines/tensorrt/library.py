"""Loads TensorRT or TensorRT-RTX, whichever is asked for, or says which library is missing."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Literal, TypeAlias

from mm_edge.errors import EngineError

if TYPE_CHECKING:
    from .names import Builder, ILogger, Runtime, TensorRT

log = logging.getLogger(__name__)
Kind: TypeAlias = Literal["tensorrt", "tensorrt-rtx"]
OLDEST_MAJOR = 10  # 10.3 is the oldest that the tests know; what was before names tensors by number
_MODULES: dict[Kind, str] = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
TITLES: dict[Kind, str] = {"tensorrt": "TensorRT", "tensorrt-rtx": "TensorRT-RTX"}
_TODO: dict[Kind, str] = {
    "tensorrt": "On Jetson: sudo apt-get install tensorrt, and make .venv with --system-site-packages; "
    "elsewhere install the TensorRT made for the driver's CUDA version",
    "tensorrt-rtx": "Install it: pip install 'mm-edge[tensorrt-rtx]'",
}
_KEPT_ERRORS = 64


class Heard:
    """What TensorRT said went wrong: its calls return False or None, and the reason comes only here."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._errors: list[tuple[int, str]] = []
        self._count = 0

    def add(self, message: str) -> None:
        with self._lock:
            self._count += 1
            self._errors = [*self._errors[1 - _KEPT_ERRORS :], (self._count, message)]

    def mark(self) -> int:
        with self._lock:
            return self._count

    def since(self, mark: int) -> str:
        """The last error after `mark`, as one line."""
        with self._lock:
            after = [message for number, message in self._errors if number > mark]
        return " ".join(after[-1].split()) if after else "the library gave no reason"


@dataclass(frozen=True)
class Library:
    """One of the two, loaded. Its logger lives as long as the process: TensorRT keeps the first that it is given."""

    kind: Kind
    trt: TensorRT
    version: str
    logger: ILogger
    heard: Heard

    @property
    def title(self) -> str:
        return f"{TITLES[self.kind]} {self.version}"

    def builder(self) -> Builder:
        mark, trt = self.heard.mark(), self.trt
        try:
            return trt.Builder(self.logger)
        except TypeError as error:
            raise self._unfit(mark) from error

    def runtime(self) -> Runtime:
        mark, trt = self.heard.mark(), self.trt
        try:
            return trt.Runtime(self.logger)
        except TypeError as error:
            raise self._unfit(mark) from error

    def _unfit(self, mark: int) -> EngineError:
        """The bindings raise a TypeError about a null pointer where the library does not come up on the device."""
        return EngineError(
            self.heard.since(mark),
            action=f"starting {self.title}",
            hint="The driver may be too old for it: mm-edge doctor",
        )


@cache
def load_library(kind: Kind) -> Library:
    """The library, or an EngineError (exit code 3) that names what is missing. It is loaded once."""
    action = f"loading {TITLES[kind]}"
    try:
        trt: TensorRT = import_module(_MODULES[kind])
    except (ImportError, OSError) as error:  # OSError: a library beside the package does not load
        raise EngineError(_missing(kind, error), action=action, hint=_TODO[kind]) from error
    version = str(trt.__version__)
    if kind == "tensorrt" and int(version.partition(".")[0]) < OLDEST_MAJOR:
        raise EngineError(
            f"this is {version}, and {OLDEST_MAJOR} or later is needed",
            action=action,
            hint="On Jetson: update to JetPack 6.1 or later; elsewhere install a newer TensorRT",
        )
    heard = Heard()
    return Library(kind, trt, version, make_logger(trt, heard), heard)


def _missing(kind: Kind, error: ImportError | OSError) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name == _MODULES[kind]:
        return f"the package '{_MODULES[kind]}' is not installed"
    return " ".join(str(error).split())


def make_logger(trt: TensorRT, heard: Heard) -> ILogger:
    """Errors are kept for the message that is raised; warnings and the rest go to the log, for --debug."""

    class Listener(trt.ILogger):  # type: ignore[misc]  # the library ships no types
        def __init__(self) -> None:
            trt.ILogger.__init__(self)  # the binding demands it

        def log(self, severity: object, msg: str) -> None:
            if severity in {trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR}:
                heard.add(msg)
            log.debug("%s: %s", severity, msg)

    return Listener()

"""Loads TensorRT or TensorRT-RTX, or reports which library is missing."""

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
OLDEST_MAJOR = 10  # 10.3 is the oldest tested version; before 10, tensors are addressed by number
_MODULES: dict[Kind, str] = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
TITLES: dict[Kind, str] = {"tensorrt": "TensorRT", "tensorrt-rtx": "TensorRT-RTX"}
_HINTS: dict[Kind, str] = {
    "tensorrt": "On Jetson: sudo apt-get install tensorrt, and create .venv with --system-site-packages; "
    "elsewhere install the TensorRT for the driver's CUDA version",
    "tensorrt-rtx": "Install it: pip install 'mm-edge[tensorrt-rtx]'",
}
_KEPT_ERRORS = 64


class ErrorLog:
    """The errors that TensorRT logged: its calls return False or None, and only the log has the reason."""

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
    """One of the two, loaded. Its logger lives until the process ends: TensorRT keeps the first one it is given."""

    kind: Kind
    trt: TensorRT
    version: str
    logger: ILogger
    errors: ErrorLog

    @property
    def title(self) -> str:
        return f"{TITLES[self.kind]} {self.version}"

    def builder(self) -> Builder:
        mark, trt = self.errors.mark(), self.trt
        try:
            return trt.Builder(self.logger)
        except TypeError as error:
            raise self._start_error(mark) from error

    def runtime(self) -> Runtime:
        mark, trt = self.errors.mark(), self.trt
        try:
            return trt.Runtime(self.logger)
        except TypeError as error:
            raise self._start_error(mark) from error

    def _start_error(self, mark: int) -> EngineError:
        """The bindings raise a TypeError about a null pointer if the library does not start on the device."""
        return EngineError(
            self.errors.since(mark),
            action=f"starting {self.title}",
            hint="The driver may be too old for it: mm-edge doctor",
        )


@cache
def load_library(kind: Kind) -> Library:
    """The library, or an EngineError (exit code 3) that names what is missing. Loaded once."""
    action = f"loading {TITLES[kind]}"
    try:
        trt: TensorRT = import_module(_MODULES[kind])
    except (ImportError, OSError) as error:  # OSError: a library beside the package does not load
        raise EngineError(_missing(kind, error), action=action, hint=_HINTS[kind]) from error
    version = str(trt.__version__)
    if kind == "tensorrt" and int(version.partition(".")[0]) < OLDEST_MAJOR:
        raise EngineError(
            f"found version {version}, required is {OLDEST_MAJOR} or later",
            action=action,
            hint="On Jetson: update to JetPack 6.1 or later; elsewhere install a newer TensorRT",
        )
    errors = ErrorLog()
    return Library(kind, trt, version, make_logger(trt, errors), errors)


def _missing(kind: Kind, error: ImportError | OSError) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name == _MODULES[kind]:
        return f"the package '{_MODULES[kind]}' is not installed"
    return " ".join(str(error).split())


def make_logger(trt: TensorRT, errors: ErrorLog) -> ILogger:
    """Errors are stored for the exception that is raised; other messages are logged, for --debug."""

    class Listener(trt.ILogger):  # type: ignore[misc]  # the library ships no types
        def __init__(self) -> None:
            trt.ILogger.__init__(self)  # required by the binding

        def log(self, severity: object, msg: str) -> None:
            if severity in {trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR}:
                errors.add(msg)
            log.debug("%s: %s", severity, msg)

    return Listener()

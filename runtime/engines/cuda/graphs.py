"""CUDA graphs: work that was put on a stream once, kept, and launched again by one call. pycuda has none of it.

Through cuda.bindings where it is installed, else through the driver's own functions by ctypes.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from mm_edge.runtime.engines.available import DRIVER

from .faults import fault

if TYPE_CHECKING:
    from collections.abc import Callable

# Of the capturing thread alone: a capture that watched all threads would break what other lanes do meanwhile.
THREAD_LOCAL = 1


class Calls(Protocol):
    """The driver's functions for graphs; each gives CUDA's name of what went wrong, or nothing, and its result."""

    title: str

    def begin(self, stream: int) -> str: ...

    def end(self, stream: int) -> tuple[str, Any]: ...

    def instantiate(self, graph: Any) -> tuple[str, Any]: ...

    def launch(self, executable: Any, stream: int) -> str: ...

    def destroy(self, graph: Any) -> None: ...

    def destroy_executable(self, executable: Any) -> None: ...


class _Bindings:
    title = "cuda.bindings"

    def __init__(self) -> None:
        from cuda.bindings import driver

        self._driver = driver
        self._mode = driver.CUstreamCaptureMode(THREAD_LOCAL)

    def begin(self, stream: int) -> str:
        return self._name(*self._driver.cuStreamBeginCapture(stream, self._mode))

    def end(self, stream: int) -> tuple[str, Any]:
        code, graph = self._driver.cuStreamEndCapture(stream)
        return self._name(code), graph

    def instantiate(self, graph: Any) -> tuple[str, Any]:
        code, executable = self._driver.cuGraphInstantiate(graph, 0)
        return self._name(code), executable

    def launch(self, executable: Any, stream: int) -> str:
        (code,) = self._driver.cuGraphLaunch(executable, stream)
        return "" if code == 0 else self._name(code)

    def destroy(self, graph: Any) -> None:
        self._driver.cuGraphDestroy(graph)

    def destroy_executable(self, executable: Any) -> None:
        self._driver.cuGraphExecDestroy(executable)

    @staticmethod
    def _name(code: Any) -> str:
        return "" if code == 0 else str(code.name)


class _Ctypes:
    title = "ctypes"

    def __init__(self) -> None:
        self._library = ctypes.CDLL(DRIVER)

    def begin(self, stream: int) -> str:
        return self._name(self._library.cuStreamBeginCapture_v2(ctypes.c_void_p(stream), THREAD_LOCAL))

    def end(self, stream: int) -> tuple[str, Any]:
        graph = ctypes.c_void_p()
        return self._name(self._library.cuStreamEndCapture(ctypes.c_void_p(stream), ctypes.byref(graph))), graph

    def instantiate(self, graph: Any) -> tuple[str, Any]:
        made, flags = ctypes.c_void_p(), ctypes.c_ulonglong(0)
        return self._name(self._library.cuGraphInstantiateWithFlags(ctypes.byref(made), graph, flags)), made

    def launch(self, executable: Any, stream: int) -> str:
        code = self._library.cuGraphLaunch(executable, ctypes.c_void_p(stream))
        return "" if code == 0 else self._name(code)

    def destroy(self, graph: Any) -> None:
        self._library.cuGraphDestroy(graph)

    def destroy_executable(self, executable: Any) -> None:
        self._library.cuGraphExecDestroy(executable)

    def _name(self, code: int) -> str:
        if code == 0:
            return ""
        name = ctypes.c_char_p()
        told = self._library.cuGetErrorName(code, ctypes.byref(name)) == 0 and name.value
        return name.value.decode() if told and name.value else f"error {code}"


@cache
def graph_calls() -> Calls:
    try:
        return _Bindings()
    except ImportError:
        return _Ctypes()


class Graph:
    """Work that was captured. Every address in it is frozen: it may touch only memory that lives as long as it does."""

    def __init__(self, calls: Calls, graph: Any, executable: Any, label: str) -> None:
        self._calls, self._graph, self._executable, self._label = calls, graph, executable, label

    def launch(self, stream: int) -> None:
        if name := self._calls.launch(self._executable, stream):
            raise fault(name, "cuGraphLaunch", f"running {self._label}")

    def close(self) -> None:
        self._calls.destroy_executable(self._executable)
        self._calls.destroy(self._graph)


def capture(work: Callable[[int], None], stream: int, label: str, calls: Calls | None = None) -> Graph:
    """What `work` puts on the stream, as a graph. Nothing of it has run. Raises what went wrong; the capture is over
    then, and the stream can be used without a graph.
    """
    calls = calls or graph_calls()
    asked = f"capturing {label} as a CUDA graph"
    if name := calls.begin(stream):
        raise fault(name, "cuStreamBeginCapture", asked)
    try:
        work(stream)
    except BaseException:
        name, graph = calls.end(stream)
        if not name:
            calls.destroy(graph)
        raise
    name, graph = calls.end(stream)
    if name:
        raise fault(name, "cuStreamEndCapture", asked)
    name, executable = calls.instantiate(graph)
    if name:
        calls.destroy(graph)
        raise fault(name, "cuGraphInstantiate", asked)
    return Graph(calls, graph, executable, label)

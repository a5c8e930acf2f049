"""CUDA graphs: work that is enqueued once, captured, and launched again by one call. pycuda does not support them.

Uses cuda.bindings if it is installed, else the driver's functions through ctypes.
"""

from __future__ import annotations

import ctypes
import logging
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from mm_edge.errors import EngineError
from mm_edge.runtime.engines.available import DRIVER

from .faults import fault, name_of

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)
# Of the capturing thread only: a capture of all threads would break what other workers do meanwhile.
THREAD_LOCAL = 1
HOST_NODE = 3  # CU_GRAPH_NODE_TYPE_HOST


class Calls(Protocol):
    """The driver's functions for graphs; each returns CUDA's name of the error, or an empty string, and its result."""

    title: str

    def begin(self, stream: int) -> str: ...

    def end(self, stream: int) -> tuple[str, Any]: ...

    def host_nodes(self, graph: Any) -> tuple[str, int]: ...

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

    def host_nodes(self, graph: Any) -> tuple[str, int]:
        code, _, count = self._driver.cuGraphGetNodes(graph, 0)
        code, nodes, _ = (code, [], 0) if code or not count else self._driver.cuGraphGetNodes(graph, count)
        kinds = [self._driver.cuGraphNodeGetType(node) for node in nodes]
        code = next((failed for failed, _ in kinds if failed), code)
        return self._name(code), sum(kind == HOST_NODE for _, kind in kinds)

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

    def host_nodes(self, graph: Any) -> tuple[str, int]:
        count, kind, found = ctypes.c_size_t(), ctypes.c_int(), 0
        code = self._library.cuGraphGetNodes(graph, None, ctypes.byref(count))
        nodes = (ctypes.c_void_p * count.value)()
        code = code or (self._library.cuGraphGetNodes(graph, nodes, ctypes.byref(count)) if count.value else 0)
        for node in nodes:
            code = code or self._library.cuGraphNodeGetType(ctypes.c_void_p(node), ctypes.byref(kind))
            found += kind.value == HOST_NODE
        return self._name(code), found

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

    @staticmethod
    def _name(code: int) -> str:
        return name_of(code) if code else ""


@cache
def graph_calls() -> Calls:
    try:
        return _Bindings()
    except ModuleNotFoundError:
        return _Ctypes()
    except (ImportError, OSError) as error:
        log.warning("the package 'cuda-bindings' is installed but does not load (%s): ctypes is used for graphs", error)
        return _Ctypes()


class Graph:
    """Captured work. Its addresses are fixed: it may use only memory that lives as long as it does."""

    def __init__(self, calls: Calls, graph: Any, executable: Any, label: str) -> None:
        self._calls, self._graph, self._executable, self._label = calls, graph, executable, label

    def launch(self, stream: int) -> None:
        if name := self._calls.launch(self._executable, stream):
            raise fault(name, "cuGraphLaunch", f"running {self._label}")

    def close(self) -> None:
        self._calls.destroy_executable(self._executable)
        self._calls.destroy(self._graph)


def capture(
    work: Callable[[int], None], stream: int, label: str, calls: Calls | None = None, *, host_work_once: bool = False
) -> Graph:
    """What `work` enqueues on the stream, as a graph. None of it has run. After an error the capture has ended and the
    stream can be used without a graph. `host_work_once`: its functions on the host must not run twice, so a graph that
    contains any is refused.
    """
    calls = calls or graph_calls()
    action = f"capturing {label} as a CUDA graph"
    if name := calls.begin(stream):
        raise fault(name, "cuStreamBeginCapture", action)
    try:
        work(stream)
    except BaseException:
        name, graph = calls.end(stream)
        if not name:
            calls.destroy(graph)
        raise
    name, graph = calls.end(stream)
    if name:
        raise fault(name, "cuStreamEndCapture", action)
    try:
        if host_work_once:
            _refuse_host_work(calls, graph, action)
        name, executable = calls.instantiate(graph)
        if name:
            raise fault(name, "cuGraphInstantiate", action)
    except BaseException:
        calls.destroy(graph)
        raise
    return Graph(calls, graph, executable, label)


def _refuse_host_work(calls: Calls, graph: Any, action: str) -> None:
    name, found = calls.host_nodes(graph)
    if name:
        raise fault(name, "cuGraphGetNodes", action)
    if found:
        raise EngineError(f"host functions, which may run only once: {found}", action=action)

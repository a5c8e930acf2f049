"""ONNX Runtime's CUDA provider on the device layer: the same slots and streams, for machines without TensorRT.

A session computes on one stream, which it is given, and its inputs and outputs are bound to the slot's own memory. Its
provider captures graphs itself, one for each slot, told apart by a number. They are off unless asked for: up to 1.31 a
replay waits for the stream (onnxruntime#28686), so that a lane would wait where it should only put work on it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

import onnxruntime as ort

from mm_edge.errors import ConfigError, DeviceError, EngineError
from mm_edge.runtime.engines.available import missing
from mm_edge.runtime.engines.tensors import numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mm_edge.manifest import Part, Precision

    from .compiled import Dims
    from .device import Device
    from .engine import CudaEngine

NAME = "onnxruntime:cuda"
PROVIDER = "CUDAExecutionProvider"
_NO_LOGS_BELOW = 4  # what fails is raised; that a provider did not load is asked for below, with its reason
_RUNS_BEFORE_A_GRAPH = 2  # the provider runs a graph so often before it captures it


@dataclass(frozen=True)
class Bound:
    """One slot's binding. `enqueue` returns before anything has been computed."""

    session: Any
    compiled: CudaProviderPart
    binding: Any
    options: Any

    def bind(self, shapes: Mapping[str, Dims], addresses: Mapping[str, int]) -> None:
        part = self.compiled.part
        for tensor in part.takes:
            at = (numpy_dtype(tensor.dtype), shapes[tensor.name], addresses[tensor.name])
            self.binding.bind_input(tensor.name, "cuda", 0, *at)
        for tensor in part.gives:
            at = (numpy_dtype(tensor.dtype), shapes[tensor.name], addresses[tensor.name])
            self.binding.bind_output(tensor.name, "cuda", 0, *at)
        if self.compiled.graphs_itself:
            for _ in range(_RUNS_BEFORE_A_GRAPH):
                self.enqueue(self.compiled.stream.handle)

    def enqueue(self, _stream: int) -> None:
        try:
            self.session.run_with_iobinding(self.binding, self.options)
        except Exception as error:  # its exceptions share no base class
            raise EngineError(f"{error}", asked=f"running {self.compiled.label}", todo="mm-edge doctor") from error


@dataclass(frozen=True)
class CudaProviderPart:
    """A part as a session on the CUDA provider."""

    part: Part
    session: Any
    stream: Any
    label: str
    graphs_itself: bool
    numbers: Any = field(default_factory=lambda: count(1))

    def context(self) -> Bound:
        options = ort.RunOptions()
        options.add_run_config_entry("disable_synchronize_execution_providers", "1")
        # -1: this run is not to be captured.
        number = next(self.numbers) if self.graphs_itself else -1
        options.add_run_config_entry("gpu_graph_id", str(number))
        return Bound(self.session, self, self.session.io_binding(), options)


class CudaProviderCompiler:
    """Makes sessions; what the provider does not take is an error, never a run on the CPU."""

    def __init__(self, device: Device, options: Mapping[str, str], *, use_graphs: bool) -> None:
        self._device, self._options, self._use_graphs = device, dict(options), use_graphs
        self._told: dict[str, str] = {}

    def compile(self, part: Part, precision: Precision, graph: bytes, shapes: Mapping[str, Dims]) -> CudaProviderPart:
        del shapes  # they are bound
        label, stream = f"'{part.name}' in {precision}", self._device.stream()
        asked = f"loading {label} with ONNX Runtime's CUDA provider"
        provider = {
            **self._options,
            "device_id": "0",
            "user_compute_stream": str(stream.handle),
            "enable_cuda_graph": "1" if self._use_graphs else "0",
        }
        options = ort.SessionOptions()
        options.log_severity_level = _NO_LOGS_BELOW
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        try:
            session = ort.InferenceSession(graph, options, providers=[(PROVIDER, provider)])
        except Exception as error:  # its exceptions share no base class
            raise EngineError(f"{error}", asked=asked, todo="mm-edge doctor") from error
        if session.get_providers()[0] != PROVIDER:
            raise EngineError(
                f"the provider does not load here: {why_it_does_not_load()}",
                asked=asked,
                todo="Install the CUDA libraries that this ONNX Runtime was built for; mm-edge doctor",
            )
        return CudaProviderPart(part, session, stream, label, graphs_itself=self._use_graphs)

    def describe(self) -> dict[str, Any]:
        return {"library": f"ONNX Runtime {ort.__version__}", "provider": PROVIDER}


def why_it_does_not_load() -> str:
    """The library that is missing, by name, as the loader says it."""
    import ctypes
    from pathlib import Path

    provider = Path(ort.__file__).parent / "capi" / "libonnxruntime_providers_cuda.so"
    try:
        ctypes.CDLL(str(provider))
    except OSError as error:
        return str(error)
    return "its libraries are there, and it gave no reason"


def open_cuda_provider(options: Mapping[str, Any]) -> CudaEngine:
    """`options`: `graphs`, whether CUDA graphs are launched; all others go to the provider."""
    graphs = options.get("graphs", False)
    if not isinstance(graphs, bool):
        raise ConfigError(f"graphs is true or false, not {graphs!r}", asked="reading engine.options for the provider")
    if lacks := list(missing(NAME)):
        raise DeviceError(
            "; ".join(lacks),
            asked="running on ONNX Runtime's CUDA provider",
            todo="mm-edge doctor; --engine onnxruntime runs everywhere",
        )
    from .device import open_device
    from .engine import CudaEngine

    device = open_device()
    given = {key: str(value) for key, value in options.items() if key != "graphs"}
    return CudaEngine(NAME, device, CudaProviderCompiler(device, given, use_graphs=graphs), use_graphs=graphs)

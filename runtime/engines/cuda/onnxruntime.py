"""ONNX Runtime's CUDA provider on the device layer: the same slots and streams, for machines without TensorRT.

A session computes on the stream that it is given, with inputs and outputs bound to the slot's own memory. The
provider's own CUDA graphs are not used: it keeps one per thread, captures in a mode that affects all threads, and in
some versions waits for each replay. Instead a run is captured like any other; this is off by default until it has been
tested on a GPU. A run that leaves work for the host (to free its memory) is not captured.
"""

from __future__ import annotations

import contextlib
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mm_edge.errors import ConfigError, EngineError, MmEdgeError
from mm_edge.onnx_runtime import import_onnxruntime
from mm_edge.runtime.engine import DeviceMemoryError
from mm_edge.runtime.engines.tensors import numpy_dtype

from .faults import FREE_MEMORY, fault, name_of
from .open import open_gpu

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mm_edge.bundle.manifest import Part, Precision

    from .compiled import Dims
    from .device import Device
    from .engine import CudaEngine

ort = import_onnxruntime()


NAME = "onnxruntime:cuda"
PROVIDER = "CUDAExecutionProvider"
_NO_LOGS_BELOW = 4  # errors are raised; a provider that did not load is detected below, with its reason
_CUDA_FAILED = re.compile(r"CUDA (?:failure|error) (?:cuda\w+ )?(\d+)")
_NO_ROOM = re.compile(r"[Ff]ailed to allocate memory|smaller than requested bytes|STATUS_ALLOC_FAILED")


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

    def enqueue(self, _stream: int) -> None:
        with _explained(f"running {self.compiled.label}"):
            self.session.run_with_iobinding(self.binding, self.options)


@dataclass(frozen=True)
class CudaProviderPart:
    """A part as a session on the CUDA provider."""

    part: Part
    session: Any
    stream: Any
    label: str
    host_work_once: bool = True
    runs_until_steady: int = 2  # the first allocates memory piece by piece, the second as the one block it has learned

    def context(self) -> Bound:
        options = ort.RunOptions()
        options.add_run_config_entry("disable_synchronize_execution_providers", "1")
        return Bound(self.session, self, self.session.io_binding(), options)


class CudaProviderCompiler:
    """Makes sessions; a part that the provider does not accept is an error, and never runs on the CPU."""

    def __init__(self, device: Device, options: Mapping[str, str]) -> None:
        self._device, self._options = device, dict(options)

    def compile(self, part: Part, precision: Precision, graph: bytes, shapes: Mapping[str, Dims]) -> CudaProviderPart:
        label, stream = f"'{part.name}' in {precision}", self._device.stream()
        action = f"loading {label} with ONNX Runtime's CUDA provider"
        provider = {
            **self._options,
            "device_id": "0",
            "user_compute_stream": str(stream.handle),
            "enable_cuda_graph": "0",
        }
        options = ort.SessionOptions()
        options.log_severity_level = _NO_LOGS_BELOW
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        # Fixed shapes leave nothing to compute at run time, which the provider would do on the CPU.
        for name, size in _dimensions(part, shapes):
            options.add_free_dimension_override_by_name(name, size)
        with _explained(action):
            try:
                # Without its fallback, which would try the CPU, print a message, and raise another error.
                session = ort.InferenceSession(graph, options, providers=[(PROVIDER, provider)], enable_fallback=0)
            except Exception:
                _check_libraries(action)
                raise
        if session.get_providers()[0] != PROVIDER:
            _check_libraries(action)
            raise EngineError("the provider did not load and gave no reason", action=action, hint="mm-edge doctor")
        return CudaProviderPart(part, session, stream, label)

    def describe(self) -> dict[str, Any]:
        return {"library": f"ONNX Runtime {ort.__version__}", "provider": PROVIDER}


@contextlib.contextmanager
def _explained(action: str) -> Iterator[None]:
    """Its exceptions share no base class and carry CUDA's numbers in their text."""
    try:
        yield
    except MmEdgeError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        if failed := _CUDA_FAILED.search(text):
            raise fault(name_of(int(failed[1])), "ONNX Runtime", action, text) from error
        if _NO_ROOM.search(text):
            raise DeviceMemoryError(text, action=action, hint=FREE_MEMORY) from error
        raise EngineError(text, action=action, hint="mm-edge doctor") from error


def _dimensions(part: Part, shapes: Mapping[str, Dims]) -> set[tuple[str, int]]:
    """The named dimensions of the manifest, with their sizes here."""
    return {
        (name, size)
        for tensor in part.takes
        for name, size in zip(tensor.shape, shapes[tensor.name], strict=True)
        if isinstance(name, str)
    }


def _check_libraries(action: str) -> None:
    """Raises the loader's message about a missing library. Called only after the provider has failed to load: ONNX
    Runtime must be the first to load it.
    """
    import ctypes
    from pathlib import Path

    folder = Path(ort.__file__).parent / "capi"
    try:
        ctypes.CDLL(str(folder / "libonnxruntime_providers_shared.so"), mode=ctypes.RTLD_GLOBAL)
        ctypes.CDLL(str(folder / "libonnxruntime_providers_cuda.so"))
    except OSError as error:
        built = getattr(ort, "cuda_version", "") or "it was built for"
        raise EngineError(
            f"the provider does not load here: {error}",
            action=action,
            hint=f"Install the libraries of CUDA {built} and cuDNN: pip install 'onnxruntime-gpu[cuda,cudnn]'",
        ) from None


def preload() -> None:
    """Loads the CUDA libraries that are installed as packages, where the loader would not look. A missing one is
    reported when the provider loads; here it would only be printed.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        getattr(ort, "preload_dlls", lambda: None)()  # since 1.21


def open_cuda_provider(options: Mapping[str, Any]) -> CudaEngine:
    """`options`: `graphs`, whether CUDA graphs are launched; all others go to the provider."""
    graphs = options.get("graphs", False)
    if not isinstance(graphs, bool):
        raise ConfigError(
            f"graphs must be true or false, not {graphs!r}", action="reading engine.options for the provider"
        )
    device = open_gpu(NAME, "ONNX Runtime's CUDA provider")
    from .engine import CudaEngine

    preload()
    given = {key: str(value) for key, value in options.items() if key != "graphs"}
    return CudaEngine(NAME, device, CudaProviderCompiler(device, given), use_graphs=graphs)

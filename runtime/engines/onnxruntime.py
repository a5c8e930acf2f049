"""ONNX Runtime as an engine: one session per part, with outputs bound to buffers that are made once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mm_edge.errors import ConfigError, EngineError
from mm_edge.onnx_runtime import import_onnxruntime

from .host import HostEngine, HostExecutable, HostSlot, HostTensor
from .tensors import numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from mm_edge.bundle.manifest import Family, Part, Precision
    from mm_edge.spec import TensorSpec

ort = import_onnxruntime()


CPU = "CPUExecutionProvider"
OTHER_PROVIDER_TOLERANCE = 1e-2
_NO_LOGS_BELOW = 3  # errors; its warnings are about graphs, not about runs


class HostValue(HostTensor):
    """A tensor in host memory shared by numpy and ONNX Runtime."""

    __slots__ = ("ortvalue",)

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.array: NDArray[Any] = np.zeros(shape, dtype)
        self.ortvalue = ort.OrtValue.ortvalue_from_numpy(self.array)  # shares the array's memory


class OnnxRuntimeSlot(HostSlot):
    """A binding with its own output buffers; the session is shared and may run several slots at the same time."""

    def __init__(self, session: Any, part: Part, outputs: Mapping[str, HostValue]) -> None:
        self.outputs = outputs
        self._session, self._names = session, [tensor.name for tensor in part.takes]
        self._binding = session.io_binding()
        for name, value in outputs.items():
            self._binding.bind_ortvalue_output(name, value.ortvalue)

    def run(self, inputs: Sequence[Any]) -> None:
        for name, value in zip(self._names, inputs, strict=True):
            self._binding.bind_ortvalue_input(name, value.ortvalue)
        self._session.run_with_iobinding(self._binding)


class OnnxRuntimeExecutable(HostExecutable):
    """One part as a session."""

    def __init__(self, part: Part, precision: Precision, session: Any, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.part, self.precision = part, precision
        self._session, self._shapes = session, shapes

    def slot(self, to_host: Collection[str] = ()) -> OnnxRuntimeSlot:
        del to_host  # all outputs are on the host
        outputs = {tensor.name: self._value(tensor) for tensor in self.part.gives}
        return OnnxRuntimeSlot(self._session, self.part, outputs)

    def _value(self, tensor: TensorSpec) -> HostValue:
        return HostValue(self._shapes[tensor.name], numpy_dtype(tensor.dtype))

    def close(self) -> None:
        del self._session


class OnnxRuntimeEngine(HostEngine):
    """Runs parts on the CPU, or on another provider of ONNX Runtime that is requested by name.

    If a requested provider does not accept the graph, that is an error: ONNX Runtime itself would continue on the CPU.
    """

    name = "onnxruntime"
    family: Family = "cpu"

    def __init__(self, provider: str = CPU, options: Mapping[str, Any] | None = None) -> None:
        action = f"using ONNX Runtime's provider {provider}"
        if provider not in ort.get_available_providers():
            available = ", ".join(ort.get_available_providers())
            raise EngineError(
                f"this ONNX Runtime has only {available}",
                action=action,
                hint="Install the ONNX Runtime package that contains it",
            )
        if provider == CPU and options:
            raise ConfigError(
                f"unknown options: {', '.join(sorted(options))}",
                action="reading engine.options for ONNX Runtime on the CPU",
                hint="It has none; use engine.threads for its threads",
            )
        self.golden_tolerance = None if provider == CPU else OTHER_PROVIDER_TOLERANCE
        self._provider, self._options = provider, {key: str(value) for key, value in (options or {}).items()}
        self._threads: dict[str, int] = {}

    def buffer(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> HostValue:
        return HostValue(shape, dtype)

    def load(
        self, part: Part, precision: Precision, graph: bytes, shapes: Mapping[str, tuple[int, ...]], threads: int
    ) -> OnnxRuntimeExecutable:
        action = f"loading the part '{part.name}' in {precision} with ONNX Runtime"
        try:
            # Without its fallback, which would print why the provider failed and continue on the CPU.
            session = ort.InferenceSession(
                graph,
                self._session_options(threads),
                providers=[(self._provider, self._options)],
                enable_fallback=0,
            )
        except Exception as error:  # its exceptions share no base class
            raise EngineError(f"{error}", action=action, hint="mm-edge verify BUNDLE; mm-edge doctor") from error
        if session.get_providers()[0] != self._provider:
            raise EngineError(
                f"{self._provider} did not accept it; ONNX Runtime would use {session.get_providers()[0]}",
                action=action,
                hint="mm-edge doctor",
            )
        self._threads[part.name] = threads
        return OnnxRuntimeExecutable(part, precision, session, shapes)

    def _session_options(self, threads: int) -> Any:
        options = ort.SessionOptions()
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        # Set, because the default counts all cores of the machine, not those that a container may use.
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _NO_LOGS_BELOW
        # A thread that spins while nothing runs occupies a core that another worker could use. Within a run helper
        # threads must spin: waking them takes as long as most steps (docs/decisions/0035).
        options.add_session_config_entry("session.intra_op.allow_spinning", "1" if threads > 1 else "0")
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        if self._provider != CPU:
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        return options

    def describe(self) -> dict[str, Any]:
        return {
            "engine": self.name,
            "version": ort.__version__,
            "provider": self._provider,
            "threads": dict(self._threads),
        }

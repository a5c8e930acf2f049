"""OpenVINO as a second engine for the CPU (extra `openvino`): in float32, or in bfloat16 on request.

OpenVINO uses bfloat16 by default on processors that support it, which changes the outputs by about 1 % of the maximum.
Here it is an option (`--set engine.options.precision="bf16"`), which is an error if the processor does not support it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import openvino
from openvino import properties
from openvino.properties import hint

from mm_edge.errors import ConfigError, EngineError

from .host import HostEngine, HostExecutable, HostSlot, HostTensor
from .tensors import numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from mm_edge.bundle.manifest import Family, Part, Precision

DEVICE = "CPU"
PRECISIONS = {"f32": openvino.Type.f32, "bf16": openvino.Type.bf16}
TOLERANCES = {"f32": 1e-3, "bf16": 5e-2}
STREAMS = 2  # parallel runs of one part: the usual number of moments in flight


def computes_in_bf16() -> bool:
    """Whether this processor has instructions for it."""
    return "BF16" in openvino.Core().get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")


class SharedTensor(HostTensor):
    """A tensor in host memory shared by numpy and OpenVINO."""

    __slots__ = ("tensor",)

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.array: NDArray[Any] = np.zeros(shape, dtype)
        self.tensor = openvino.Tensor(self.array, shared_memory=True)


class OpenVinoSlot(HostSlot):
    """An inference request with its own output buffers."""

    def __init__(self, request: Any, part: Part, outputs: Mapping[str, SharedTensor]) -> None:
        self.outputs = outputs
        self._request, self._names = request, [tensor.name for tensor in part.takes]
        for name, value in outputs.items():
            request.set_tensor(name, value.tensor)

    def run(self, inputs: Sequence[Any]) -> None:
        for name, value in zip(self._names, inputs, strict=True):
            self._request.set_tensor(name, value.tensor)
        self._request.infer()


class OpenVinoExecutable(HostExecutable):
    """One part, compiled."""

    def __init__(self, part: Part, precision: Precision, compiled: Any, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.part, self.precision = part, precision
        self._compiled, self._shapes = compiled, shapes

    def slot(self, to_host: Collection[str] = ()) -> OpenVinoSlot:
        del to_host  # all outputs are on the host
        outputs = {t.name: SharedTensor(self._shapes[t.name], numpy_dtype(t.dtype)) for t in self.part.gives}
        return OpenVinoSlot(self._compiled.create_infer_request(), self.part, outputs)

    def close(self) -> None:
        del self._compiled


class OpenVinoEngine(HostEngine):
    """`options`: `precision` is f32 or bf16; `streams` is the number of parallel runs of one part."""

    name = "openvino"
    family: Family = "cpu"

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._core = openvino.Core()
        self._precision = str(options.get("precision", "f32"))
        self._streams = int(options.get("streams", STREAMS))
        self.golden_tolerance = TOLERANCES.get(self._precision)
        self._threads: dict[str, int] = {}
        if unknown := set(options) - {"precision", "streams"}:
            raise ConfigError(
                f"unknown options: {', '.join(sorted(unknown))}",
                action="reading engine.options for OpenVINO",
                hint="Valid options: precision, streams",
            )
        if self._precision not in PRECISIONS:
            raise ConfigError(
                f"it must be {' or '.join(PRECISIONS)}, not {self._precision!r}",
                action="reading engine.options.precision for OpenVINO",
            )
        supported = self._core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")
        if self._precision == "bf16" and "BF16" not in supported:
            raise EngineError(
                f"this processor supports {', '.join(supported)}",
                action="running OpenVINO in bf16",
                hint='Use --set engine.options.precision="f32"',
            )

    def buffer(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> SharedTensor:
        return SharedTensor(shape, dtype)

    def load(
        self, part: Part, precision: Precision, graph: bytes, shapes: Mapping[str, tuple[int, ...]], threads: int
    ) -> OpenVinoExecutable:
        try:
            model = self._core.read_model(graph)
            model.reshape({tensor.name: list(shapes[tensor.name]) for tensor in part.takes})
            compiled = self._core.compile_model(model, DEVICE, self._settings(threads))
        except RuntimeError as error:
            raise EngineError(
                str(error).strip().splitlines()[-1].rstrip("."),  # the lines before it name source files of OpenVINO
                action=f"loading the part '{part.name}' in {precision} with OpenVINO",
                hint="mm-edge verify BUNDLE; --engine onnxruntime runs every bundle",
            ) from error
        self._threads[part.name] = threads
        return OpenVinoExecutable(part, precision, compiled, shapes)

    def _settings(self, threads: int) -> dict[Any, Any]:
        return {
            hint.inference_precision(): PRECISIONS[self._precision],
            properties.num_streams(): self._streams,
            properties.inference_num_threads(): threads * self._streams,
            # Parts share the cores: a thread pinned to a busy core would wait while another one is idle.
            hint.enable_cpu_pinning(): False,
        }

    def describe(self) -> dict[str, Any]:
        return {
            "engine": self.name,
            "version": openvino.__version__,
            "device": self._core.get_property(DEVICE, "FULL_DEVICE_NAME"),
            "compute": self._precision,
            "threads": dict(self._threads),
        }

"""A loaded engine and its execution contexts. The result of every call that can fail is checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mm_edge.errors import EngineError, WorkFailedError
from mm_edge.runtime.engine import DeviceMemoryError
from mm_edge.runtime.engines.cuda.faults import FREE_MEMORY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .library import Library
    from .names import ICudaEngine, IExecutionContext, Runtime
    from .order import Dims, Order


class TensorRtContext:
    """What one slot runs. It is bound to addresses once; `enqueue` then only enqueues work on a stream."""

    def __init__(self, library: Library, engine: ICudaEngine, context: IExecutionContext, label: str) -> None:
        self._library, self._label = library, label
        self._engine: ICudaEngine = engine  # which must live as long as its context
        self._context: IExecutionContext = context

    def bind(self, shapes: Mapping[str, Dims], addresses: Mapping[str, int]) -> None:
        """`shapes` of the inputs and the outputs, `addresses` of device memory that holds them."""
        mark, action = self._library.errors.mark(), f"binding {self._label}"
        for number in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(number)
            shape = shapes[name]
            if self._is_input(name):
                self._check_profile(name, shape, action)
                if not self._context.set_input_shape(name, shape):
                    raise EngineError(f"'{name}' of {list(shape)} was refused: {self._why(mark)}", action=action)
            if not self._context.set_tensor_address(name, addresses[name]):
                raise EngineError(f"the address of '{name}' was refused: {self._why(mark)}", action=action)
        if unknown := self._context.infer_shapes():
            raise EngineError(f"the shapes of {', '.join(unknown)} cannot be inferred", action=action)
        for number in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(number)
            found = tuple(self._context.get_tensor_shape(name))
            if found != tuple(shapes[name]):
                raise EngineError(
                    f"'{name}' has the shape {list(found)}, expected is {list(shapes[name])} of the manifest",
                    action=action,
                    hint="Export the bundle again",
                )

    def enqueue(self, stream: int) -> None:
        """Enqueues one run on a stream, given by its handle. It returns before anything is computed."""
        mark = self._library.errors.mark()
        if not self._context.execute_async_v3(stream):
            raise EngineError(f"it was not enqueued: {self._why(mark)}", action=f"running {self._label}")

    def _is_input(self, name: str) -> bool:
        trt = self._library.trt
        return bool(self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT)

    def _check_profile(self, name: str, shape: Dims, action: str) -> None:
        least, _, most = (tuple(dims) for dims in self._engine.get_tensor_profile_shape(name, 0))
        if len(shape) != len(least) or not all(
            low <= dim <= high for low, dim, high in zip(least, shape, most, strict=True)
        ):
            wanted = f"{list(least)}" if least == most else f"{list(least)} to {list(most)}"
            raise EngineError(
                f"the input '{name}' has the shape {list(shape)}, the engine was built for {wanted}",
                action=action,
                hint="mm-edge build BUNDLE",
            )

    def _why(self, mark: int) -> str:
        return self._library.errors.since(mark)


class TensorRtCompiled:
    """One part as an engine on this GPU."""

    stream = None
    host_work_once = False
    runs_until_steady = 1  # which loads kernels

    def __init__(self, library: Library, runtime: Runtime, engine: ICudaEngine, label: str) -> None:
        self.label, self._library = label, library
        self._runtime: Runtime = runtime  # which must live as long as its engines
        self.engine: ICudaEngine = engine

    @property
    def context_bytes(self) -> int:
        """Device memory of each context."""
        return int(self.engine.device_memory_size_v2)

    def context(self) -> TensorRtContext:
        mark = self._library.errors.mark()
        context: IExecutionContext = self.engine.create_execution_context()
        if context is None:
            raise DeviceMemoryError(
                self._library.errors.since(mark),
                action=f"making a context of {self.context_bytes >> 20} MiB for {self.label}",
                hint=f"There may be too little device memory. {FREE_MEMORY}",
            )
        return TensorRtContext(self._library, self.engine, context, self.label)


def load_engine(library: Library, content: bytes, order: Order) -> TensorRtCompiled:
    """Loads bytes with a verified digest: an engine is code. Raises a WorkFailedError if they do not load."""
    trt, action = library.trt, f"loading {order.label} with {library.title}"
    runtime: Runtime = library.runtime()
    mark = library.errors.mark()
    engine: ICudaEngine = runtime.deserialize_cuda_engine(content)
    if engine is None:
        raise WorkFailedError(
            library.errors.since(mark),
            action=action,
            hint="mm-edge doctor shows whether it is compatible with the driver",
        )
    for number in range(engine.num_io_tensors):
        name = engine.get_tensor_name(number)
        if engine.get_tensor_location(name) != trt.TensorLocation.DEVICE:
            raise WorkFailedError(
                f"'{name}' must be in host memory", action=action, hint="Run it with --engine onnxruntime"
            )
    return TensorRtCompiled(library, runtime, engine, order.label)

"""An engine that runs Python functions instead of graphs, to test programs that use mm-edge without a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .host import HostEngine, HostExecutable, HostSlot, HostTensor
from .tensors import numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from mm_edge.bundle.manifest import Family, Part, Precision

    Function = Callable[..., Mapping[str, Any]]


class StubValue(HostTensor):
    """A tensor in host memory."""

    __slots__ = ()

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.array: NDArray[Any] = np.zeros(shape, dtype)


class StubSlot(HostSlot):
    """Calls the part's function with its inputs by name and copies the results into the output buffers."""

    def __init__(self, part: Part, function: Function | None, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.outputs = {tensor.name: StubValue(shapes[tensor.name], numpy_dtype(tensor.dtype)) for tensor in part.gives}
        self._names, self._function = [tensor.name for tensor in part.takes], function

    def run(self, inputs: Sequence[Any]) -> None:
        if self._function is None:
            return
        given = self._function(**{name: value.host() for name, value in zip(self._names, inputs, strict=True)})
        for name, array in given.items():
            np.copyto(self.outputs[name].array, array)


class StubExecutable(HostExecutable):
    """One part. Without a function its outputs stay zero."""

    def __init__(
        self, part: Part, precision: Precision, function: Function | None, shapes: Mapping[str, tuple[int, ...]]
    ) -> None:
        self.part, self.precision = part, precision
        self._function, self._shapes = function, shapes

    def slot(self, to_host: Collection[str] = ()) -> StubSlot:
        del to_host  # all outputs are on the host
        return StubSlot(self.part, self._function, self._shapes)


class StubEngine(HostEngine):
    """`functions`: by part, from input arrays by name to output arrays by name. Their exceptions are the
    part's.
    """

    name = "stub"
    golden_tolerance = None

    def __init__(self, functions: Mapping[str, Function] | None = None, family: Family = "cpu") -> None:
        self.family = family
        self._functions = dict(functions or {})

    def buffer(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> StubValue:
        return StubValue(shape, dtype)

    def load(
        self, part: Part, precision: Precision, graph: bytes, shapes: Mapping[str, tuple[int, ...]], threads: int
    ) -> StubExecutable:
        del graph, threads
        return StubExecutable(part, precision, self._functions.get(part.name), shapes)

    def describe(self) -> dict[str, Any]:
        return {"engine": self.name, "note": "no model runs: the outputs come from Python functions"}

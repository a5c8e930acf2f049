"""A bundle's graphs alone: the floor of everything that runs them."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from mm_edge.runtime.engines.tensors import fixed_shapes, numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mm_edge.bundle.bundle import Bundle
    from mm_edge.bundle.manifest import Part, Precision
    from mm_edge.runtime.engine import Engine


class BareParts:
    """The parts on the measured engine in sequence, with random inputs of the right shapes."""

    def __init__(self, bundle: Bundle, engine: Engine, precisions: Mapping[str, Precision], threads: int = 1) -> None:
        parts = bundle.manifest.parts
        self.runs = {part.name: bare_run(bundle, engine, part, precisions[part.name], threads) for part in parts}

    def __call__(self) -> None:
        for run in self.runs.values():
            run()


def bare_run(bundle: Bundle, engine: Engine, part: Part, precision: Precision, threads: int = 1) -> Callable[[], None]:
    """One part in one precision, loaded: each call runs the graph once and waits for its result."""
    shapes = fixed_shapes(bundle.manifest, part)
    slot = engine.load(part, precision, bundle.read(part.artefacts[precision].file), shapes, threads).slot()
    inputs = []
    for tensor in part.takes:
        buffer = engine.buffer(shapes[tensor.name], numpy_dtype(tensor.dtype))
        buffer.array[...] = numbers(shapes[tensor.name], numpy_dtype(tensor.dtype))
        inputs.append(buffer)
    outputs = list(slot.outputs.values())

    def run() -> None:
        slot.run(inputs)
        for value in outputs:
            value.host()  # waits for the device

    return run


def side_by_side(works: list[Callable[[], object]], seconds: float) -> float:
    """Calls per second of all functions together, each in its own thread."""
    counts = [0] * len(works)
    go = threading.Barrier(len(works))

    def work(index: int) -> None:
        go.wait()
        until_s = time.perf_counter() + seconds
        while time.perf_counter() < until_s:
            works[index]()
            counts[index] += 1

    workers = [threading.Thread(target=work, args=(index,)) for index in range(len(works))]
    began_s = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) / (time.perf_counter() - began_s)


def numbers(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """Input values of a part; the same every time."""
    generator = np.random.default_rng(0)
    if np.issubdtype(dtype, np.floating):
        return generator.random(shape)
    return generator.integers(0, 2 if dtype != np.uint8 else 256, shape)

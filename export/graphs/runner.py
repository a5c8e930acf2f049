"""Runs ONNX graphs on ONNX Runtime's CPU provider, the reference engine of the export, and times them."""

from __future__ import annotations

import logging
import tempfile
import time
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import onnx
from onnx import ModelProto, helper

from mm_edge.cores import usable_cores
from mm_edge.errors import WorkFailedError
from mm_edge.onnx_runtime import import_onnxruntime

from .fp16 import as_rounded
from .graph import GraphIndex, name_nodes, typed
from .weights import WEIGHTS, array_of, is_aside, load, put_aside

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mm_edge.bundle.manifest import Precision
    from mm_edge.export.feeds import Array, Feed


WARM_UP_RUNS, LEAST_RUNS = 1, 4
ALL_CORES = usable_cores()  # for runs that are not timed
Level: TypeAlias = Literal["all", "basic", "none"]
LOG = logging.getLogger("mm_edge.export")
STANDARD_DOMAINS = {"", "ai.onnx"}


def open_artefact(path: Path, precision: Precision, *, threads: int = 1) -> Runner:
    """Opens an artefact; one for a GPU gets the fp16 rounding that ONNX Runtime omits on a CPU."""
    if precision not in {"fp16", "int8-trt"}:
        return Runner(path, threads=threads)
    return Runner(as_rounded(put_aside(load(path), path.parent / WEIGHTS)), threads=threads)


class Runner:
    """One graph, ready to run. `threads` is explicit: the library's default ignores the CPU limit of a container.

    `optimized`: where to write what the engine's optimizer made of it.
    """

    def __init__(
        self,
        model: Path | bytes | ModelProto,
        *,
        threads: int = 1,
        optimize: Level = "all",
        optimized: Path | None = None,
    ) -> None:
        ort = import_onnxruntime()

        self.threads = threads
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        levels = ort.GraphOptimizationLevel
        options.graph_optimization_level = {
            "all": levels.ORT_ENABLE_ALL,
            "basic": levels.ORT_ENABLE_BASIC,
            "none": levels.ORT_DISABLE_ALL,
        }[optimize]
        if optimized is not None:
            options.optimized_model_filepath = str(optimized)
        content: str | bytes
        self._weights: dict[str, Array] = {}  # the session reads the mapped files
        if isinstance(model, bytes):
            content = model
        elif isinstance(model, ModelProto):
            content = model.SerializeToString()
            self._weights = {item.name: array_of(item) for item in model.graph.initializer if is_aside(item)}
        else:
            content = str(model)
        if self._weights:
            values = [ort.OrtValue.ortvalue_from_numpy(array) for array in self._weights.values()]
            options.add_external_initializers(list(self._weights), values)
        try:
            self.session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the library's exceptions share no base class
            raise WorkFailedError(_first_line(error), action="loading a graph into ONNX Runtime") from error
        self.inputs = [item.name for item in self.session.get_inputs()]
        self.outputs = [item.name for item in self.session.get_outputs()]

    def __call__(self, feed: Feed) -> Feed:
        """Runs once; ignores inputs that the graph does not have."""
        try:
            values = self.session.run(None, {name: feed[name] for name in self.inputs})
        except KeyError:
            raise
        except Exception as error:
            raise WorkFailedError(_first_line(error), action="running a graph on ONNX Runtime") from error
        return dict(zip(self.outputs, values, strict=True))


def run_all(runner: Runner, feeds: Iterable[Feed]) -> list[Feed]:
    """The outputs for each feed. The runner is released on return unless the caller keeps a reference."""
    return [runner(feed) for feed in feeds]


def race(runners: Mapping[str, Runner], feed: Feed, budget_s: float = 0.5, most: int = 60) -> dict[str, float]:
    """Median milliseconds of each on one feed. They take turns, so that other load slows all of them equally."""
    for runner in runners.values():
        for _ in range(WARM_UP_RUNS):
            runner(feed)
    times: dict[str, list[float]] = {name: [] for name in runners}
    end = time.perf_counter() + budget_s * len(runners)
    for turn in range(most):
        if turn >= LEAST_RUNS and time.perf_counter() > end:
            break
        for name, runner in runners.items():
            # With one thread the graph runs in this one, and its CPU time excludes the time that other programs took.
            clock = time.thread_time if runner.threads == 1 else time.perf_counter
            start = clock()
            runner(feed)
            times[name].append((clock() - start) * 1e3)
    return {name: float(np.median(values)) for name, values in times.items()}


@dataclass(frozen=True)
class Value:
    """Shape and type of a value in one run."""

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]

    @property
    def size_bytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize


def expose(model: ModelProto, names: Iterable[str]) -> ModelProto:
    """The same graph with these values as its only outputs. The engine infers their types."""
    shown = ModelProto()
    shown.CopyFrom(model)
    del shown.graph.output[:]
    shown.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    return shown


def intermediate_values(model: ModelProto, feed: Feed, names: Iterable[str] | None = None) -> dict[str, Array]:
    """The values of one run. Without `names`, all of them, which are then in memory at the same time."""
    index = GraphIndex(model.graph)
    wanted = list(index.producer if names is None else names)
    known = set(index.producer)
    return Runner(expose(model, [name for name in wanted if name in known]), threads=ALL_CORES, optimize="none")(feed)


def measure_values(model: ModelProto, feed: Feed, names: Iterable[str] | None = None) -> dict[str, Value]:
    """Shape and type of every value in one run on `feed`, inputs and weights included."""
    index = GraphIndex(model.graph)
    found = {name: Value(array.shape, array.dtype) for name, array in intermediate_values(model, feed, names).items()}
    for name, array in feed.items():
        found[name] = Value(array.shape, array.dtype)
    for name, tensor in index.initializers.items():
        found[name] = Value(tuple(tensor.dims), helper.tensor_dtype_to_np_dtype(tensor.data_type))
    return found


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def base_graph(model: ModelProto, weights: Path | None = None) -> ModelProto:
    """The graph after ONNX Runtime's basic optimizations. It has standard operators only, for every engine.

    Batch norms are folded into convolutions here, because later Q/DQ pairs would prevent it.

    Large weights are put aside in the folder `weights`.
    """
    with tempfile.TemporaryDirectory(prefix="mm-edge-base-") as folder:
        path = Path(folder) / "base.onnx"
        Runner(model, optimize="basic", optimized=path)
        optimized = onnx.load(str(path))
    if any(node.domain not in STANDARD_DOMAINS for node in optimized.graph.node):
        LOG.debug("the optimizer used operators of its own; the graph is taken as it was")
        optimized = ModelProto()
        optimized.CopyFrom(model)
    del optimized.opset_import[:]
    optimized.opset_import.extend(item for item in model.opset_import if item.domain in STANDARD_DOMAINS)
    name_nodes(optimized)
    return typed(optimized if weights is None else put_aside(optimized, weights))

"""Would pictures of several cameras in one run of a part be cheaper than a run each? By the process's CPU time and by
results a second, with a thread on every core, as the loop has: python -m … prints JSON.
"""

from __future__ import annotations

import json
import statistics
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from mm_edge.benchmarks.models.vision import vision_bundle
from mm_edge.bundle.bundle import Bundle
from mm_edge.cores import usable_cores
from mm_edge.onnx_runtime import import_onnxruntime
from mm_edge.runtime.process import cpu_seconds
from mm_edge.shipped import default_bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

BATCHES = (1, 2, 4)
ROUNDS, TURN_S = 12, 0.5
PARTS = {"MobileNetV3-Large 224": (vision_bundle, "fuse"), "scout's image encoder": (default_bundle, "encode_image")}


def batching() -> list[dict[str, Any]]:
    """By part and engine: CPU ms and results a second of each batch, and what a batch of four gains."""
    found = []
    for name, (bundle_path, part) in PARTS.items():
        graph, shape = _graph(bundle_path(), part)
        for engine, make in (("onnxruntime", _onnxruntime), ("openvino", _openvino)):
            try:
                calls = {batch: [make(graph, (batch, *shape)) for _ in range(usable_cores())] for batch in BATCHES}
            except ModuleNotFoundError:
                continue  # OpenVINO is optional, and the result says which engines it has
            found.append({"part": name, "engine": engine, **_measured(calls)})
    return found


def _graph(path: Path, part: str) -> tuple[bytes, tuple[int, ...]]:
    """The fp32 graph of a part that takes pictures, and the shape of one."""
    with Bundle.open(path) as bundle:
        found = bundle.manifest.part(part)
        return bundle.read(found.artefacts["fp32"].file), bundle.manifest.fixed(found.takes[0].shape)[1:]


def _measured(calls: dict[int, list[Callable[[], object]]]) -> dict[str, Any]:
    turns: dict[int, list[tuple[float, float]]] = {batch: [] for batch in calls}
    for each in calls.values():
        for call in each:
            call()  # in this thread: two first calls at once can block each other forever in OpenVINO's binding
    for batch in _in_turn(calls):
        turns[batch].append(_saturated(calls[batch], batch))
    cpu_ms, rate = (
        {batch: statistics.median(turn[k] for turn in done) for batch, done in turns.items()} for k in (0, 1)
    )
    most = max(BATCHES)
    return {
        "cpu_ms_a_result": {str(batch): ms for batch, ms in cpu_ms.items()},
        "results_a_second": {str(batch): each for batch, each in rate.items()},
        "cpu_gain": 1 - cpu_ms[most] / cpu_ms[1],
        "rate_gain": rate[most] / rate[1] - 1,
    }


def _in_turn(batches: Sequence[int] | dict[int, Any]) -> Iterator[int]:
    for _ in range(ROUNDS + 1):  # the first round warms up, and a median does not notice it
        yield from batches


def _saturated(calls: list[Callable[[], object]], batch: int) -> tuple[float, float]:
    """CPU ms a result and results a second, with a thread for each of the calls."""
    counts = [0] * len(calls)
    until_s = time.monotonic() + TURN_S

    def work(number: int) -> None:
        while time.monotonic() < until_s:
            calls[number]()
            counts[number] += batch

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(calls))]
    began_s, before_s = time.monotonic(), cpu_seconds()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return (cpu_seconds() - before_s) * 1000 / sum(counts), sum(counts) / (time.monotonic() - began_s)


def _pictures(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 255, shape, np.uint8)


def _onnxruntime(graph: bytes, shape: tuple[int, ...]) -> Callable[[], object]:
    onnxruntime = import_onnxruntime()

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    inputs = {session.get_inputs()[0].name: _pictures(shape)}
    return lambda: session.run(None, inputs)


def _openvino(graph: bytes, shape: tuple[int, ...]) -> Callable[[], object]:
    import openvino

    model = openvino.Core().read_model(graph)
    model.reshape({model.inputs[0]: list(shape)})
    settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    inputs = {0: _pictures(shape)}
    return lambda: request.infer(inputs)


if __name__ == "__main__":
    print(json.dumps(batching()))

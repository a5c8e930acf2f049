"""Cost of the front end of a foreign ONNX graph, from the prepared picture to the first convolution and to the result.

python -m mm_edge.benchmarks.studies.export.front_end [--rounds 40] [--json FILE]

Compared: OpenCV's blobFromImage before the original graph; the arithmetic before the Transpose, as the exporter wrote
it earlier; what it writes now. Then int8 of the same graph, with and without the normalization folded into the first
convolution. The weights are random, because only the shapes matter for the time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mm_edge.benchmarks.bench.interval import order_interval
from mm_edge.benchmarks.bench.machine import Watch, machine
from mm_edge.export.feeds import random_feed
from mm_edge.export.graphs.folded_front_end import fold_front_ends, keep_uint8
from mm_edge.export.graphs.graph import OPSET, drop_unused
from mm_edge.export.graphs.runner import Runner, base_graph, expose
from mm_edge.export.pipeline import load_source
from mm_edge.export.precision.int8 import FORMS, calibrate, to_int8_cpu, with_pixels
from mm_edge.export.recipe import Recipe
from mm_edge.export.split.partition import split_model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from onnx import ModelProto

    from mm_edge.export.feeds import Array, Feed

    Run = Callable[[], Feed]

RESULTS = Path("benchmarks/results/export_front_end.json")
SIDE, CLASSES = 224, 1000
MEAN, STD, LEVELS = (0.485, 0.456, 0.406), 0.226, 255.0  # one deviation: blobFromImage takes no more
ROUNDS, RUNS, SAMPLES = 40, 10, 8
BLOB, BEFORE, NOW = "blobFromImage, original graph", "arithmetic, then Transpose", "Transpose, then arithmetic"
UNFOLDED, FOLDED = "int8", "int8, folded"
SPEC = f"""
[model]
name = "foreign"
[[model.inputs]]
modality = "image"
name = "image"
prepare = {{ size = [{SIDE}, {SIDE}] }}
[[model.outputs]]
kind = "embedding"
name = "features"
reads = {{ values = "logits" }}
[model.sync]
driver = "image"
[front_end.image]
mean = {list(MEAN)}
std = {[STD] * 3}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=Path, default=RESULTS)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    watch, models = Watch(), {}
    for name, network in NETWORKS.items():
        models[name] = measure(network(), given.rounds)
        print(name, json.dumps({key: value for key, value in models[name].items() if key != "rounds"}, indent=1))
    found = {
        "machine": msgspec.to_builtins(machine(watch.conditions())),
        "rounds": given.rounds,
        "runs_a_round": RUNS,
        "models": models,
    }
    given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def measure(network: Any, rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "foreign.onnx"
        save_float_graph(network, path)
        original = onnx.load(path)
        (path.parent / "spec.toml").write_text(SPEC, encoding="utf-8")
        source = load_source(str(path), Recipe(spec=str(path.parent / "spec.toml")))
    now = split_model(source, Recipe()).parts[0].graph
    feeds = [random_feed(source.spec, seed) for seed in range(SAMPLES)]
    first = next(node for node in original.graph.node if node.op_type == "Conv").output[0]
    graphs = {BLOB: original, BEFORE: arithmetic_first(original), NOW: now}
    whole = {name: runs_of(graph, feeds[0], blob=name == BLOB) for name, graph in graphs.items()}
    start = {name: runs_of(up_to(graph, first), feeds[0], blob=name == BLOB) for name, graph in graphs.items()}
    folded = runs_of(up_to(fold_front_ends(base_graph(now)).graph, first), feeds[0], blob=False)
    int8 = int8_forms(now, feeds)
    return {
        "to the first convolution": timed(start, rounds, BLOB),
        "whole": timed(whole, rounds, BLOB),
        "int8": {form: timed(each, rounds, UNFOLDED) for form, each in int8.items()},
        "error": {
            "same_bits_as_before": same_bits(graphs, feeds),
            "first_convolution_relative_to_blob": error(start[NOW](), start[BLOB]()),
            "first_convolution_folded_in_fp32": error(folded(), start[NOW]()),
            "int8": {form: {name: error(run(), whole[NOW]()) for name, run in e.items()} for form, e in int8.items()},
        },
    }


def save_float_graph(network: Any, path: Path) -> None:
    """The network without a front end: float pictures, channels first, in batches of any size."""
    import torch

    torch.onnx.export(
        network,
        (torch.rand(2, 3, SIDE, SIDE),),
        str(path),
        input_names=["image"],
        output_names=["logits"],
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        opset_version=OPSET,
        external_data=False,
        verbose=False,
    )


def arithmetic_first(original: ModelProto) -> ModelProto:
    """The front end as it was: Cast, / 255, - mean, / deviation, and then Transpose."""
    graph = onnx.ModelProto()
    graph.CopyFrom(original)
    nodes = [helper.make_node("Cast", ["picture"], ["front_end:cast"], to=TensorProto.FLOAT)]
    for number, (kind, values) in enumerate((("Div", LEVELS), ("Sub", MEAN), ("Div", [STD] * 3))):
        constant = numpy_helper.from_array(np.array(values, np.float32), f"front_end:constant_{number}")
        graph.graph.initializer.append(constant)
        nodes.append(helper.make_node(kind, [nodes[-1].output[0], constant.name], [f"front_end:{number}"]))
    nodes.append(helper.make_node("Transpose", [nodes[-1].output[0]], ["image"], perm=[0, 3, 1, 2]))
    rest = list(graph.graph.node)
    del graph.graph.node[:]
    graph.graph.node.extend([*nodes, *rest])
    graph.graph.input[0].CopyFrom(helper.make_tensor_value_info("picture", TensorProto.UINT8, ["batch", SIDE, SIDE, 3]))
    return graph


def up_to(graph: ModelProto, value: str) -> ModelProto:
    cut = expose(graph, [value])
    drop_unused(cut)
    return cut


def runs_of(graph: ModelProto, feed: Feed, *, blob: bool) -> Run:
    runner = Runner(graph)
    (name,) = runner.inputs
    picture = feed["image"]
    return (lambda: runner({name: blob_of(picture[0])})) if blob else (lambda: runner({name: picture}))


def blob_of(picture: Array) -> Array:
    mean = [LEVELS * value for value in MEAN]
    return np.asarray(cv2.dnn.blobFromImage(picture, 1 / (LEVELS * STD), (SIDE, SIDE), mean, swapRB=False))


def int8_forms(graph: ModelProto, feeds: list[Feed]) -> dict[str, dict[str, Run]]:
    base = base_graph(graph)
    ranges, folded = calibrate(base, feeds, "minmax"), fold_front_ends(base)
    pixels = with_pixels(ranges, folded.pixels)
    return {
        form: {
            UNFOLDED: runs_of(to_int8_cpu(base, ranges, form=form), feeds[0], blob=False),
            FOLDED: runs_of(
                keep_uint8(to_int8_cpu(folded.graph, pixels, folded.nodes, form=form), folded), feeds[0], blob=False
            ),
        }
        for form in FORMS
    }


def timed(runs: Mapping[str, Run], rounds: int, base: str) -> dict[str, dict[str, Any]]:
    """CPU time of one thread: median of the rounds, and the difference to `base` within the rounds with its 90 %
    interval. All take turns in every round, so that other load slows all of them.
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        turns: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(RUNS):
            for name, run in runs.items():
                start = time.thread_time()
                run()
                turns[name].append((time.thread_time() - start) * 1e3)
        for name, values in turns.items():
            times[name].append(statistics.median(values))
    found: dict[str, dict[str, Any]] = {}
    for name, values in times.items():
        above = [value - floor for value, floor in zip(values, times[base], strict=True)]
        found[name] = {
            "ms": round(statistics.median(values), 4),
            "above_ms": round(statistics.median(above), 4),
            "above_ms_90": [round(edge, 4) for edge in order_interval(above, 50)],
            "rounds_ms": [round(value, 4) for value in values],
        }
    return found


def same_bits(graphs: Mapping[str, ModelProto], feeds: list[Feed]) -> bool:
    """Whether the front end gives the same bits as before, without the optimizer of the engine."""
    before, now = (Runner(graphs[name], optimize="none") for name in (BEFORE, NOW))
    given = ((feed["image"], feed) for feed in feeds)
    return all(np.array_equal(before({"picture": image})["logits"], now(feed)["logits"]) for image, feed in given)


def error(got: Feed, wanted: Feed) -> float:
    """The norm of the difference over that of the output."""
    (a,), (b,) = got.values(), wanted.values()
    return float(np.linalg.norm(a.astype(np.float64) - b) / np.linalg.norm(b.astype(np.float64)))


def mobilenet_v3() -> Any:
    """MobileNetV3-Large of the zoo, without the zoo's front end."""
    import torch

    from mm_edge.zoo.encoders.mobilenet import mobilenet_v3_large

    torch.manual_seed(0)
    whole = mobilenet_v3_large(CLASSES)

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.classify = whole.body, whole.to_embedding

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.classify(self.body(image).mean((2, 3)))
            return logits

    return settled(Network())


def mobilenet_v2() -> Any:
    """MobileNetV2 of transformers."""
    import torch
    from transformers import MobileNetV2Config, MobileNetV2ForImageClassification

    torch.manual_seed(0)
    config: Any = MobileNetV2Config
    whole: Any = MobileNetV2ForImageClassification(config(num_labels=CLASSES, tf_padding=False))

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.whole = whole

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.whole(pixel_values=image).logits
            return logits

    return settled(Network())


def settled(network: Any) -> Any:
    """With the batch statistics of a few pictures: with the initial ones the values of a deep network vanish."""
    import torch

    random = torch.Generator().manual_seed(0)
    network.train()
    with torch.no_grad():
        for _ in range(4):
            network(torch.randn(4, 3, SIDE, SIDE, generator=random))
    return network.eval()


NETWORKS: dict[str, Callable[[], Any]] = {
    "MobileNetV3-Large, 224 x 224": mobilenet_v3,
    "MobileNetV2, 224 x 224": mobilenet_v2,
}

if __name__ == "__main__":
    main()

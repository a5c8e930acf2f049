"""Adds the held-out figures of a bundle in each precision to the model's report.

python -m mm_edge.zoo.evaluate_bundle NAME BUNDLE

The figures are those of the bundle's parts in their chain, not of the model in torch.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mm_edge import zoo
from mm_edge.bundle.bundle import Bundle
from mm_edge.zoo.catalog import entry

if TYPE_CHECKING:
    import numpy.typing as npt

    from mm_edge.zoo.arrays import Feeds, Predict

BATCH = 50
SAMPLES = 1000
WANTED = {"fp32": ("fp32",), "int8": ("int8-cpu", "fp32")}  # the runtime's order of preference


def chained(bundle: Bundle, precision: str) -> Predict:
    """The bundle's parts in sequence on the CPU, as a function from feeds to outputs by name."""
    import numpy as np

    from mm_edge.onnx_runtime import import_onnxruntime

    ort = import_onnxruntime()

    manifest = bundle.manifest
    sessions = {}
    for part in manifest.parts:
        artefact = next(part.artefacts[one] for one in WANTED[precision] if one in part.artefacts)
        sessions[part.name] = ort.InferenceSession(bundle.read(artefact.file), providers=["CPUExecutionProvider"])

    def once(feeds: Feeds) -> dict[str, npt.NDArray[Any]]:
        made = {"presence" if name == "presence" else f"input:{name}": value for name, value in feeds.items()}
        for part in manifest.parts:
            names = [tensor.name for tensor in part.gives]
            values = sessions[part.name].run(names, {name: made[read.source] for name, read in part.reads.items()})
            made |= {f"part:{part.name}.{name}": value for name, value in zip(names, values, strict=True)}
        read = {source for output in manifest.outputs for source in output.reads.values()}
        return {source.rpartition(".")[2]: np.asarray(made[source]) for source in read}

    def predict(feeds: Feeds) -> dict[str, npt.NDArray[Any]]:
        count = len(next(iter(feeds.values())))
        pieces = [
            once({name: value[start : start + BATCH] for name, value in feeds.items()})
            for start in range(0, count, BATCH)
        ]
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}

    return predict


def evaluate_bundle(name: str, path: Path, samples: int = SAMPLES) -> dict[str, dict[str, float]]:
    with Bundle.open(path) as bundle:
        return {precision: zoo.evaluate(name, chained(bundle, precision), samples=samples) for precision in WANTED}


if __name__ == "__main__":
    model, bundle_path = sys.argv[1], Path(sys.argv[2])
    report_path = entry(model).weights.with_suffix(".json")
    report = json.loads(report_path.read_text()) | {"bundle": evaluate_bundle(model, bundle_path)}
    report_path.write_text(json.dumps(report, indent=1) + "\n")

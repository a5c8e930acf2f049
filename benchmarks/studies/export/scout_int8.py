"""Evaluates scout's int8 parts on the held-out samples, in comparison with its fp32 parts.

mm-edge export zoo:scout -o scout.mmb --precision fp32,int8-cpu --samples 64
python -m mm_edge.benchmarks.studies.export.scout_int8 scout.mmb [--json FILE]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mm_edge.bundle.bundle import Bundle
from mm_edge.onnx_runtime import import_onnxruntime
from mm_edge.places import cache_folder

if TYPE_CHECKING:
    from mm_edge.bundle.manifest import Precision
    from mm_edge.zoo.arrays import Feeds, Predict

ort = import_onnxruntime()


RESULTS = Path("benchmarks/results/scout_int8.json")
PRECISIONS: tuple[Precision, ...] = ("fp32", "int8-cpu")
AT_A_TIME = 100  # samples


def main() -> None:
    from mm_edge.zoo.models.scout import examine
    from mm_edge.zoo.training.train import EVALUATION_SAMPLES

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="a bundle with fp32 and int8-cpu for every part")
    parser.add_argument("--json", type=Path, default=RESULTS)
    given = parser.parse_args()
    with Bundle.open(given.bundle) as bundle:
        found: dict[str, Any] = {
            precision: examine(chained(bundle, precision), cache_folder("zoo"), EVALUATION_SAMPLES)
            for precision in PRECISIONS
        }
        found["ms"] = {part.name: part.cost.ms for part in bundle.manifest.parts}
    given.json.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    for name, value in found["fp32"].items():
        print(f"{name:42s} {value:.3f} {found['int8-cpu'][name]:.3f}")


def chained(bundle: Bundle, precision: Precision) -> Predict:
    """The parts in sequence, each in this precision."""
    parts = bundle.manifest.parts
    sessions = {part.name: ort.InferenceSession(bundle.read(part.artefacts[precision].file)) for part in parts}
    sources = {source for output in bundle.manifest.outputs for source in output.reads.values()}

    def predict(feeds: Feeds) -> dict[str, Any]:
        found: dict[str, list[Any]] = {}
        for start in range(0, len(feeds["image"]), AT_A_TIME):
            values: dict[str, Any] = {}
            for name, value in feeds.items():
                values[name if name == "presence" else f"input:{name}"] = value[start : start + AT_A_TIME]
            for part in parts:
                fed = {name: values[read.source] for name, read in part.reads.items()}
                names = [item.name for item in sessions[part.name].get_outputs()]
                for name, value in zip(names, sessions[part.name].run(names, fed), strict=True):
                    values[f"part:{part.name}.{name}"] = value
            for source in sources:
                found.setdefault(source.rpartition(".")[2], []).append(values[source])
        return {name: np.concatenate(each) for name, each in found.items()}

    return predict


if __name__ == "__main__":
    main()

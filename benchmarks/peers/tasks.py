"""What is compared: for each model the peers that run it, and what each of them loads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mm_edge.benchmarks.models import CACHE, LABELS, vision_bundle
from mm_edge.bundle import Bundle

from .clip_model import clip_folder
from .float_input import with_float_input

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Contender:
    """`file` is the module beside this one that drives it, `environment` its pinned requirements; none: this one."""

    file: str
    title: str
    environment: str = ""


@dataclass(frozen=True)
class Task:
    """The first contender is ours. `loads` makes what each file is given."""

    title: str
    model: str
    frames: int
    contenders: tuple[Contender, ...]
    loads: Callable[[], Mapping[str, Path]]


def _vision() -> Mapping[str, Path]:
    """The bundle for ours, the graph in it for the others; behind a float input for who prepares pictures himself."""
    bundle_path, model = vision_bundle(), CACHE / "peers-vision.onnx"
    with Bundle.open(bundle_path) as bundle:
        model.write_bytes(bundle.read(bundle.manifest.parts[0].artefacts["fp32"].file))
    floats = with_float_input(model, CACHE / "peers-vision-float.onnx", LABELS)
    return {each.file: model for each in VISION.contenders} | {
        "mm_edge_loop": bundle_path,
        "ultralytics_stream": floats,
    }


def _clip() -> Mapping[str, Path]:
    folder = clip_folder()
    return {each.file: folder for each in CLIP.contenders}


VISION = Task(
    "One camera, one network",
    "MobileNetV3-Large, the same ONNX file",
    300,
    (
        Contender("mm_edge_loop", "mm-edge"),
        Contender("plain", "OpenCV + ONNX Runtime, one after the other", "onnxruntime"),
        Contender("threaded", "capture thread, queue, ONNX Runtime", "onnxruntime"),
        Contender("openvino_queue", "OpenVINO AsyncInferQueue", "openvino"),
        Contender("gstreamer_appsink", "GStreamer appsink + ONNX Runtime", "gstreamer"),
        Contender("ultralytics_stream", "Ultralytics predict(stream=True)", "ultralytics"),
        Contender("roboflow_pipeline", "Roboflow InferencePipeline", "roboflow"),
        Contender("mediapipe_tasks", "MediaPipe tasks", "mediapipe"),
    ),
    _vision,
)
CLIP = Task(
    "A camera and texts: CLIP",
    "CLIP's architecture, six layers a tower, two texts, the same seeded weights",
    100,
    (
        Contender("clip_mm_edge", "mm-edge"),
        Contender("clip_eager", "torch, eager", "clip"),
        Contender("clip_compiled", "torch.compile", "clip"),
    ),
    _clip,
)
TASKS = {"vision": VISION, "clip": CLIP}

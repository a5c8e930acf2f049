"""The comparisons: for each model the peers that run it, and the model file of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mm_edge.benchmarks.models.exported import remove_older
from mm_edge.benchmarks.models.vision import LABELS, vision_bundle, vision_module
from mm_edge.bundle.bundle import Bundle

from .clip.clip_model import clip_folder
from .float_input import with_float_input
from .tflite import to_tflite

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True)
class Contender:
    """`file` is the module in `folder` that runs it, `environment` its pinned requirements; empty: the current one."""

    file: str
    title: str
    environment: str = ""
    folder: str = "loops"

    @property
    def module(self) -> str:
        return f"{self.folder}.{self.file}"


@dataclass(frozen=True)
class Task:
    """The first contender is mm-edge. `reference`: the contender whose answers count as correct; `load` makes the model
    file of each.
    """

    title: str
    model: str
    frames: int
    contenders: tuple[Contender, ...]
    reference: str
    load: Callable[[str], Path]


def _vision(file: str) -> Path:
    """The bundle for mm-edge; for the others its ONNX graph, or the same weights in their format."""
    bundle_path = vision_bundle()
    remove_older("peers-vision-*", bundle_path)
    if file == "mm_edge_loop":
        return bundle_path
    graph = bundle_path.with_name(f"peers-{bundle_path.stem}.onnx")
    if not graph.exists():
        with Bundle.open(bundle_path) as bundle:
            graph.write_bytes(bundle.read(bundle.manifest.parts[0].artefacts["fp32"].file))
    if file == "ultralytics_stream":
        return with_float_input(graph, graph.with_name(f"{graph.stem}-float.onnx"), LABELS)
    if file == "mediapipe_tasks":
        return to_tflite(vision_module, graph.with_suffix(".tflite"))
    return graph


VISION = Task(
    "Single camera: MobileNetV3-Large",
    "MobileNetV3-Large, 1000 classes, fp32, identical weights",
    300,
    (
        Contender("mm_edge_loop", "mm-edge"),
        Contender("plain", "OpenCV + ONNX Runtime, sequential", "onnxruntime"),
        Contender("threaded", "OpenCV + ONNX Runtime, threaded", "onnxruntime"),
        Contender("openvino_queue", "OpenVINO AsyncInferQueue", "openvino"),
        Contender("gstreamer_appsink", "GStreamer appsink + ONNX Runtime", "gstreamer"),
        Contender("ultralytics_stream", "Ultralytics predict(stream=True)", "ultralytics"),
        Contender("roboflow_pipeline", "Roboflow InferencePipeline", "roboflow"),
        Contender("mediapipe_tasks", "MediaPipe tasks", "mediapipe"),
    ),
    "plain",
    _vision,
)
CLIP = Task(
    "Camera and text: CLIP",
    "CLIP with six layers per tower, two texts, fp32, identical weights",
    100,
    (
        Contender("clip_mm_edge", "mm-edge", folder="clip"),
        Contender("clip_eager", "torch, as in the model card", "clip", "clip"),
        Contender("clip_cached", "torch, cached text embeddings", "clip", "clip"),
        Contender("clip_compiled", "torch.compile, cached text embeddings", "clip", "clip"),
    ),
    "clip_eager",
    lambda _file: clip_folder(),
)
TASKS = {"vision": VISION, "clip": CLIP}

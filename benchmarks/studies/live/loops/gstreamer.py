"""The usual GStreamer loop: a pipeline into an appsink, and ONNX Runtime.

Runs in its own process, as it needs the system's Python with gi (python3-gi, gir1.2-gst-plugins-base-1.0,
gstreamer1.0-plugins-good, gstreamer1.0-libav); the other packages come from the environment that PYTHONPATH names.

    python3 gstreamer.py MODEL.onnx VIDEO.mp4
"""

from __future__ import annotations

import json
import resource
import sys
import time
from typing import Any

SIDE = 224


def main(model: str, video: str) -> None:
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstApp", "1.0")
    import numpy as np
    import onnxruntime as ort
    from gi.repository import Gst

    Gst.init(None)
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    # GStreamer decodes, converts and scales in its own threads; the queue lets them run ahead of the model.
    pipeline = Gst.parse_launch(
        f"filesrc location={video} ! decodebin ! queue max-size-buffers=8 ! videoscale ! videoconvert ! "
        f"video/x-raw,format=RGB,width={SIDE},height={SIDE} ! queue max-size-buffers=8 ! "
        "appsink name=out sync=false max-buffers=8"
    )
    sink = pipeline.get_by_name("out")
    before, began = _cpu(), time.perf_counter()
    pipeline.set_state(Gst.State.PLAYING)
    labels = []
    while (sample := sink.emit("pull-sample")) is not None:
        labels.append(_label(session, name, sample.get_buffer(), np, Gst))
    seconds, cpu = time.perf_counter() - began, _cpu() - before
    pipeline.set_state(Gst.State.NULL)
    print(
        json.dumps({"frames": len(labels), "frames_per_s": len(labels) / seconds, "cpu_ms": cpu / len(labels) * 1000})
    )


def _label(session: Any, name: str, buffer: Any, np: Any, gst: Any) -> int:
    good, mapped = buffer.map(gst.MapFlags.READ)
    if not good:
        raise OSError("cannot map a buffer")
    try:
        picture = np.frombuffer(mapped.data, np.uint8).reshape(1, SIDE, SIDE, 3)
        logits = session.run(None, {name: picture})[0][0]
        scores = np.exp(logits - logits.max())  # the score of the label, as in the other loops
        scores /= scores.sum()
        return int(scores.argmax())
    finally:
        buffer.unmap(mapped)


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main(*sys.argv[1:])

"""GStreamer with an appsink and ONNX Runtime; GStreamer decodes, scales and converts.

Its environment uses system packages: python3-gi, gir1.2-gst-plugins-base-1.0, gstreamer1.0-plugins-good,
gstreamer1.0-libav.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import gi
import numpy as np

from . import plain

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
from gi.repository import Gst  # noqa: E402  # after require_version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..answers import Answers
    from ..camera import Camera

SIDE = 224
# Scaling first makes the conversion cheaper.
PREPARED = f"videoscale ! videoconvert ! video/x-raw,format=RGB,width={SIDE},height={SIDE}"
OFFLINE = "filesrc location={video} ! decodebin ! queue max-size-buffers=8 ! {prepared} ! queue max-size-buffers=8 ! "
OFFLINE += "appsink name=out sync=false max-buffers=8"
LIVE = (
    "appsrc name=in is-live=true format=time caps=video/x-raw,format=BGR,width={width},height={height},framerate=0/1 ! "
)
LIVE += "queue leaky=downstream max-size-buffers=1 ! {prepared} ! appsink name=out sync=false drop=true max-buffers=1"


class Peer:
    """Keeps the newest picture and drops older ones."""

    def __init__(self, model: str) -> None:
        Gst.init(None)
        self._model = plain.Peer(model)

    def label(self, frame: Any) -> int:
        return self._model.label(frame)

    def offline(self, video: str, answers: Answers) -> None:
        pipeline = Gst.parse_launch(OFFLINE.format(video=video, prepared=PREPARED))
        pipeline.set_state(Gst.State.PLAYING)
        for number, (_, label) in enumerate(self._answered(pipeline.get_by_name("out"))):
            answers(number, label)
        pipeline.set_state(Gst.State.NULL)

    def live(self, camera: Camera, answers: Answers) -> None:
        height, width = camera.size
        pipeline = Gst.parse_launch(LIVE.format(width=width, height=height, prepared=PREPARED))
        source = pipeline.get_by_name("in")
        pipeline.set_state(Gst.State.PLAYING)

        def feed() -> None:
            while (captured := camera.grab()) is not None:
                stamp, frame = captured
                buffer = Gst.Buffer.new_wrapped(frame.tobytes())
                buffer.pts = stamp
                source.emit("push-buffer", buffer)
            source.emit("end-of-stream")

        feeder = threading.Thread(target=feed)
        feeder.start()
        for stamp, label in self._answered(pipeline.get_by_name("out")):
            answers(stamp, label)
        feeder.join()
        pipeline.set_state(Gst.State.NULL)

    def _answered(self, sink: Any) -> Iterator[tuple[int, int]]:
        while (sample := sink.emit("pull-sample")) is not None:
            buffer = sample.get_buffer()
            good, mapped = buffer.map(Gst.MapFlags.READ)
            if not good:
                raise OSError("cannot map a buffer")
            try:
                label = self._model.answer(np.frombuffer(mapped.data, np.uint8).reshape(1, SIDE, SIDE, 3))
            finally:
                buffer.unmap(mapped)
            yield buffer.pts, label

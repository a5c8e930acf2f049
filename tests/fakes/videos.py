"""Small video files: by OpenCV, and by FFmpeg in whatever form a test wants."""

from fractions import Fraction

import cv2
import numpy as np


def write_video(path, count=10, fps=25.0, size=(64, 48)):
    """Pictures that get brighter."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, size)
    assert writer.isOpened()
    for number in range(count):
        writer.write(np.full((size[1], size[0], 3), 20 * number % 256, np.uint8))
    writer.release()
    return path


def encode(path, pictures, *, codec="libx264", layout="yuv420p", ticks=None, colorspace=None, full=None, **options):
    """`pictures` in BGR; `ticks`: when each is shown, in 1/1000 s."""
    import av  # the extra `video`

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = layout
        if ticks is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if colorspace is not None:
            stream.codec_context.colorspace = colorspace
        if full is not None:
            stream.codec_context.color_range = 2 if full else 1
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(
                format=layout, dst_colorspace=colorspace, dst_color_range=None if full is None else 2 if full else 1
            )
            frame.pts = number if ticks is None else ticks[number]
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path

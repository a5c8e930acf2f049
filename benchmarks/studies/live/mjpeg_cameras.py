"""Cameras that send MJPEG over HTTP, in a process of their own: python -m … COUNT FPS. Prints its port."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from mm_edge.errors import WorkFailedError

if TYPE_CHECKING:
    from collections.abc import Iterator

PICTURES = 60
QUALITY = 85
BOUNDARY = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"


@contextlib.contextmanager
def mjpeg_cameras(count: int, fps: float) -> Iterator[list[str]]:
    """The URLs of `count` cameras of 1280x720, whose pictures come at different times of a period."""
    command = [sys.executable, "-m", __name__, str(count), str(fps)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = process.stdout.readline().strip() if process.stdout else ""
            if not port:
                raise WorkFailedError("it did not start", action="starting the MJPEG cameras")
            yield [f"http://127.0.0.1:{port}/{number}.mjpg" for number in range(count)]
        finally:
            process.kill()


class _Camera(BaseHTTPRequestHandler):
    jpegs: tuple[bytes, ...] = ()
    count, period_s, began_s = 1, 0.1, 0.0

    def do_GET(self) -> None:
        """Picture k of a camera is due at k periods after the start, plus the camera's share of a period."""
        number = int(self.path.strip("/").partition(".")[0])
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        phase_s = self.began_s + self.period_s * number / self.count
        k = int((time.monotonic() - phase_s) / self.period_s) + 1
        with contextlib.suppress(OSError):  # the reader has gone
            while True:
                time.sleep(max(0.0, phase_s + k * self.period_s - time.monotonic()))
                jpeg = self.jpegs[k % len(self.jpegs)]
                self.wfile.write(BOUNDARY % len(jpeg) + jpeg + b"\r\n")
                k += 1

    def log_message(self, *_words: object) -> None:
        """Nothing: standard output is for the port."""


def _serve(count: int, fps: float) -> None:
    import cv2

    from mm_edge.benchmarks.bench.frames import frames

    quality = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    _Camera.jpegs = tuple(cv2.imencode(".jpg", picture, quality)[1].tobytes() for picture in frames(PICTURES))
    _Camera.count, _Camera.period_s, _Camera.began_s = count, 1 / fps, time.monotonic()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Camera)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _serve(int(sys.argv[1]), float(sys.argv[2]))

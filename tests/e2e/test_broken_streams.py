"""Network cameras that answer with something else, or break off while they are opened: exit code 3, one message."""

import socket
import threading
from contextlib import contextmanager

import cv2
import numpy as np
import pytest
from bundles import senses_bundle
from commands import Commands

JPEG = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8))[1].tobytes()
PART = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(JPEG)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"
ANSWERS = {
    "nothing": b"",
    "half a head": HEAD[:30],
    "a head alone": HEAD,
    "half an image": HEAD + PART + JPEG[: len(JPEG) // 2],
    "one image": HEAD + PART + JPEG + b"\r\n",
    "no such page": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    "a page": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
    "garbage": bytes(range(256)) * 40,
}


@contextmanager
def camera_that_answers(content):
    """Every connection gets `content`, and is closed."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:  # closed
                    return
                with connection:
                    connection.recv(4096)
                    connection.sendall(content)
                    connection.shutdown(socket.SHUT_WR)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/video.mjpg"
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    folder = tmp_path_factory.mktemp("streams")
    senses_bundle(folder / "senses.mmb")
    made = Commands(folder)
    yield made
    made.close()


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_stream_that_breaks_off_while_it_is_opened_is_not_available(commands, answer):
    with camera_that_answers(ANSWERS[answer]) as url:
        ended = commands.check("run", "senses.mmb", "-q", "--camera", url, "--seconds", "5", code=3)
    assert f"error: opening the camera {url}" in ended["err"]

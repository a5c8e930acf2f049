"""Many bad viewers: slow, silent, half open, hostile. The run continues, and memory stays flat."""

import asyncio
import contextlib
import logging
import resource
import socket
import threading
import time
from pathlib import Path

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mm_edge.runtime.view import connections
from mm_edge.runtime.view.connections import MOST_OF_ONE_ADDRESS, SILENT_S
from mm_edge.runtime.view.routes import MOST_VIEWERS

SMALL = (180, 320)


def resident_mb():
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize() / 1e6


async def draw_for(port, seconds, *, drawing=True):
    """A page that draws or does not. Returns the number of frames sent to it."""
    frames = 0
    end = time.monotonic() + seconds
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://127.0.0.1:{port}/live", max_msg_size=0) as page,
    ):
        while (left := end - time.monotonic()) > 0:
            with contextlib.suppress(asyncio.TimeoutError):
                message = await page.receive(timeout=left)
                if message.type is aiohttp.WSMsgType.BINARY:
                    frames += 1
                    if drawing:
                        await page.send_str('{"kind":"drawn","frame":0}')
                elif message.type is not aiohttp.WSMsgType.TEXT:
                    break
    return frames


def handshake(port):
    """A websocket whose client then neither reads nor responds, like a half-open connection."""
    dead = socket.create_connection(("127.0.0.1", port))
    dead.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    dead.sendall(
        f"GET /live HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    return dead


@pytest.mark.slow
def test_fifty_who_watch_and_ten_who_do_not_read_leave_the_run_and_the_memory_alone(serve):
    server, robot = serve(pictures=_small_pictures())

    async def watch(seconds):
        return await asyncio.gather(*(draw_for(server.port, seconds, drawing=n % 5 > 0) for n in range(50)))

    asyncio.run(watch(2))  # what is loaded once is loaded
    before_mb, made = resident_mb(), robot.seq
    dead = [handshake(server.port) for _ in range(10)]
    seen = asyncio.run(watch(8))
    for connection in dead:
        connection.close()
    # The clients live in this process too, so that the bound is on both together.
    assert resident_mb() - before_mb < 30
    assert robot.seq - made > 8 * 30 * 0.8
    assert robot.is_alive()
    assert all(frames == 2 for frames in seen[::5]), seen  # a viewer that does not draw gets no third frame
    assert min(frames for n, frames in enumerate(seen) if n % 5) > 8


def _small_pictures():
    import cv2
    import numpy as np

    rng = np.random.default_rng(0)
    return [(cv2.resize(rng.integers(0, 256, (9, 16, 3), np.uint8), SMALL[::-1]), (10.0, 10.0)) for _ in range(30)]


def test_a_viewer_over_the_limit_is_rejected(serve):
    server, _ = serve(feed=False)

    async def crowd():
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            address = f"http://127.0.0.1:{server.port}/live"
            pages = [await session.ws_connect(address) for _ in range(MOST_VIEWERS)]
            with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
                await session.ws_connect(address)
            await pages.pop().close()
            await session.ws_connect(address)  # one has left, one may come

    asyncio.run(crowd())


@pytest.mark.slow
def test_connections_without_a_request_are_closed_and_too_many_rejected(serve):
    server, robot = serve(feed=False)
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(MOST_OF_ONE_ADDRESS + 20)]
    time.sleep(0.2)
    refused = sum(connection.recv(1) == b"" for connection in silent[MOST_OF_ONE_ADDRESS:])
    assert refused == 20
    time.sleep(2 * SILENT_S)
    assert all(connection.recv(1) == b"" for connection in silent)
    for connection in silent:
        connection.close()
    server.take(robot.predict())
    assert asyncio.run(draw_for(server.port, 0.5)) == 0  # a viewer comes in again; nothing new was predicted


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(connections, "SILENT_S", 0.4)


def ask(port, more=b"", address="127.0.0.1"):
    """A connection that has got one answer and keeps alive; then it sends `more`."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(address, 0))
    connection.sendall(f"GET /healthz HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n".encode())
    assert connection.recv(4096).startswith(b"HTTP/1.1 ")
    connection.sendall(more)
    return connection


def closed(connection):
    """Waits until the other end closes; a time-out fails the test."""
    with connection, contextlib.suppress(ConnectionError):
        while connection.recv(4096):
            pass
    return True


@pytest.mark.parametrize("more", [b"", b"G", b"GET /healthz HTTP/1.1\r\nHost: local", b"POST /x HTTP/1.1\r\nContent-"])
def test_half_of_a_second_request_holds_no_connection(impatient, serve, more):
    server, _ = serve(feed=False)
    held = [ask(server.port, more) for _ in range(20)]
    began = time.monotonic()
    assert all(closed(connection) for connection in held)
    assert time.monotonic() - began < 5
    ask(server.port).close()


def test_one_address_cannot_keep_the_others_out(serve, monkeypatch):
    monkeypatch.setattr(connections, "MOST_OF_ONE_ADDRESS", 10)
    server, _ = serve(feed=False)
    greedy = [ask(server.port) for _ in range(10)]
    refused = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    assert closed(refused)
    ask(server.port, address="127.0.0.2").close()
    greedy.pop().close()
    time.sleep(0.2)
    ask(server.port).close()
    for connection in greedy:
        connection.close()


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\0\1\2\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nA" + b"a" * 20_000 + b": 1\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nabcde",
        (
            b"GET /live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \xff\r\n\r\n"
        ),
    ],
)
def test_a_malformed_request_is_answered_and_logs_no_error(impatient, serve, caplog, request_bytes):
    server, _ = serve(feed=False)
    with caplog.at_level("INFO", logger="mm_edge"), socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.settimeout(10)
        connection.sendall(request_bytes)
        assert b" 4" in connection.recv(4096).split(b"\r\n")[0]
        assert closed(connection)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_cookie_that_is_no_text_is_a_wrong_token(serve, caplog):
    server, _ = serve(feed=False, token="right")
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        cookie = b"Cookie: mm-edge-%d=\xff\xfe" % server.port
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost:%d\r\n%s\r\n\r\n" % (server.port, cookie))
        assert connection.recv(4096).startswith(b"HTTP/1.1 401")
    assert not [record for record in caplog.records if record.exc_info]


@pytest.fixture(scope="module")
def fuzzed():
    from mm_edge.runtime.view.server import ViewServer

    said = []
    server = ViewServer(port=0, set_text=said.append)
    server.start()
    yield server, said
    server.close()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=3000))
def test_any_bytes_at_all(fuzzed, junk):
    server, said = fuzzed
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as stranger, contextlib.suppress(OSError):
        stranger.sendall(junk)
        stranger.shutdown(socket.SHUT_WR)
        while stranger.recv(4096):
            pass
    assert server._thread.is_alive()
    assert said == []


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_any_bytes_at_all_after_the_handshake(fuzzed, junk):
    server, said = fuzzed
    stranger = handshake(server.port)
    stranger.settimeout(5)
    with stranger, contextlib.suppress(OSError):
        assert stranger.recv(12) == b"HTTP/1.1 101"
        stranger.sendall(junk)
        stranger.shutdown(socket.SHUT_WR)
        while stranger.recv(4096):
            pass
    assert server._thread.is_alive()
    assert said == []


def test_ending_while_many_watch_takes_no_longer(serve):
    server, _ = serve(pictures=_small_pictures())
    dead = [handshake(server.port) for _ in range(5)]
    watchers = threading.Thread(target=lambda: asyncio.run(_all(server.port)))
    watchers.start()
    time.sleep(0.5)
    began = time.monotonic()
    server.close()
    assert time.monotonic() - began < 1.5  # 0.8 s on a machine of its own
    watchers.join()
    for connection in dead:
        connection.close()


async def _all(port):
    await asyncio.gather(*(draw_for(port, 3) for _ in range(20)), return_exceptions=True)

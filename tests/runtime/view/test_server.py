"""The page's server, accessed by browsers, programs and attackers."""

import asyncio
import base64
import contextlib
import json
import socket
import time
import urllib.error
import urllib.request
from contextlib import asynccontextmanager

import aiohttp
import cv2
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from mm_edge.errors import UsageError
from mm_edge.runtime.view.server import ViewServer


def ask(server, path, **headers):
    """Status, headers and body, whatever the status."""
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.headers, refusal.read()


@asynccontextmanager
async def watching(server, **options):
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://127.0.0.1:{server.port}/live", max_msg_size=0, **options) as page,
    ):
        yield page


async def until(page, wanted, seconds=5.0):
    """The next message of a kind; earlier ones are dropped."""
    async with asyncio.timeout(seconds) if hasattr(asyncio, "timeout") else _plain_timeout(seconds):
        while True:
            message = await page.receive()
            assert message.type in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}, message
            found = wanted(message)
            if found is not None:
                return found


@asynccontextmanager
async def _plain_timeout(_seconds):
    yield  # Python 3.10 has no asyncio.timeout; pytest-timeout stands behind it


def frame_of(message):
    if message.type is not aiohttp.WSMsgType.BINARY:
        return None
    length = int.from_bytes(message.data[:4], "little")
    head = json.loads(message.data[4 : 4 + length])
    jpeg = message.data[4 + length :][: head["picture"]["bytes"]]
    pcm = message.data[4 + length + head["picture"]["bytes"] :]
    return head, jpeg, pcm


def state_of(message):
    return json.loads(message.data) if message.type is aiohttp.WSMsgType.TEXT else None


# --- what programs ask ------------------------------------------------------------------------------------------


def test_the_page_is_complete_and_self_contained(serve):
    server, _ = serve(feed=False)
    status, headers, body = ask(server, "/")
    assert status == 200
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    # Every file that the page or one of its modules names is there; none lies on another machine.
    seen, hint = set(), {name.split(b'"')[0].decode() for name in body.split(b'"/page/')[1:]}
    while hint:
        name = hint.pop()
        status, headers, content = ask(server, f"/page/{name}")
        assert status == 200, name
        seen.add(name)
        if name.endswith(".js"):
            assert headers.get_content_type() == "text/javascript"
            hint |= {part.split(b'"')[0].decode() for part in content.split(b'from "./')[1:]} - seen
        assert b"https://" not in content
    assert {"main.js", "style.css", "dom.js", "sound.js"} <= seen


@pytest.mark.parametrize(
    "path", ["/page/nothing.js", "/page/..%2fserver.py", "/page/../server.py", "/page/%2e%2e/a.py", "/etc/passwd"]
)
def test_nothing_but_the_page_can_be_read(serve, path):
    server, _ = serve(feed=False)
    assert ask(server, path)[0] == 404


def test_state_health_and_metrics(serve):
    server, robot = serve(feed=False)
    assert ask(server, "/healthz")[0] == 503
    for _ in range(5):
        server.take(robot.predict())
    status, _, body = ask(server, "/healthz")
    assert (status, json.loads(body)["health"]) == (200, "ok")
    robot.report("camera", "lost", "it was unplugged")
    assert json.loads(ask(server, "/healthz")[2])["health"] == "degraded"
    state = json.loads(ask(server, "/api/state")[2])
    assert (state["model"], state["predictions"]) == ("scout", 5)
    assert state["sources"]["camera"] == {
        "state": "lost",
        "detail": "it was unplugged",
        "since_s": pytest.approx(0, abs=2),
    }
    _, headers, metrics = ask(server, "/metrics")
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(metrics.decode())}
    assert families["mm_edge_predictions"].samples[0].value == 5


def test_a_port_in_use_is_reported_at_once():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=rf"opening the live page at 127\.0\.0\.1:{port}.*another port"):
            ViewServer(port=port).start()


# --- what pages are sent ----------------------------------------------------------------------------------------


def test_a_frame_is_one_prediction_with_the_picture_and_the_sound_it_was_made_from(serve):
    server, robot = serve()

    async def watch():
        async with watching(server) as page:
            return await until(page, frame_of)

    head, jpeg, pcm = asyncio.run(watch())
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    original, place = robot._pictures[head["seq"] % len(robot._pictures)]
    assert head["picture"] == {"input": "image", "bytes": len(jpeg), "shown": [1280, 720], "source": [1280, 720]}
    assert (head["outputs"]["target"]["x"], head["outputs"]["target"]["y"]) == place
    assert np.abs(picture.astype(int) - original).mean() < 3
    assert head["text"] == {"text": "the red ball"}
    heat = head["maps"]["target"]
    levels = np.frombuffer(base64.b64decode(heat["values"]), np.uint8).reshape(heat["size"][::-1])
    row, column = divmod(int(levels.argmax()), heat["size"][0])
    assert abs((column + 0.5) * 1280 / heat["size"][0] - place[0]) <= 16
    assert abs((row + 0.5) * 720 / heat["size"][1] - place[1]) <= 12
    assert head["sound"]["bytes"] == len(pcm)
    assert len(pcm) // 2 == min(head["sound"]["end"], head["sound"]["rate"] // 4)
    assert 1000 < np.abs(np.frombuffer(pcm, "<i2")).max() <= 32767


def test_a_viewer_that_does_not_draw_is_sent_two_frames_and_then_the_newest(serve):
    server, _ = serve()

    async def watch():
        async with watching(server) as page:
            frames, states = [], 0
            end = time.monotonic() + 1.5
            while time.monotonic() < end:
                message = await page.receive()
                frame = frame_of(message)
                states += frame is None
                if frame:
                    frames.append(frame[0])
            await page.send_json({"kind": "drawn", "frame": frames[0]["frame"]})
            late = (await until(page, frame_of))[0]
            return frames, states, late

    frames, states, late = asyncio.run(watch())
    assert len(frames) == 2
    assert states >= 3  # a viewer slow with images still gets the state
    assert late["seq"] > frames[1]["seq"] + 20  # a second of frames was skipped


def test_nothing_is_encoded_while_nobody_watches(serve, monkeypatch):
    encoded = []
    real = cv2.imencode
    monkeypatch.setattr(cv2, "imencode", lambda *given: encoded.append(1) or real(*given))
    server, robot = serve(feed=False)
    for _ in range(10):
        server.take(robot.predict())
    assert not encoded

    async def watch(viewers):
        async with watching(server) as first, watching(server) as second:
            for _ in range(viewers):
                server.take(robot.predict())
                seen = [(await until(page, frame_of))[0]["seq"] for page in (first, second)]
                assert seen[0] == seen[1]
                for page in (first, second):
                    await page.send_json({"kind": "drawn", "frame": 0})

    asyncio.run(watch(5))
    assert len(encoded) == 5  # once for both


def test_an_event_is_shown_at_once(serve):
    server, robot = serve()

    async def watch():
        async with watching(server) as page:
            await until(page, state_of)
            robot.report("mic", "lost", "no audio for 500 ms")
            sent = time.monotonic()
            await until(page, lambda m: ((s := state_of(m)) and s["run"]["sources"]["mic"]["state"] == "lost") or None)
            return time.monotonic() - sent

    assert asyncio.run(watch()) < 1.0


def test_the_stream_of_pictures_is_one_that_opencv_reads(serve):
    server, _ = serve()
    stream = cv2.VideoCapture(f"http://127.0.0.1:{server.port}/stream.mjpg", cv2.CAP_FFMPEG)
    pictures = [stream.read() for _ in range(5)]
    stream.release()
    assert all(ok and picture.shape == (720, 1280, 3) for ok, picture in pictures)


# --- what pages may say -----------------------------------------------------------------------------------------


def test_a_prompt_reaches_the_next_prediction(serve):
    server, robot = serve()
    prompt = 'the <b>blue</b> cup & "saucer"'

    async def watch():
        async with watching(server) as page:
            await page.send_json({"kind": "text", "text": prompt})
            while True:
                head, _, _ = await until(page, frame_of)
                await page.send_json({"kind": "drawn", "frame": head["frame"]})
                if head["text"]["text"] == prompt:
                    return await until(
                        page, lambda m: ((s := state_of(m)) and prompt in s["page"]["texts"] and s) or None
                    )

    assert asyncio.run(watch())["page"]["texts"] == [prompt, "the red ball"]
    assert robot.text == prompt


def test_a_file_is_paused_and_stepped(serve, player):
    server, _ = serve(controls=player)

    async def watch():
        async with watching(server) as page:
            for action in ("pause", "step", "step"):
                await page.send_json({"kind": "play", "action": action})
            await until(page, lambda m: ((s := state_of(m)) and s["page"]["paused"] and player.steps == 2) or None)

    asyncio.run(watch())


NO_MESSAGES = (
    *("", "{", "null", "[]", "{}", "[" * 4000, b"\x00\xff"),
    *(
        '{"kind":"text"}',
        '{"kind":"text","text":5}',
        '{"kind":"text","text":"a","more":1}',
        '{"kind":"drawn","frame":-1}',
    ),
    *(
        '{"kind":"text","text":"two\\nlines"}',
        '{"kind":"text","text":"\\u0000"}',
        '{"kind":"text","text":"%s"}' % ("a" * 501),
    ),
    *('{"kind":"play","action":"eject"}', '{"kind":"shutdown"}'),
)


@pytest.mark.parametrize("message", NO_MESSAGES, ids=lambda message: repr(message[:40]))
def test_an_invalid_message_ends_only_the_connection(serve, message):
    texts = []
    server, robot = serve(feed=False, set_text=texts.append)

    async def watch():
        async with watching(server) as page:
            await (page.send_bytes if isinstance(message, bytes) else page.send_str)(message)
            while (await page.receive()).type in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
                pass
            assert page.close_code in {1003, 1008}

    asyncio.run(watch())
    server.take(robot.predict())  # raises if the server has died
    assert ask(server, "/healthz")[0] == 200
    assert texts == []


def test_a_giant_message_and_a_flood_end_the_connection(serve):
    server, robot = serve(feed=False)

    async def giant():
        async with watching(server) as page:
            with contextlib.suppress(ConnectionError):  # it closes the connection while we still send
                await page.send_str("a" * 10_000_000)
            while (await page.receive()).type in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
                pass
            assert page.close_code in {1006, 1009}

    async def flood():
        async with watching(server) as page:
            for _ in range(1000):
                if page.closed:
                    break
                await page.send_str('{"kind":"drawn","frame":0}')
            while (await page.receive()).type in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
                pass
            assert page.close_code == 1008

    asyncio.run(giant())
    asyncio.run(flood())
    server.take(robot.predict())


# --- who may talk to it -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8700", "localhost.evil.example", "192.168.1.5", "[", ""]
)
def test_another_name_is_refused(serve, host):
    server, _ = serve(feed=False)
    assert ask(server, "/api/state", Host=host)[0] in {400, 421}


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "localhost:9000"])
def test_own_names_pass_also_through_a_tunnel(serve, host):
    server, _ = serve(feed=False)
    assert ask(server, "/api/state", Host=host)[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:1", "file://", "http://["])
def test_another_sites_page_is_refused(serve, origin):
    server, _ = serve(feed=False)
    assert ask(server, "/api/state", Origin=origin)[0] == 403

    async def watch():
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            async with watching(server, headers={"Origin": origin}):
                pass

    asyncio.run(watch())


def test_a_link_on_another_site_may_be_followed_but_nothing_may_be_taken_from_there(serve):
    server, _ = serve(feed=False)
    assert ask(server, "/", **{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"})[0] == 200
    assert ask(server, "/stream.mjpg", **{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"})[0] == 403
    assert ask(server, "/stream.mjpg", **{"Sec-Fetch-Site": "cross-site"})[0] == 403


def test_with_a_token_nothing_is_given_without_it(serve):
    server, _ = serve(feed=False, token="right")
    for path in ("/", "/page/main.js", "/api/state", "/metrics", "/healthz", "/stream.mjpg", "/live", "/nothing"):
        assert ask(server, path)[0] == 401, path
    assert ask(server, "/api/state?token=wrong")[0] == 401
    assert ask(server, "/api/state", Authorization="Bearer wrong")[0] == 401
    assert ask(server, "/api/state", Authorization="Bearer right")[0] == 200
    assert ask(server, "/api/state?token=right")[0] == 200


def test_the_link_becomes_a_cookie_that_no_script_reads(serve):
    server, _ = serve(feed=False, token="right")
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    assert server.link.endswith("?token=right")
    with opener.open(server.link, timeout=5) as page:
        assert page.url == f"http://127.0.0.1:{server.port}/"  # the token has left the address bar
    with opener.open(f"http://127.0.0.1:{server.port}/api/state", timeout=5) as state:
        assert state.status == 200

    class NoRedirect(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_given):
            return None

    with pytest.raises(urllib.error.HTTPError) as sent:
        urllib.request.build_opener(NoRedirect()).open(server.link, timeout=5)
    cookie = sent.value.headers["Set-Cookie"]
    sent.value.close()
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie


def test_a_server_beyond_loopback_always_has_a_token():
    assert ViewServer("0.0.0.0").token
    assert ViewServer("192.168.1.5").token != ViewServer("192.168.1.5").token
    assert ViewServer("127.0.0.1").token is None
    assert ViewServer("::1").token is None


def test_the_run_ends_for_pages_too(serve):
    server, robot = serve()

    async def watch():
        async with watching(server) as page:
            await until(page, state_of)
            began = time.monotonic()
            await asyncio.to_thread(server.close)
            while (await page.receive()).type in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
                pass
            return time.monotonic() - began

    assert asyncio.run(watch()) < 1.0
    server.take(robot.predict())  # ignored after the end


def test_with_nobody_watching_the_server_takes_less_than_a_hundredth_of_a_core(serve):
    server, robot = serve(feed=False)
    predictions = [robot.predict() for _ in range(300)]
    began_s = time.process_time()
    for prediction in predictions:
        server.take(prediction)
    time.sleep(0.5)  # the server's own thread, which has nothing to do
    cpu_s = time.process_time() - began_s
    assert cpu_s / (len(predictions) / 30) < 0.01  # 300 predictions are ten seconds of a camera

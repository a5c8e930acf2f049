"""What the page's server sends of several cameras: frames of each in turn, one large, streams and metrics by name."""

import asyncio
import urllib.error
import urllib.request
from collections import Counter

import aiohttp
import cv2
import msgspec
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from mm_edge.runtime.sinks.telemetry.status import RunView
from mm_edge.runtime.view.frame import Frame
from mm_edge.runtime.view.hub import MOST_IN_FLIGHT, Viewer

FRAMES = 30


def get(server, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=5) as answer:
        return answer.read()


async def frames_of(server, count, large=None):
    found = []
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://127.0.0.1:{server.port}/live", max_msg_size=0) as page,
    ):
        if large is not None:
            await page.send_json({"kind": "watch", "camera": large})
        while len(found) < count:
            message = await page.receive(timeout=10)
            if message.type is not aiohttp.WSMsgType.BINARY:
                continue
            length = int.from_bytes(message.data[:4], "little")
            found.append(msgspec.json.decode(message.data[4 : 4 + length]))
            await page.send_json({"kind": "drawn", "frame": found[-1]["frame"]})
    return found


def test_each_camera_gets_its_share_of_the_frames(two_cameras):
    server, _ = two_cameras
    frames = asyncio.run(frames_of(server, FRAMES))
    counts = Counter(frame["camera"] for frame in frames)
    assert set(counts) == {"door", "yard"}
    assert min(counts.values()) >= FRAMES // 4
    for name in counts:
        seqs = [frame["seq"] for frame in frames if frame["camera"] == name]
        assert seqs == sorted(set(seqs))


def test_only_the_camera_that_is_shown_large_comes_in_full_size(two_cameras):
    server, _ = two_cameras
    for large, small in (("yard", "door"), ("door", "yard")):
        frames = asyncio.run(frames_of(server, FRAMES, large))[FRAMES // 2 :]
        widths = {name: {f["picture"]["shown"][0] for f in frames if f["camera"] == name} for name in (large, small)}
        assert widths == {large: {640}, small: {480}}


def test_an_unknown_camera_changes_nothing(two_cameras):
    server, _ = two_cameras
    frames = asyncio.run(frames_of(server, 10, "cellar"))
    assert {frame["camera"] for frame in frames} == {"door", "yard"}


def test_the_stream_is_of_one_camera(two_cameras):
    server, stop = two_cameras
    stop["yard"]()
    stream = cv2.VideoCapture(f"http://127.0.0.1:{server.port}/stream.mjpg?camera=door")
    assert all(stream.read()[0] for _ in range(5))
    stream.release()
    with pytest.raises(urllib.error.HTTPError) as refusal:
        get(server, "/stream.mjpg?camera=cellar")
    with refusal.value as answer:
        assert answer.code == 404
        assert answer.read() == b"No such camera. Cameras: door, yard\n"


def test_the_state_and_the_metrics_have_every_camera(two_cameras):
    server, _ = two_cameras
    asyncio.run(frames_of(server, 10))
    view = msgspec.json.decode(get(server, "/api/state"), type=RunView)
    assert set(view.cameras) == {"door", "yard"}
    assert list(view.inputs) == ["door", "yard", "audio", "text"]
    for name in ("door", "yard"):
        assert view.cameras[name].predictions > 0
        assert set(view.cameras[name].outputs) == {"seen", "senses"}
        assert view.inputs[name].captured > 0
        assert view.inputs[name].modality == "image"
    families = {family.name: family for family in text_string_to_metric_families(get(server, "/metrics").decode())}
    for name in ("mm_edge_camera_predictions", "mm_edge_camera_captured", "mm_edge_camera_age_seconds"):
        cameras = {s.labels["camera"] for s in families[name].samples if not s.name.endswith("_created")}
        assert cameras == {"door", "yard"}, name
    assert {"camera", "cause"} == set(families["mm_edge_camera_dropped"].samples[0].labels)


def frame(number):
    return Frame(number, b"", None)


def test_a_viewer_gets_the_oldest_new_frame_of_the_cameras_it_sees():
    async def watch():
        viewer, alone = Viewer("door"), Viewer("yard", alone=True)
        frames = {"door": frame(4), "yard": frame(3)}
        assert [viewer.next_frame(frames).number for _ in range(MOST_IN_FLIGHT)] == [3, 4]
        viewer.in_flight = 0
        assert viewer.next_frame(frames) is None
        frames["yard"] = frame(5)
        assert viewer.next_frame(frames).number == 5
        assert alone.next_frame(frames).number == 5
        frames["door"] = frame(6)
        assert alone.next_frame(frames) is None

    asyncio.run(watch())


def test_the_jpeg_of_a_tile_is_smaller():
    from mm_edge.runtime.view.frame import TILE_WIDTH, make_frame
    from mm_edge.sample import Prediction, Sample

    picture = np.zeros((720, 1280, 3), np.uint8)
    prediction = Prediction(0, 0, {}, {}, {}, False, "ok", {"image": Sample("image", 0, 0, picture)}, camera="door")
    tile, whole = (make_frame(0, prediction, {}, *width) for width in ((TILE_WIDTH,), ()))
    assert cv2.imdecode(np.frombuffer(tile.jpeg, np.uint8), 1).shape == (270, 480, 3)
    assert cv2.imdecode(np.frombuffer(whole.jpeg, np.uint8), 1).shape == (720, 1280, 3)

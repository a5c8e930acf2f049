"""The comparison with peers: the simulated camera, the processes, the results and their rows."""

import os
import shutil
import sys
from types import SimpleNamespace
from typing import ClassVar

import cv2
import msgspec
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from mm_edge.benchmarks.bench.figure import Conditions, Machine
from mm_edge.benchmarks.bench.frames import video
from mm_edge.benchmarks.models import exported
from mm_edge.benchmarks.peers import answers as peer_answers
from mm_edge.benchmarks.peers import camera as peer_camera
from mm_edge.benchmarks.peers import peer_process, side_by_side
from mm_edge.benchmarks.peers.__main__ import keep, read
from mm_edge.benchmarks.peers.answers import WARM_UP, Answers
from mm_edge.benchmarks.peers.camera import Camera
from mm_edge.benchmarks.peers.environments import CannotRunError, versions_of
from mm_edge.benchmarks.peers.float_input import with_float_input
from mm_edge.benchmarks.peers.loops.simulated_capture import instead_of_cv2, stamp_of
from mm_edge.benchmarks.peers.results import WAYS, Found, Peer, Results, winners
from mm_edge.benchmarks.peers.tasks import TASKS, Contender, Task

MACHINE = Machine("x", "y", 2.0, "", "", 1, {}, Conditions(0.0, 0.0, 0, None, None, None, None))


class Frames:
    """A camera that has so many pictures."""

    fps, size = 30.0, (4, 6)

    def __init__(self, count):
        self._left = list(range(1, count + 1))

    def grab(self):
        return (self._left.pop(0) * 1_000_000_007, np.zeros((4, 6, 3), np.uint8)) if self._left else None


def test_a_library_that_opens_its_own_camera_gets_the_simulated_one():
    with instead_of_cv2(Frames(2)):
        capture = cv2.VideoCapture(0)
        assert (capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FPS)) == (6.0, 30.0)
        assert [stamp_of(capture.read()[1]) for _ in range(2)] == [1_000_000_007, 2_000_000_014]
        assert capture.isOpened()
        assert capture.read() == (False, None)
        assert not capture.isOpened()


def test_the_float_input_gives_the_graph_its_bytes_back(tmp_path):
    node = helper.make_node("Cast", ["picture"], ["levels"], to=TensorProto.FLOAT)
    given = helper.make_tensor_value_info("picture", TensorProto.UINT8, [1, 16, 16, 3])
    levels = helper.make_tensor_value_info("levels", TensorProto.FLOAT, [1, 16, 16, 3])
    model = helper.make_model(
        helper.make_graph([node], "g", [given], [levels]), opset_imports=[helper.make_opsetid("", 17)], ir_version=9
    )
    onnx.save(model, tmp_path / "bytes.onnx")
    session = ort.InferenceSession(with_float_input(tmp_path / "bytes.onnx", tmp_path / "float.onnx", classes=2))
    levels = np.arange(256 * 3, dtype=np.uint8).reshape(1, 16, 16, 3)
    fed = np.ascontiguousarray((levels.astype(np.float32) / 255).transpose(0, 3, 1, 2))
    assert np.array_equal(session.run(None, {"images": fed})[0], levels)


def results(**rounds):
    def figures(values):
        found = Found(values[0], values)
        return {"latency, ms": found, "offline: throughput, results/s": found}

    peers = tuple(Peer(name, False, {}, figures(values), 1.0) for name, values in rounds.items())
    return Results(2, "t", "m", "2026-01-01", 1, 1, 1.0, 30.0, 90.0, MACHINE, "a", peers, {})


@pytest.mark.parametrize(("figure", "best"), [("latency, ms", {"a"}), ("offline: throughput, results/s", {"b"})])
def test_the_best_of_a_row_is_marked_whether_ours_or_not(figure, best):
    assert winners(results(a=(1.0, 1.1), b=(2.0, 1.9)), figure) == best


def test_peers_whose_rounds_overlap_with_the_best_are_marked_too():
    assert winners(results(a=(1.0, 1.3), b=(1.2, 1.6), c=(1.4, 1.5)), "latency, ms") == {"a", "b"}


def test_a_late_reader_gets_the_buffered_frames_and_loses_the_rest(monkeypatch):
    now = [1_000_000_000]
    monkeypatch.setattr(peer_camera, "time", SimpleNamespace(monotonic_ns=lambda: now[0], sleep=lambda _s: None))
    camera = Camera([np.full((2, 2, 3), k, np.uint8) for k in range(10)], fps=100.0, seconds=0.11)
    period_ns = 10_000_000

    def wait(seconds):
        now[0] += round(seconds * 1e9)

    monkeypatch.setattr(peer_camera.time, "sleep", wait)
    stamp, picture = camera.grab()
    assert (stamp, now[0], picture[0, 0, 0]) == (
        1_000_000_000 + period_ns,
        stamp,
        0,
    )  # it starts when asked
    wait(0.07)  # frames 1 to 7 arrive; four are buffered
    seen = [camera.read() for _ in range(4)]
    assert [picture[0, 0, 0] for _, picture in seen] == [1, 2, 3, 4]
    assert [now[0] - stamp for stamp, _ in seen] == [60_000_000, 50_000_000, 40_000_000, 30_000_000]
    assert camera.read()[1][0, 0, 0] == 8
    while camera.read() is not None:
        assert not camera.ended.is_set()
    assert camera.ended.is_set()


def test_a_frame_that_is_read_is_the_readers_own():
    pictures = [np.zeros((2, 2, 3), np.uint8)]
    _, picture = Camera(pictures, fps=1e6, seconds=60).read()
    picture[:] = 1
    assert not pictures[0].any()


def test_answers_of_the_warm_up_do_not_count(monkeypatch):
    clock = SimpleNamespace(ns=0, cpu=0.0)
    monkeypatch.setattr(peer_answers, "time", SimpleNamespace(monotonic_ns=lambda: clock.ns))
    monkeypatch.setattr(peer_answers, "cpu_s", lambda: clock.cpu)
    answers = Answers()
    for number in range(WARM_UP + 5):
        slow = number < WARM_UP
        clock.ns += 1_000_000_000 if slow else 10_000_000
        clock.cpu += 1.0 if slow else 0.02
        answers(clock.ns - 3_000_000, number)
    assert answers.cost() == pytest.approx({"results": 4, "seconds": 0.04, "cpu_s": 0.08})
    assert answers.latencies_ms() == [3.0] * 5
    assert answers.labels() == list(range(WARM_UP + 5))


def test_labels_are_in_the_order_of_the_frames():
    answers = Answers()
    for number in (2, 0, 1):
        answers(number, 10 * number)
    assert answers.labels() == [0, 10, 20]
    with pytest.raises(ValueError, match="3 answers"):
        answers.cost()


class Quick:
    """A peer that answers immediately; `broken` cannot run."""

    started: ClassVar[list[str]] = []

    def __init__(self, name, _environment, _model, video):
        name = name.removeprefix("loops.")
        if name == "broken":
            raise CannotRunError("no such  operator")
        self._name, self._frames, self.start_s, self.environment = name, int(video.name), 0.5, {"THREADS": "2"}
        Quick.started.append(name)

    def request(self, way, *_rate):
        cost = {"results": 100, "seconds": 2.0, "cpu_s": 1.0}
        labels = [0] * self._frames if self._name != "wrong" else [0, 1] * (self._frames // 2)
        return cost | ({"labels": labels} if way == "offline" else {"latencies_ms": [4.0, 5.0, 9.0], "memory_mb": 7.0})

    def close(self):
        pass


def test_contenders_take_turns_and_failures_are_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(side_by_side, "PeerProcess", Quick)
    monkeypatch.setattr(side_by_side, "video_of", lambda frames: tmp_path / f"{frames}")
    contenders = tuple(Contender(name, name.title()) for name in ("ours", "right", "wrong", "broken"))
    task = Task("t", "m", 80, contenders, "right", lambda _file: tmp_path)
    Quick.started.clear()
    found = side_by_side.measure(task, (), rounds=2, seconds=1.0)
    rehearsed, rounds = Quick.started[:3], Quick.started[3:]
    assert rehearsed == ["ours", "right", "wrong"]
    assert rounds == [*rehearsed, *reversed(rehearsed)]
    assert (found.failed, found.reference, found.overload_fps) == ({"Broken": "no such operator"}, "Right", 150.0)
    assert [peer.same_answers for peer in found.peers] == [1.0, 1.0, 0.5]
    assert [peer.ours for peer in found.peers] == [True, False, False]
    figures = found.peers[0].figures
    assert figures["offline: throughput, results/s"] == Found(50.0, (50.0, 50.0))
    assert figures["overload: CPU ms per result"].value == 10.0
    assert figures["real time: latency p50, ms"].value == 5.0
    assert figures["start to first result, s"].value == 0.5
    assert [peer.environment for peer in found.peers] == [{"THREADS": "2"}] * 3
    assert {way: used.value for way, used in found.peers[0].cores_used.items()} == dict.fromkeys(WAYS, 0.5)


PROBE = """
import os
from pathlib import Path

FOLDER = str(Path(__file__).parents[2])
os.environ["SET_BY_THE_LIBRARY"] = "1"


class Peer:
    def __init__(self, model):
        pass

    def label(self, frame):
        return 0

    def offline(self, video, answers):
        for number in range(20):
            answers(number, int(os.environ["PYTHONPATH"] == FOLDER))
"""


def test_a_peer_runs_in_a_clean_environment(tmp_path, monkeypatch):
    """A real child of a process whose settings must not reach it; what the peer's library sets is recorded."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MM_EDGE_CUDA_LIB", "PYTHONWARNINGS"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "elsewhere"))
    shutil.copytree(peer_process.HERE, tmp_path / "peers")
    (tmp_path / "peers" / "loops" / "probe.py").write_text(PROBE)
    monkeypatch.setattr(peer_process, "HERE", tmp_path / "peers")
    peer = peer_process.PeerProcess("loops.probe", "", tmp_path, video(tmp_path / "two.mp4", 2, cut_square=True))
    labels = peer.request("offline")["labels"]
    peer.close()
    assert peer.environment == {"SET_BY_THE_LIBRARY": "1"}
    assert labels == [1] * 20


def test_a_task_measured_anew_leaves_the_others_results_as_they_are(tmp_path):
    path, titles = tmp_path / "peers.json", [task.title for task in TASKS.values()]
    first, second = (msgspec.structs.replace(results(a=(1.0,)), title=title) for title in titles)
    keep(second, path)
    keep(first, path)
    assert read(path) == [first, second]
    anew = msgspec.structs.replace(second, rounds=9)
    keep(anew, path)
    assert read(path) == [first, anew]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("import sys; sys.stderr.write('first\\nlast words\\n')", "last words"),
        ("import os; os._exit(7)", "exit code 7"),
    ],
)
def test_a_peer_that_dies_is_reported_with_its_last_message(tmp_path, monkeypatch, answer, said):
    (tmp_path / "dying").write_text(f"#!{sys.executable}\n{answer}\n")
    (tmp_path / "dying").chmod(0o755)
    monkeypatch.setattr(peer_process, "python_of", lambda _environment: tmp_path / "dying")
    with pytest.raises(CannotRunError, match=said):
        peer_process.PeerProcess("plain", "", tmp_path, tmp_path)


def test_every_peer_is_pinned_and_has_its_file():
    for task in TASKS.values():
        assert task.reference in {each.file for each in task.contenders}
        for each in task.contenders:
            assert (peer_process.HERE / each.folder / f"{each.file}.py").is_file()
            assert all(versions_of(each.environment).values())


def test_only_files_that_no_run_may_still_use_are_removed_from_the_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(exported, "CACHE", tmp_path)
    newest = tmp_path / "vision-3.mmb"
    for name, hours in (("vision-1.mmb", 3), ("vision-2.mmb", 0.5), ("multimodal-1.mmb", 3), (newest.name, 0)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1e9 - hours * 3600,) * 2)
    exported.remove_older("vision-*", newest)
    assert {path.name for path in tmp_path.iterdir()} == {"vision-2.mmb", "multimodal-1.mmb", newest.name}

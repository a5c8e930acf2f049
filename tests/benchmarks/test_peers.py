"""What drives the peers: the camera that loses frames as a driver does, and its stand-in for cv2.VideoCapture."""

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from mm_edge.benchmarks.figure import Heat, Machine
from mm_edge.benchmarks.peers.driven_capture import instead_of_cv2, stamp_of
from mm_edge.benchmarks.peers.float_input import with_float_input
from mm_edge.benchmarks.peers.results import Peer, Results, winner

MACHINE = Machine("x", "y", 2.0, "", "", 1, {}, Heat(0.0, 0.0, 0, None, None, None, None))


class Frames:
    """A camera that has so many pictures."""

    fps, size = 30.0, (4, 6)

    def __init__(self, count):
        self._left = list(range(1, count + 1))

    def read(self):
        return (self._left.pop(0) * 1_000_000_007, np.zeros((4, 6, 3), np.uint8)) if self._left else None


def test_a_library_that_opens_its_own_camera_gets_the_driven_one():
    with instead_of_cv2(Frames(2)):
        capture = cv2.VideoCapture(0)
        assert (capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FPS)) == (6.0, 30.0)
        assert [stamp_of(capture.read()[1]) for _ in range(2)] == [1_000_000_007, 2_000_000_014]
        assert capture.isOpened()
        assert capture.read() == (False, None)
        assert not capture.isOpened()


def test_the_float_input_gives_the_graph_its_bytes_back(tmp_path):
    node = helper.make_node("Cast", ["picture"], ["told"], to=TensorProto.FLOAT)
    given = helper.make_tensor_value_info("picture", TensorProto.UINT8, [1, 16, 16, 3])
    told = helper.make_tensor_value_info("told", TensorProto.FLOAT, [1, 16, 16, 3])
    model = helper.make_model(
        helper.make_graph([node], "g", [given], [told]), opset_imports=[helper.make_opsetid("", 17)], ir_version=9
    )
    onnx.save(model, tmp_path / "bytes.onnx")
    session = ort.InferenceSession(with_float_input(tmp_path / "bytes.onnx", tmp_path / "float.onnx", classes=2))
    levels = np.arange(256 * 3, dtype=np.uint8).reshape(1, 16, 16, 3)
    fed = np.ascontiguousarray((levels.astype(np.float32) / 255).transpose(0, 3, 1, 2))
    assert np.array_equal(session.run(None, {"images": fed})[0], levels)


@pytest.mark.parametrize(("figure", "best"), [("age ms", "a"), ("results a second", "b")])
def test_whoever_wins_a_row_is_named_ours_or_not(figure, best):
    peers = tuple(Peer(name, False, {figure: value}, True) for name, value in (("a", 1.0), ("b", 2.0)))
    assert winner(Results("t", "m", 1, 1, 1.0, 30.0, 90.0, MACHINE, peers, {}), figure) == best

"""Histories, states and generated text: what a part may read besides the inputs of its own moment."""

import numpy as np
import pytest
from bundles import graph, tensor, tokenizer
from onnx import TensorProto, helper
from sinks import Kept
from sources import Script, pictures

from mm_edge.bundle.bundle import Bundle, digest
from mm_edge.bundle.manifest import Artefact, Manifest, Part, Read
from mm_edge.bundle.writer import write_bundle
from mm_edge.config import LoopConfig, RunConfig
from mm_edge.errors import InputError
from mm_edge.runtime.engines.stub import StubEngine
from mm_edge.runtime.session.open import open_session
from mm_edge.runtime.session.run import Run
from mm_edge.sample import Event
from mm_edge.spec import (
    ImageInput,
    ImagePrepare,
    ScoresOutput,
    Sync,
    TensorSpec,
    TextOutput,
    VideoInput,
    VideoPrepare,
)

SIZE = 8
IMAGE = ImageInput(name="image", prepare=ImagePrepare(size=(SIZE, SIZE)))
BRIGHTNESS = TensorSpec(name="brightness", dtype="float32", shape=("batch", 1))


def part(name, kind, reads, takes, gives, content, files):
    file = f"parts/{name}.onnx"
    files[file] = content
    return Part(
        name=name,
        kind=kind,
        reads=reads,
        takes=takes,
        gives=gives,
        artefacts={"fp32": Artefact(file=file, sha256=digest(content).sha256)},
    )


def brightness_part(files, tensor_in=IMAGE, axes=(1, 2, 3)):
    """The mean of a picture (or of several), which pictures() makes equal to its number."""
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["flat"], keepdims=0),
        helper.make_node("Reshape", ["flat", "column"], ["brightness"]),
    ]
    constants = {"axes": np.array(axes, np.int64), "column": np.array([-1, 1], np.int64)}
    content = graph(
        "encode_image",
        nodes,
        [tensor("image", TensorProto.UINT8, *tensor_in.shape)],
        [tensor("brightness", TensorProto.FLOAT, "batch", 1)],
        constants,
    )
    takes = (TensorSpec(name="image", dtype="uint8", shape=tensor_in.shape),)
    return part("encode_image", "encode", {"image": Read(source="input:image")}, takes, (BRIGHTNESS,), content, files)


def write(path, parts, outputs, files, inputs=(IMAGE,)):
    manifest = Manifest(
        format=1,
        name="memory",
        version=1,
        inputs=inputs,
        parts=tuple(parts),
        outputs=tuple(outputs),
        sync=Sync(driver="image"),
        golden=None,
        parity=(),
        calibration=None,
        digests={name: digest(content) for name, content in files.items()},
    )
    write_bundle(path, manifest, files)
    return path


def run(path, count, depth=3):
    kept = Kept()
    with Bundle.open(path) as bundle:
        config = RunConfig(loop=LoopConfig(depth=depth, workers=4))
        session = Run(bundle, config, [Script("image", pictures(count, size=SIZE))], [kept])
        with session:
            assert session.wait(20)
        session.raise_error()
    return [item.outputs for item in kept.predictions]


def test_a_history_gives_the_last_values_oldest_first(tmp_path):
    files = {}
    last = TensorSpec(name="last", dtype="float32", shape=("batch", 3))
    content = graph(
        "fuse",
        [helper.make_node("Squeeze", ["past", "axis"], ["last"])],
        [tensor("past", TensorProto.FLOAT, "batch", 3, 1)],
        [tensor("last", TensorProto.FLOAT, "batch", 3)],
        {"axis": np.array([2], np.int64)},
    )
    parts = [
        brightness_part(files),
        part(
            "fuse",
            "fuse",
            {"past": Read(source="part:encode_image.brightness", history=3)},
            (TensorSpec(name="past", dtype="float32", shape=("batch", 3, 1)),),
            (last,),
            content,
            files,
        ),
    ]
    outputs = [ScoresOutput(name="last", reads={"values": "part:fuse.last"})]
    told = [item["last"] for item in run(write(tmp_path / "m.mmb", parts, outputs, files), 12)]
    assert told == [[max(k - 2, 0), max(k - 1, 0), k] for k in range(12)]


def test_a_state_comes_back_at_the_next_tick(tmp_path):
    files = {}
    total = TensorSpec(name="total", dtype="float32", shape=("batch", 1))
    content = graph(
        "fuse",
        [helper.make_node("Add", ["brightness", "before"], ["total"])],
        [tensor("brightness", TensorProto.FLOAT, "batch", 1), tensor("before", TensorProto.FLOAT, "batch", 1)],
        [tensor("total", TensorProto.FLOAT, "batch", 1)],
    )
    parts = [
        brightness_part(files),
        part(
            "fuse",
            "fuse",
            {"brightness": Read(source="part:encode_image.brightness"), "before": Read(source="state:total")},
            (BRIGHTNESS, TensorSpec(name="before", dtype="float32", shape=("batch", 1))),
            (total,),
            content,
            files,
        ),
    ]
    outputs = [ScoresOutput(name="total", reads={"values": "part:fuse.total"})]
    told = [item["total"] for item in run(write(tmp_path / "m.mmb", parts, outputs, files), 40)]
    assert told == [[sum(range(k + 1))] for k in range(40)]


def counting_bundle(path):
    """Its state is the sum of all pictures' numbers."""
    files = {}
    before = TensorSpec(name="before", dtype="float32", shape=("batch", 1))
    total = TensorSpec(name="total", dtype="float32", shape=("batch", 1))
    content = graph(
        "fuse",
        [helper.make_node("Add", ["brightness", "before"], ["total"])],
        [tensor("brightness", TensorProto.FLOAT, "batch", 1), tensor("before", TensorProto.FLOAT, "batch", 1)],
        [tensor("total", TensorProto.FLOAT, "batch", 1)],
    )
    reads = {"brightness": Read(source="part:encode_image.brightness"), "before": Read(source="state:total")}
    parts = [brightness_part(files), part("fuse", "fuse", reads, (BRIGHTNESS, before), (total,), content, files)]
    return write(path, parts, [ScoresOutput(name="total", reads={"values": "part:fuse.total"})], files)


def fails_at(number, works):
    """Of the parts' functions, in calls."""
    calls = []

    def function(**inputs):
        calls.append(1)
        if len(calls) == number:
            raise RuntimeError("a transient fault")
        return works(**inputs)

    return function


@pytest.mark.parametrize("depth", [1, 2, 3, 8])
@pytest.mark.parametrize("failing", ["fuse", "encode_image"])
def test_one_fault_costs_one_moment_and_the_state_continues_from_the_one_before(tmp_path, depth, failing):
    functions = {
        "encode_image": lambda image: {"brightness": image.mean(dtype=np.float32).reshape(1, 1)},
        "fuse": lambda brightness, before: {"total": brightness + before},
    }
    functions[failing] = fails_at(6, functions[failing])
    kept = Kept()
    with Bundle.open(counting_bundle(tmp_path / "m.mmb")) as bundle:
        config = RunConfig(loop=LoopConfig(depth=depth, workers=1))
        session = Run(bundle, config, [Script("image", pictures(20, size=SIZE))], [kept], engine=StubEngine(functions))
        with session:
            assert session.wait(20)
        session.raise_error()
        for stage in session.loop.streams[0].plan.stages:  # all places but that of the newest result are free again
            assert len(stage.free) == (2 * depth if stage.in_order else depth + 1) - 1
    sums = np.cumsum([0 if k == 5 else k for k in range(20)])
    assert [item.outputs["total"] for item in kept.predictions] == [[sums[k]] for k in range(20) if k != 5]
    assert kept.summary.dropped["image"]["failed"] == 1
    (fault,) = [event for event in kept.items if isinstance(event, Event) and event.source == "engine"]
    assert "a transient fault" in fault.detail
    assert "states of parts continue from the moment before" in fault.detail


def test_a_failed_prediction_leaves_the_state_as_it_was(tmp_path):
    with open_session(counting_bundle(tmp_path / "m.mmb")) as session:
        frame = np.full((SIZE, SIZE, 3), 3, np.uint8)
        assert session.predict(image=frame).outputs["total"] == [3]
        with pytest.raises(InputError):
            session.predict(image=frame.astype(float))
        assert session.predict(image=frame + 1).outputs["total"] == [7]


def test_an_equal_picture_is_another_capture_for_a_part_that_remembers(tmp_path):
    frame = np.full((SIZE, SIZE, 3), 3, np.uint8)
    with open_session(counting_bundle(tmp_path / "m.mmb")) as session:
        assert [session.predict(image=frame).outputs["total"] for _ in range(3)] == [[3], [6], [9]]


@pytest.mark.parametrize("depth", [1, 4])
def test_a_video_is_the_last_pictures_in_order(tmp_path, depth):
    files = {}
    video = VideoInput(name="image", prepare=VideoPrepare(size=(SIZE, SIZE), frames=3, stride=2))
    parts = [brightness_part(files, video, axes=(1, 2, 3, 4))]
    outputs = [ScoresOutput(name="mean", reads={"values": "part:encode_image.brightness"})]
    told = [item["mean"] for item in run(write(tmp_path / "m.mmb", parts, outputs, files, (video,)), 30, depth)]
    assert told[4:] == [[k - 2] for k in range(4, 30)]


def test_generated_text_runs_a_decode_part_until_its_end(tmp_path):
    """The part counts up from the brightness: picture 5 gives the words 6, 7, 8, … up to the end token 11."""
    files = {"tokenizer.json": tokenizer()}
    nodes = [
        helper.make_node("Cast", ["token"], ["last"], to=TensorProto.FLOAT),
        helper.make_node("Max", ["last", "brightness"], ["now"]),
        helper.make_node("Add", ["now", "one"], ["next"]),
        helper.make_node("Add", ["steps", "one"], ["count"]),
        helper.make_node("Sub", ["ids", "next"], ["distance"]),
        helper.make_node("Abs", ["distance"], ["apart"]),
        helper.make_node("Neg", ["apart"], ["logits"]),
    ]
    content = graph(
        "decode_words",
        nodes,
        [
            tensor("token", TensorProto.INT64, 1, 1),
            tensor("brightness", TensorProto.FLOAT, 1, 1),
            tensor("steps", TensorProto.FLOAT, 1, 1),
        ],
        [tensor("logits", TensorProto.FLOAT, 1, 12), tensor("count", TensorProto.FLOAT, 1, 1)],
        {"one": np.ones((1, 1), np.float32), "ids": np.arange(12, dtype=np.float32)[None]},
    )
    column = {"dtype": "float32", "shape": (1, 1)}
    decode = part(
        "decode_words",
        "decode",
        {
            "token": Read(source="loop:token"),
            "brightness": Read(source="part:encode_image.brightness"),
            "steps": Read(source="state:count"),
        },
        (
            TensorSpec(name="token", dtype="int64", shape=(1, 1)),
            TensorSpec(name="brightness", **column),
            TensorSpec(name="steps", **column),
        ),
        (TensorSpec(name="logits", dtype="float32", shape=(1, 12)), TensorSpec(name="count", **column)),
        content,
        files,
    )
    outputs = [
        TextOutput(
            name="words",
            reads={"logits": "part:decode_words.logits"},
            part="decode_words",
            tokenizer="tokenizer.json",
            start=0,
            end=11,
        )
    ]
    path = write(tmp_path / "m.mmb", [brightness_part(files), decode], outputs, files)
    told = [item["words"] for item in run(path, 8)]
    assert told[5] == "blue ball cube stop go"
    assert told[7] == "cube stop go"
    with open_session(path) as live:
        assert live.predict(image=np.full((SIZE, SIZE, 3), 8, np.uint8)).outputs["words"] == "stop go"


def predictions_of_cameras(path, counts, depth=3):
    kept = Kept()
    with Bundle.open(path) as bundle:
        config = RunConfig(loop=LoopConfig(depth=depth, workers=4))
        cameras = [
            Script("image", pictures(count, (k + 2) * 9_000_000, SIZE), name=f"camera{k}") for k, count in counts
        ]
        session = Run(bundle, config, cameras, [kept])
        with session:
            assert session.wait(20)
        session.raise_error()
    return {k: [item.outputs for item in kept.predictions if item.camera == f"camera{k}"] for k, _ in counts}


@pytest.mark.parametrize("depth", [1, 3])
def test_each_camera_has_a_state_of_its_own(tmp_path, depth):
    told = predictions_of_cameras(counting_bundle(tmp_path / "m.mmb"), [(0, 40), (1, 25), (2, 60)], depth)
    for k, count in ((0, 40), (1, 25), (2, 60)):
        assert [item["total"] for item in told[k]] == [[sum(range(tick + 1))] for tick in range(count)]


def test_each_camera_has_kept_pictures_of_its_own(tmp_path):
    files = {}
    video = VideoInput(name="image", prepare=VideoPrepare(size=(SIZE, SIZE), frames=3, stride=2))
    path = write(
        tmp_path / "m.mmb",
        [brightness_part(files, video, axes=(1, 2, 3, 4))],
        [ScoresOutput(name="seen", reads={"values": "part:encode_image.brightness"})],
        files,
        inputs=(video,),
    )
    alone = run(path, 20)
    told = predictions_of_cameras(path, [(0, 20), (1, 20)])
    assert told[0] == told[1] == alone

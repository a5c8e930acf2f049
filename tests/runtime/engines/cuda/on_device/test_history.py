"""Histories: what the CPU's loop remembers the device remembers too, and nothing of it crosses the host."""

from collections import deque

import numpy as np
import pytest
from bundles import graph, tensor
from host_double import host_double
from onnx import TensorProto, helper
from sinks import Kept
from sources import Script, pictures

from mm_edge.bundle.bundle import Bundle, digest
from mm_edge.bundle.manifest import Artefact, Manifest, Part, Read
from mm_edge.bundle.writer import write_bundle
from mm_edge.config import LoopConfig, RunConfig
from mm_edge.runtime.engines.cuda.history import DeviceHistory
from mm_edge.runtime.engines.onnxruntime import OnnxRuntimeEngine
from mm_edge.runtime.session.run import Run
from mm_edge.spec import ImageInput, ImagePrepare, ScoresOutput, Sync, TensorSpec

SOON_S, SIZE, LENGTH, TICKS = 60.0, 8, 5, 40
FLOATS = np.dtype(np.float32)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """The last five brightnesses, and the last five pictures' mean: one history of a part's, one of an input's."""
    image = ImageInput(name="image", prepare=ImagePrepare(size=(SIZE, SIZE)))
    axes = {"pixels": np.array([1, 2, 3], np.int64), "all_pixels": np.array([2, 3, 4], np.int64)}
    encode = graph(
        "encode_image",
        [
            helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["float", "pixels"], ["mean"], keepdims=0),
            helper.make_node("Unsqueeze", ["mean", "last"], ["brightness"]),
        ],
        [tensor("image", TensorProto.UINT8, "batch", SIZE, SIZE, 3)],
        [tensor("brightness", TensorProto.FLOAT, "batch", 1)],
        {"pixels": axes["pixels"], "last": np.array([1], np.int64)},
    )
    fuse = graph(
        "fuse",
        [
            helper.make_node("Squeeze", ["past", "last"], ["before"]),
            helper.make_node("Cast", ["film"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["float", "all_pixels"], ["shown"], keepdims=0),
        ],
        [
            tensor("past", TensorProto.FLOAT, "batch", LENGTH, 1),
            tensor("film", TensorProto.UINT8, "batch", LENGTH, SIZE, SIZE, 3),
        ],
        [tensor("before", TensorProto.FLOAT, "batch", LENGTH), tensor("shown", TensorProto.FLOAT, "batch", LENGTH)],
        {"last": np.array([2], np.int64), "all_pixels": axes["all_pixels"]},
    )
    files = {"parts/encode_image.onnx": encode, "parts/fuse.onnx": fuse}

    def part(name, kind, reads, takes, gives):
        file = f"parts/{name}.onnx"
        artefacts = {"fp32": Artefact(file=file, sha256=digest(files[file]).sha256)}
        return Part(name=name, kind=kind, reads=reads, takes=takes, gives=gives, artefacts=artefacts)

    past = {
        "past": Read(source="part:encode_image.brightness", history=LENGTH),
        "film": Read(source="input:image", history=LENGTH),
    }
    manifest = Manifest(
        format=1,
        name="past",
        version=1,
        inputs=(image,),
        parts=(
            part(
                "encode_image",
                "encode",
                {"image": Read(source="input:image")},
                (TensorSpec(name="image", dtype="uint8", shape=image.shape),),
                (TensorSpec(name="brightness", dtype="float32", shape=("batch", 1)),),
            ),
            part(
                "fuse",
                "fuse",
                past,
                (
                    TensorSpec(name="past", dtype="float32", shape=("batch", LENGTH, 1)),
                    TensorSpec(name="film", dtype="uint8", shape=("batch", LENGTH, SIZE, SIZE, 3)),
                ),
                tuple(TensorSpec(name=name, dtype="float32", shape=("batch", LENGTH)) for name in ("before", "shown")),
            ),
        ),
        outputs=tuple(ScoresOutput(name=name, reads={"values": f"part:fuse.{name}"}) for name in ("before", "shown")),
        sync=Sync(driver="image", inputs={}),
        golden=None,
        parity=(),
        calibration=None,
        digests={name: digest(content) for name, content in files.items()},
    )
    path = tmp_path_factory.mktemp("bundle") / "past.mmb"
    write_bundle(path, manifest, files)
    with Bundle.open(path) as opened:
        yield opened


def predictions_of(bundle, engine, depth):
    kept, config = Kept(), RunConfig(loop=LoopConfig(depth=depth, workers=4))
    with Run(bundle, config, [Script("image", pictures(TICKS, size=SIZE))], [kept], engine=engine) as run:
        assert run.wait(SOON_S)
    run.raise_error()
    return [(item.seq, item.outputs) for item in kept.predictions]


def unchecked(device, **options):
    engine = host_double(device, **options)
    engine.golden_tolerance = None  # a part with a history has no golden values
    return engine


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize(("slow_ms", "graphs"), [(0, True), (1, True), (1, False)])
def test_the_device_remembers_what_the_cpu_remembers(driver, device, bundle, depth, slow_ms, graphs):
    before = driver.counts()
    here = predictions_of(bundle, OnnxRuntimeEngine(), depth)
    driver.slow_copies(slow_ms)
    copies = driver.count("host_copies")
    there = predictions_of(bundle, unchecked(device, use_graphs=graphs), depth)
    assert there == here
    assert here[-1][1]["before"] == list(range(TICKS - LENGTH, TICKS))
    # In: each picture, for the encoder and for the film. Out: the results, in one. The histories themselves: nothing.
    assert driver.count("host_copies") - copies == TICKS * 3
    assert driver.count("sync_copies") == driver.count("pageable_copies") == 0
    assert driver.counts() == before


def test_a_run_that_somebody_still_refers_to_owns_nothing_on_the_device(driver, device, bundle):
    """A thread that ends late on a loaded machine refers to its run, and so to every slot and history."""
    before = driver.counts()
    run = Run(bundle, RunConfig(), [Script("image", pictures(3, size=SIZE))], [], engine=unchecked(device))
    slots = [place.extra for stage in run.loop.streams[0].plan.stages for place in stage.free]
    with run:
        assert run.wait(SOON_S)
    assert slots
    assert driver.counts() == before


@pytest.mark.parametrize("shape", [(1, 3), (2, 3), (3, 2, 2)])
@pytest.mark.parametrize("length", [1, 2, 5])
def test_rows_of_a_batch_each_have_their_own_past(driver, device, shape, length):
    """Values come faster than the device copies; rooms take turns, as those of the moments in flight do."""
    driver.slow_copies(1)
    before, rng = driver.counts(), np.random.default_rng(1)
    with device.current():
        history = DeviceHistory(device, shape, FLOATS, length)
        stream, rooms = device.stream(), [history.room() for _ in range(3)]
        value = device.pinned(shape, FLOATS)
        source = Source(device, value)
        kept = deque([np.zeros(shape, np.float32)] * length, length)
        for number in range(2 * length + 3):
            source.wait_until_read()
            value[...] = rng.random(shape)
            kept.append(value.copy())
            history.push(source, rooms[number % 3])
            if number % 4 == 3:
                np.testing.assert_array_equal(rooms[number % 3].host(), np.stack(list(kept), axis=1))
        np.testing.assert_array_equal(rooms[number % 3].host(), np.stack(list(kept), axis=1))
        history.drop(rooms.pop())
        history.free()
        device.unpin(value)
        del history, rooms, stream, source, value
    assert driver.counts() == before


class Source:
    """Pinned memory as a value."""

    def __init__(self, device, array):
        self._device, self._array, self.readers, self.ready = device, array, set(), None

    def copy_to(self, address, stream):
        self._device.send(address, self._array, stream)

    def wait_until_read(self):
        while self.readers:
            self.readers.pop().synchronize()

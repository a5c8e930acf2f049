"""Slots: work that is only put on streams, graphs that never replay what is stale, memory that is given back."""

import gc
import time
from pathlib import Path

import numpy as np
import pytest
from bundles import senses_bundle
from host_double import host_double

import mm_edge
from mm_edge.bundle.bundle import Bundle
from mm_edge.errors import EngineError
from mm_edge.runtime.engine import DeviceMemoryError
from mm_edge.runtime.engines.golden import measure_golden
from mm_edge.runtime.engines.onnxruntime import OnnxRuntimeEngine
from mm_edge.runtime.engines.tensors import fixed_shapes, numpy_dtype

ROUNDS = 50
OWN_SHARE_MS = 0.1  # several times what it takes


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    with Bundle.open(senses_bundle(tmp_path_factory.mktemp("bundle") / "senses.mmb", golden=True)) as opened:
        yield opened


def load(engine, bundle, name):
    part = bundle.manifest.part(name)
    return engine.load(part, "fp32", bundle.read(part.artefacts["fp32"].file), fixed_shapes(bundle.manifest, part), 1)


def random_inputs(bundle, part, rng):
    shapes = fixed_shapes(bundle.manifest, part)
    values = {}
    for tensor in part.takes:
        dtype = numpy_dtype(tensor.dtype)
        high = 255 if dtype == np.uint8 else 8
        values[tensor.name] = (rng.random(shapes[tensor.name]) * high).astype(dtype)
    return values


def on_the_cpu(bundle, name, values):
    engine = OnnxRuntimeEngine()
    executable = load(engine, bundle, name)
    slot = executable.slot()
    shapes = fixed_shapes(bundle.manifest, executable.part)
    buffers = [engine.buffer(shapes[t.name], numpy_dtype(t.dtype)) for t in executable.part.takes]
    for buffer, tensor in zip(buffers, executable.part.takes, strict=True):
        buffer.array[...] = values[tensor.name]
    slot.run(buffers)
    return {name: value.host().copy() for name, value in slot.outputs.items()}


class Held:
    """One part on the test driver, with buffers for its inputs."""

    def __init__(self, device, bundle, name, *, use_graphs=True, to_host=()):
        self.engine = host_double(device, use_graphs=use_graphs)
        self.executable = load(self.engine, bundle, name)
        self.part, shapes = self.executable.part, fixed_shapes(bundle.manifest, self.executable.part)
        self.buffers = [self.engine.buffer(shapes[t.name], numpy_dtype(t.dtype)) for t in self.part.takes]
        self.slot = self.executable.slot(to_host)

    def run(self, values):
        for buffer, tensor in zip(self.buffers, self.part.takes, strict=True):
            buffer.wait_until_read()
            buffer.array[...] = values[tensor.name]
        self.slot.run(self.buffers)

    def close(self):
        self.executable.close()
        self.engine.close()


@pytest.mark.parametrize("use_graphs", [True, False])
@pytest.mark.parametrize("known", [True, False], ids=["known to be read", "asked for"])
def test_every_run_gives_what_its_own_inputs_give(driver, device, bundle, use_graphs, known):
    before, rng = driver.counts(), np.random.default_rng(3)
    part = bundle.manifest.part("encode_image")
    to_host = [tensor.name for tensor in part.gives] if known else []
    with device.current():
        held = Held(device, bundle, "encode_image", use_graphs=use_graphs, to_host=to_host)
        launches = driver.count("graph_launches")
        for _ in range(ROUNDS):
            values = random_inputs(bundle, part, rng)
            held.run(values)
            for name, wanted in on_the_cpu(bundle, "encode_image", values).items():
                np.testing.assert_array_equal(held.slot.outputs[name].host(), wanted)
        assert driver.count("graph_launches") - launches == (ROUNDS if use_graphs else 0)
        assert held.engine.describe()["graphs"] == {"encode_image": "captured" if use_graphs else "not requested"}
        held.close()
        del held
    assert driver.counts() == before


def test_a_buffer_is_not_written_while_the_device_still_reads_it(driver, device, bundle):
    """With slow copies the host is far ahead: every run must still see the numbers that it was given."""
    driver.slow_copies(5)
    rng, part = np.random.default_rng(5), bundle.manifest.part("encode_image")
    with device.current():
        held = Held(device, bundle, "encode_image")
        given = [random_inputs(bundle, part, rng) for _ in range(5)]
        slots = [held.executable.slot([part.gives[0].name]) for _ in given]
        for values, slot in zip(given, slots, strict=True):
            held.slot = slot
            held.run(values)
        for values, slot in zip(given, slots, strict=True):
            name = part.gives[0].name
            np.testing.assert_array_equal(slot.outputs[name].host(), on_the_cpu(bundle, "encode_image", values)[name])
        held.close()


def test_an_output_is_not_overwritten_while_another_part_still_reads_it(driver, device, bundle):
    driver.slow_copies(5)
    rng, encode, fuse = (np.random.default_rng(7), *(bundle.manifest.part(n) for n in ("encode_image", "fuse")))
    read = {t.name: fuse.reads[t.name].source for t in fuse.takes}
    with device.current():
        encoder, fused = (
            Held(device, bundle, "encode_image"),
            Held(device, bundle, "fuse", to_host=[fuse.gives[0].name]),
        )
        other = random_inputs(bundle, fuse, rng)
        for buffer, tensor in zip(fused.buffers, fuse.takes, strict=True):
            buffer.array[...] = other[tensor.name]
        given = [random_inputs(bundle, encode, rng) for _ in range(4)]
        slots = [fused.executable.slot([fuse.gives[0].name]) for _ in given]
        for values, slot in zip(given, slots, strict=True):
            encoder.run(values)  # the same slot again and again, as fast as the host can
            taken = []
            for buffer, tensor in zip(fused.buffers, fuse.takes, strict=True):
                kind, _, rest = read[tensor.name].partition(":")
                name, _, field = rest.partition(".")
                mine = kind == "part" and name == "encode_image"
                taken.append(encoder.slot.outputs[field] if mine else buffer)
            slot.run(taken)
        for values, slot in zip(given, slots, strict=True):
            encoded = on_the_cpu(bundle, "encode_image", values)
            inputs = dict(other)
            for name, source in read.items():
                if source.startswith("part:encode_image."):
                    inputs[name] = encoded[source.rpartition(".")[2]]
            wanted = on_the_cpu(bundle, "fuse", inputs)[fuse.gives[0].name]
            np.testing.assert_array_equal(slot.outputs[fuse.gives[0].name].host(), wanted)
        for held in (encoder, fused):
            held.close()


def test_what_a_slot_holds_since_its_last_run_is_not_copied_again(driver, device, bundle):
    """And what was written anew is, be it one input of several."""
    part, rng = bundle.manifest.part("fuse"), np.random.default_rng(11)
    with device.current():
        held = Held(device, bundle, "fuse", to_host=[tensor.name for tensor in part.gives])
        values = random_inputs(bundle, part, rng)
        held.run(values)
        for number in range(6):
            before = driver.count("host_copies")
            if number % 2:
                rewritten = number % len(part.takes)
                name = part.takes[rewritten].name
                values[name] = random_inputs(bundle, part, rng)[name]
                held.buffers[rewritten].wait_until_read()
                held.buffers[rewritten].array[...] = values[name]
            held.slot.run(held.buffers)
            for output, wanted in on_the_cpu(bundle, "fuse", values).items():
                np.testing.assert_array_equal(held.slot.outputs[output].host(), wanted)
            assert driver.count("host_copies") - before == (2 if number % 2 else 1)  # all results come home in one
        held.close()


def test_a_moment_asks_the_driver_for_little(driver, device, bundle):
    """A picture's own: its copy, two events, four waits, one launch. The fusion's: the colour beside what it holds."""
    encode, fuse = bundle.manifest.part("encode_image"), bundle.manifest.part("fuse")
    with device.current():
        encoder = Held(device, bundle, "encode_image")
        fused = Held(device, bundle, "fuse", to_host=[tensor.name for tensor in fuse.gives])
        colour = next(i for i, t in enumerate(fuse.takes) if fuse.reads[t.name].source == "part:encode_image.colour")
        read = [*fused.buffers[:colour], encoder.slot.outputs["colour"], *fused.buffers[colour + 1 :]]
        requested = []
        for _ in range(3):
            values = random_inputs(bundle, encode, np.random.default_rng(1))
            before = driver.count("calls")
            encoder.run(values)
            between = driver.count("calls")
            fused.slot.run(read)
            requested.append((between - before, driver.count("calls") - between))
            fused.slot.outputs[fuse.gives[0].name].host()
        assert requested[-1][0] <= 9
        assert requested[-1][1] <= 9
        for held in (encoder, fused):
            held.close()


def test_our_own_share_of_a_moment_is_small(driver, device, bundle):
    """A tick may take the host 0.3 ms, most of which is for the driver. The quickest tells, as others run here too."""
    encode, fuse = bundle.manifest.part("encode_image"), bundle.manifest.part("fuse")
    with device.current():
        encoder = Held(device, bundle, "encode_image")
        fused = Held(device, bundle, "fuse", to_host=[tensor.name for tensor in fuse.gives])
        colour = next(i for i, t in enumerate(fuse.takes) if fuse.reads[t.name].source == "part:encode_image.colour")
        read = [*fused.buffers[:colour], encoder.slot.outputs["colour"], *fused.buffers[colour + 1 :]]
        values, taken_ms = random_inputs(bundle, encode, np.random.default_rng(1)), []
        driver.swallow()
        for _ in range(ROUNDS):
            encoder.buffers[0].wait_until_read()
            encoder.buffers[0].array[...] = values["image"]
            began = time.perf_counter()
            encoder.slot.run(encoder.buffers)
            fused.slot.run(read)
            taken_ms.append((time.perf_counter() - began) * 1000)
        assert min(taken_ms) < OWN_SHARE_MS
        for held in (encoder, fused):
            held.close()


def test_the_host_does_not_wait_where_it_only_puts_work_on_a_stream(driver, device, bundle):
    driver.slow_copies(30)
    rng, part = np.random.default_rng(1), bundle.manifest.part("encode_image")
    with device.current():
        held = Held(device, bundle, "encode_image", to_host=[part.gives[0].name])
        value = held.slot.outputs[part.gives[0].name]
        held.run(random_inputs(bundle, part, rng))
        assert not value.ready.query()
        value.host()
        assert value.ready.query()
        assert driver.count("sync_copies") == driver.count("pageable_copies") == 0
        held.close()


@pytest.mark.parametrize("kind", ["copy", "compute"])
def test_what_two_encoders_do_is_under_way_at_once(driver, device, bundle, kind):
    """By the driver's own record: both have begun before either goes on. No clock is asked."""
    rng, meetings = np.random.default_rng(1), driver.count("meetings")
    with device.current():
        encoders = [Held(device, bundle, name) for name in ("encode_image", "encode_audio")]
        given = [random_inputs(bundle, held.part, rng) for held in encoders]
        driver.meet(kind, kind)
        for held, values in zip(encoders, given, strict=True):
            held.run(values)
        for held in encoders:
            held.close()
    assert driver.count("meetings") - meetings == 1


def test_a_picture_is_copied_while_the_one_before_it_is_computed_on(driver, device, bundle):
    meetings = driver.count("meetings")
    with device.current():
        held, other = Held(device, bundle, "encode_image"), Held(device, bundle, "encode_image")
        first, second = held.slot, held.executable.slot()
        held.run(random_inputs(bundle, held.part, np.random.default_rng(1)))
        first.outputs[held.part.gives[0].name].host()
        driver.meet("compute", "copy")
        first.run(held.buffers)  # which it holds: nothing is copied
        second.run(other.buffers)
        for each in (held, other):
            each.close()
    assert driver.count("meetings") - meetings == 1


def test_work_that_waits_for_other_work_does_not_meet_it(driver, device, bundle):
    """One part computes moment after moment, so this is what a meeting that fails looks like."""
    meetings = driver.count("meetings")
    with device.current():
        held = Held(device, bundle, "encode_image")
        driver.meet("compute", "compute", within_ms=50)
        for slot in (held.slot, held.executable.slot()):
            slot.run(held.buffers)
        held.close()
    assert driver.count("meetings") == meetings


def test_outputs_are_zero_before_the_first_run_and_after_clear(device, driver, bundle):
    part = bundle.manifest.part("encode_image")
    with device.current():
        held = Held(device, bundle, "encode_image", to_host=[part.gives[0].name])
        value = held.slot.outputs[part.gives[0].name]
        assert not value.host().any()
        held.run(random_inputs(bundle, part, np.random.default_rng(1)))
        assert value.host().any()
        held.slot.clear()
        assert not value.host().any()
        held.close()


def test_a_graph_that_cannot_be_captured_is_told_and_done_without(driver, device, bundle):
    driver.fault("cuStreamBeginCapture_v2", 801)
    part = bundle.manifest.part("encode_image")
    values = random_inputs(bundle, part, np.random.default_rng(1))
    with device.current():
        held = Held(device, bundle, "encode_image")
        told = held.engine.describe()["graphs"]["encode_image"]
        assert told.startswith(
            "none: capturing 'encode_image' in fp32 as a CUDA graph: cuStreamBeginCapture failed with CUDA_"
        )
        held.run(values)
        for name, wanted in on_the_cpu(bundle, "encode_image", values).items():
            np.testing.assert_array_equal(held.slot.outputs[name].host(), wanted)
        held.close()


def test_a_launch_that_fails_names_the_part(driver, device, bundle):
    part = bundle.manifest.part("encode_image")
    with device.current():
        held = Held(device, bundle, "encode_image")
        driver.fault("cuGraphLaunch", 1)
        with pytest.raises(
            EngineError, match="running 'encode_image' in fp32: cuGraphLaunch failed with CUDA_ERROR_INVALID_VA"
        ):
            held.run(random_inputs(bundle, part, np.random.default_rng(1)))
        driver.heal()
        held.close()


@pytest.mark.parametrize("use_graphs", [True, False])
def test_where_memory_is_shared_inputs_are_read_in_place_if_that_is_faster(
    driver, device, bundle, monkeypatch, use_graphs
):
    """Copies are slow here, so in place wins. Two buffers take turns: neither may be taken for the other."""
    monkeypatch.setattr(device, "integrated", True)
    driver.slow_copies(2)
    before, rng, part = driver.counts(), np.random.default_rng(9), bundle.manifest.part("encode_image")
    with device.current():
        held = Held(device, bundle, "encode_image", use_graphs=use_graphs, to_host=[part.gives[0].name])
        assert held.engine.describe()["inputs"]["encode_image"].startswith("read in place (")
        first, second = held.buffers, [held.engine.buffer(b.array.shape, b.array.dtype) for b in held.buffers]
        copies = driver.count("host_copies")
        for number in range(10):
            held.buffers = second if number % 2 else first
            values = random_inputs(bundle, part, rng)
            held.run(values)
            for name, wanted in on_the_cpu(bundle, "encode_image", values).items():
                np.testing.assert_array_equal(held.slot.outputs[name].host(), wanted)
        assert driver.count("host_copies") - copies == 10  # the results alone
        held.close()
        del held, first, second
    assert driver.counts() == before


def test_where_memory_is_shared_and_copies_cost_nothing_both_ways_give_the_same(driver, device, bundle, monkeypatch):
    monkeypatch.setattr(device, "integrated", True)
    values = random_inputs(bundle, bundle.manifest.part("fuse"), np.random.default_rng(9))
    wanted = on_the_cpu(bundle, "fuse", values)
    with device.current():
        for in_place in (True, False):
            held = Held(device, bundle, "fuse")
            assert "ms copied, " in held.engine.describe()["inputs"]["fuse"]
            held.executable.reads_in_place = in_place
            held.run(values)
            for name, value in wanted.items():
                np.testing.assert_array_equal(held.slot.outputs[name].host(), value)
            held.close()


def test_a_slot_for_which_there_is_no_room_leaves_nothing_behind(driver, device, bundle):
    with device.current():
        held = Held(device, bundle, "encode_image")
        before = driver.counts()
        for after in range(4):  # whichever of its allocations it is that fails
            driver.fault("cuMemAlloc_v2", 2, after)
            try:
                slot = held.executable.slot()
            except DeviceMemoryError:
                pass
            else:
                held.executable.release(slot)
                del slot
            driver.heal()
            assert driver.counts() == before
        held.close()


def test_nothing_is_freed_that_is_still_being_copied(driver, device, bundle):
    """To the host, and to the part that reads it; the driver tells of addresses that are nobody's any more."""
    encode, fuse = bundle.manifest.part("encode_image"), bundle.manifest.part("fuse")
    colour = next(i for i, t in enumerate(fuse.takes) if fuse.reads[t.name].source == "part:encode_image.colour")
    values = random_inputs(bundle, encode, np.random.default_rng(1))
    with device.current():
        for to_host in ([], [encode.gives[0].name]):
            encoder, fused = Held(device, bundle, "encode_image", to_host=to_host), Held(device, bundle, "fuse")
            read = [*fused.buffers[:colour], encoder.slot.outputs["colour"], *fused.buffers[colour + 1 :]]
            driver.slow_copies(20)
            encoder.run(values)
            if not to_host:
                fused.slot.run(read)
            encoder.executable.release(encoder.slot)
            del read
            driver.slow_copies(0)
            for held in (encoder, fused):
                held.close()
        assert driver.count("bad_addresses") == 0


def test_what_is_freed_waits_for_no_collector(driver, device, bundle):
    """What pycuda holds must be gone before a device can be lost: the collector may come only afterwards."""
    gc.collect()
    gc.disable()
    try:
        before = {name: driver.count(name) for name in ("streams", "events")}
        with device.current():
            held = Held(device, bundle, "fuse", to_host=["all"])
            held.run(random_inputs(bundle, held.part, np.random.default_rng(1)))
            held.slot.outputs["all"].host()
            held.close()
            del held
        assert {name: driver.count(name) for name in before} == before
    finally:
        gc.enable()


def test_the_golden_check_of_what_ships_passes_and_gives_back_what_it_used(driver, device):
    before = driver.counts()
    engine = host_double(device)
    with Bundle.open(Path(mm_edge.__file__).parent / "data/scout.mmb") as bundle:
        executables = {part.name: load(engine, bundle, part.name) for part in bundle.manifest.parts}
        empty = driver.count("device_bytes")
        shown = measure_golden(bundle, engine, executables, 1e-3)
        assert driver.count("device_bytes") == empty
    assert all(row.passed for row in shown)
    assert len(shown) == len(executables) + 1
    for executable in executables.values():
        executable.close()
    engine.close()
    del executables, engine, executable
    assert driver.counts() == before

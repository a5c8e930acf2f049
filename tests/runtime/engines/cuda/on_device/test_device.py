"""One GPU through pycuda: contexts, streams, events, memory, and the names of what goes wrong."""

import re
import threading

import numpy as np
import pytest
from cuda_driver import toolkit

from mm_edge.errors import DeviceError, EngineError
from mm_edge.runtime.engine import DeviceMemoryError
from mm_edge.runtime.engines.cuda import device as device_room
from mm_edge.runtime.engines.cuda import graphs
from mm_edge.runtime.engines.cuda.device import Device
from mm_edge.runtime.engines.cuda.faults import LOST, DeviceLostError, explain
from mm_edge.runtime.engines.cuda.graphs import _Bindings, _Ctypes, capture

FLOATS = np.dtype(np.float32)


@pytest.fixture
def current(device):
    with device.current():
        yield device


def test_it_says_what_it_is(current):
    assert (current.name, current.capability) == ("Test GPU (host memory)", "8.6")
    assert current.driver.endswith("for CUDA 13.0")
    assert not current.integrated
    assert current.free_bytes() > 1 << 30


@pytest.mark.parametrize(
    ("told", "version"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27 07:18:53 UTC 2025\n", "580.65.06"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  540.4.0  Release Build  (a@b)\n", "540.4.0"),
        ("something else", ""),
        (None, ""),
    ],
)
def test_the_drivers_own_version_is_what_its_module_tells(monkeypatch, tmp_path, told, version):
    if told is not None:
        (tmp_path / "version").write_text(told + "GCC version:  gcc version 12.3.0\n")
    monkeypatch.setattr(device_room, "NVIDIA_MODULE", tmp_path / "version")
    assert device_room.driver_version() == version


def test_a_gpu_that_is_not_there_is_an_error_with_how_many_there_are(device):
    with pytest.raises(DeviceError, match="opening the GPU 3: the number of GPUs is 1"):
        Device(3)


def test_every_thread_has_the_context_for_itself(driver, device):
    before, failed = driver.count("pushes"), []

    def work():
        try:
            device.push()
            with device.current():
                device.stream().synchronize()
            device.pop()
        except BaseException as error:  # noqa: BLE001  # told in the thread that asks
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert driver.count("pushes") - before >= 8  # pycuda pushes once more where it lets go of something


def test_a_push_or_a_pop_that_fails_is_told_by_its_name(driver, device):
    driver.fault("cuCtxPushCurrent_v2", 101)
    with pytest.raises(
        EngineError, match="attaching a thread to the GPU: cuCtxPushCurrent failed with CUDA_ERROR_INVALID_DEVICE"
    ):
        device.push()
    driver.fault("cuCtxPopCurrent_v2", 101)
    with (
        pytest.raises(EngineError, match="asking: cuCtxPopCurrent failed with CUDA_ERROR_INVALID_DEVICE"),
        device.current("asking"),
    ):
        pass
    device.pop()


def test_what_went_wrong_first_is_told_where_letting_go_fails_as_well(driver, device):
    driver.fault("cuStreamCreate", 2)
    driver.fault("cuCtxPopCurrent_v2", 101)
    with (
        pytest.raises(DeviceMemoryError, match="asking: cuStreamCreate failed with CUDA_ERROR_OUT"),
        device.current("asking"),
    ):
        device.stream()
    device.pop()


def test_without_a_context_the_message_names_it(device):
    with pytest.raises(device.error) as raised:
        device.free_bytes()
    assert "CUDA_ERROR_INVALID_CONTEXT" in str(explain(raised.value, "asking"))


def test_memory_is_zero_at_first_and_is_given_back(driver, current):
    before, stream = driver.counts(), current.stream()
    array = current.pinned((4,), FLOATS)
    assert not array.any()
    array[...] = 5
    memory = current.memory(16, stream)
    current.fetch(array, memory.address, stream)
    stream.synchronize()
    assert not array.any()
    memory.free()
    current.unpin(array)
    del stream, array
    assert driver.counts() == before


def test_copies_come_one_after_the_other_on_a_stream_and_do_not_make_the_host_wait(driver, current):
    driver.slow_copies(20)
    stream, event = current.stream(), current.event()
    memory, source, result = current.memory(16, stream), current.pinned((4,), FLOATS), current.pinned((4,), FLOATS)
    source[...] = [1, 2, 3, 4]
    current.send(memory.address, source, stream)
    current.fetch(result, memory.address, stream)
    event.record(stream)
    assert not event.query()
    assert not result.any()
    event.synchronize()
    assert list(result) == [1, 2, 3, 4]
    assert driver.count("sync_copies") == 0
    memory.free()


def test_a_stream_waits_for_anothers_event(driver, current):
    driver.slow_copies(20)
    first, second, event = current.stream(), current.stream(), current.event()
    memory, source, result = current.memory(16, first), current.pinned((4,), FLOATS), current.pinned((4,), FLOATS)
    source[...] = 7
    current.send(memory.address, source, first)
    event.record(first)
    second.wait_for_event(event)
    current.fetch(result, memory.address, second)
    second.synchronize()
    assert list(result) == [7] * 4
    memory.free()


def test_a_pageable_source_would_be_noticed(driver, current):
    """The driver of the tests tells apart what the loop must never do."""
    before, stream = driver.count("pageable_copies"), current.stream()
    memory = current.memory(16, stream)
    current.send(memory.address, np.zeros(4, np.float32), stream)
    assert driver.count("pageable_copies") == before + 1
    memory.free()


def test_timed_events_tell_how_long_it_took(driver, current):
    driver.slow_copies(10)
    stream, begin, end = current.stream(), current.event(timed=True), current.event(timed=True)
    memory, source = current.memory(16, stream), current.pinned((4,), FLOATS)
    begin.record(stream)
    current.send(memory.address, source, stream)
    end.record(stream)
    end.synchronize()
    assert 9 < end.time_since(begin) < 1000
    memory.free()


@pytest.mark.parametrize("calls", [_Bindings, _Ctypes])
def test_a_graph_does_again_what_was_captured_with_what_is_there_now(driver, current, calls):
    before = driver.count("graphs")
    stream = current.stream()
    memory, source, result = current.memory(16, stream), current.pinned((4,), FLOATS), current.pinned((4,), FLOATS)

    def work(_stream):
        current.send(memory.address, source, stream)
        current.fetch(result, memory.address, stream)

    graph = capture(work, stream.handle, "two copies", calls())
    stream.synchronize()
    assert not result.any()  # captured, not run
    for value in (1, 2, 3):
        source[...] = value
        graph.launch(stream.handle)
        stream.synchronize()
        assert list(result) == [value] * 4
    graph.close()
    memory.free()
    assert driver.count("graphs") == before


@pytest.mark.parametrize("error", [ModuleNotFoundError("cuda"), ImportError("undefined symbol"), OSError("libx.so")])
def test_where_cuda_bindings_does_not_load_graphs_go_through_ctypes_and_that_is_told(monkeypatch, caplog, error):
    def broken():
        raise error

    monkeypatch.setattr(graphs, "_Bindings", broken)
    assert graphs.graph_calls.__wrapped__().title == "ctypes"
    told = f"'cuda-bindings' is installed but does not load ({error})"
    assert (told in caplog.text) == (not isinstance(error, ModuleNotFoundError))


@pytest.mark.parametrize("calls", [_Bindings, _Ctypes])
def test_a_capture_that_fails_leaves_the_stream_usable(driver, current, calls):
    stream, other, event = current.stream(), current.stream(), current.event()
    event.record(other)
    with pytest.raises(current.error):
        capture(lambda _: stream.wait_for_event(event), stream.handle, "a wait for others", calls())
    stream.synchronize()
    driver.fault("cuStreamBeginCapture_v2", 900)
    with pytest.raises(Exception, match="cuStreamBeginCapture failed with CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"):
        capture(lambda _: None, stream.handle, "nothing", calls())
    driver.fault("cuGraphInstantiateWithFlags", 2)
    with pytest.raises(DeviceMemoryError, match="cuGraphInstantiate failed with CUDA_ERROR_OUT_OF_MEMORY"):
        capture(lambda _: None, stream.handle, "nothing", calls())


def test_too_little_memory_has_its_own_error(driver, device):
    driver.memory(1 << 20)
    with (
        pytest.raises(DeviceMemoryError, match="making room: cuMemAlloc failed with CUDA_ERROR_OUT_OF_MEMORY"),
        device.current("making room"),
    ):
        device.memory(1 << 24, device.stream())


@pytest.mark.parametrize(("code", "name"), [(700, "ILLEGAL_ADDRESS"), (719, "LAUNCH_FAILED"), (46, "UNAVAILABLE")])
def test_a_device_that_is_lost_has_its_own_error(driver, device, code, name):
    with device.current("waiting"):
        stream = device.stream()
    driver.lose(code)
    with pytest.raises(device.error) as raised:
        stream.synchronize()
    driver.heal()
    lost = explain(raised.value, "waiting")
    assert isinstance(lost, DeviceLostError)
    assert re.search(f"the GPU is lost: cuStreamSynchronize failed with CUDA_ERROR_.*{name}", str(lost))


def test_what_cuda_documents_as_the_end_of_a_process_is_a_lost_device():
    """By the header that the test driver was made from."""
    text = (toolkit() / "include/cuda.h").read_text()
    codes = text[text.index("typedef enum cudaError_enum") : text.index("} CUresult;")]
    found = re.findall(r"/\*\*(.*?)\*/\s*(CUDA_ERROR_\w+)\s*=", codes, re.DOTALL)
    fatal = {
        name
        for about, name in found
        if re.search(r"inconsistent state|cannot be used|can only continue", re.sub(r"[\s*]+", " ", about))
    }
    assert len(fatal) >= 10
    assert fatal - LOST == set()

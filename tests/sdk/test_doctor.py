"""`mm-edge doctor`: correct on machines without any hardware and on fully equipped ones."""

import errno
import json
import os
import re
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import onnx
import pytest

from mm_edge import cores
from mm_edge.bundle.signing import generate_keys
from mm_edge.doctor import cameras, engines, examine, gpu, processor, software, sound, storage, system, v4l2
from mm_edge.jetson import board, power

STATES = {"ok", "warning", "missing", "error"}


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Another machine: only the `files` under its root exist; no command is on its PATH."""
    root = tmp_path / "root"
    root.mkdir()
    monkeypatch.setattr(system, "ROOT", root)
    for module in (gpu, power):
        monkeypatch.setattr(module, "ROOT", root)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def put(files):
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)

    return put


@pytest.fixture
def nothing_answers(monkeypatch):
    """No library loads: every probe fails as if the package were missing."""
    monkeypatch.setattr(sys, "executable", "/not/there/python")


def by_name(findings):
    return {finding.name: finding for finding in findings}


def test_this_machine_is_examined_without_a_failure(command):
    outcome = command("doctor", "--json")
    assert outcome.code == 0
    findings = json.loads(outcome.out)["findings"]
    every = [finding for found in findings.values() for finding in found]
    assert {finding["state"] for finding in every} <= STATES
    assert not [finding for finding in every if "the check itself failed" in finding["found"]]
    assert all(finding["hint"] for finding in every if finding["state"] == "error"), "each error needs a hint"
    assert findings["Engines"][1]["facts"]["loads"][0].endswith("ExecutionProvider")
    assert {"Python", "mm-edge", "packages", "CPU", "cores", "memory", "engine cache"} <= {
        each["name"] for each in every
    }


def test_the_table(command):
    outcome = command("doctor")
    assert outcome.code == 0
    assert "ONNX Runtime" in outcome.out
    assert outcome.out.strip().splitlines()[-1].endswith("errors")


def test_machine_that_has_nothing(machine, nothing_answers, command):
    """No /proc, no /sys, no /dev, no command, no library that loads."""
    outcome = command("doctor", "--json")
    assert outcome.code == 0
    findings = json.loads(outcome.out)["findings"]
    every = [finding for found in findings.values() for finding in found]
    assert not [finding for finding in every if "the check itself failed" in finding["found"]]
    assert findings["Board"] == []
    assert command("doctor").code == 0
    assert command("devices").code == 0
    assert json.loads(command("devices", "--json").out)["cameras"] == []


def test_check_that_fails_is_one_finding_among_others():
    def failing():
        raise RuntimeError("no idea")

    findings = examine.examine({"More": (failing, list)})
    assert [finding.state for finding in findings["More"]] == ["error"]
    assert "RuntimeError: no idea" in findings["More"][0].found
    assert findings["Software"]


def test_an_interrupt_does_not_wait_for_checks_that_still_run(monkeypatch):
    release = threading.Event()

    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(examine, "CHECKS", {})
    started = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            examine.examine({"First": (interrupted,), "Second": (lambda: release.wait(20) and [],)})
        assert time.monotonic() - started < 10
    finally:
        release.set()


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import os; os.abort()", "killed by signal 6"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "killed by signal 11"),
        ("raise SystemExit(3)", "exit code 3"),
        ("import nonsense_that_is_not_there", "No module named"),
        ("print('no JSON')", "exit code 0"),
        ("while True: pass", "no response within 0.5 s"),
    ],
)
def test_a_crashing_library_crashes_only_its_own_process(code, why):
    probe = system.Probe(code, seconds=0.5 if "while" in code else 30)
    assert not probe
    assert why in probe.failed


CGROUP_V2 = {"proc/self/cgroup": "0::/box/inner\n", "sys/fs/cgroup/box/cpu.max": "150000 100000\n"}
CGROUP_V1 = {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}


@pytest.mark.parametrize(
    ("files", "bound", "usable"),
    [
        ({}, 4, 4),
        ({**CGROUP_V2, "sys/fs/cgroup/box/inner/cpu.max": "max 100000\n"}, 4, 1.5),
        ({**CGROUP_V2, "sys/fs/cgroup/box/inner/cpu.max": "100000 100000\n"}, 4, 1),
        (CGROUP_V1, 4, 0.5),
        (CGROUP_V2, 1, 1),
        ({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n"}, 4, 4),
    ],
)
def test_usable_cores(machine, monkeypatch, files, bound, usable):
    machine(files)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(bound)))
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert cores.core_share(system.ROOT) == usable
    finding = by_name(processor.processor())["cores"]
    assert finding.state == ("ok" if usable == 4 else "warning")
    assert bool(finding.hint) == (usable != 4)


@pytest.mark.parametrize(
    ("cpuinfo", "state", "names"),
    [
        ("flags\t\t: fpu avx2 avx512f avx512_vnni amx_tile amx_int8\n", "ok", ["AVX2", "AVX-512", "VNNI", "AMX"]),
        ("flags\t\t: fpu avx2\n", "warning", ["AVX2"]),
        ("Features\t: fp asimd asimddp\n", "ok", ["NEON", "NEON dot product"]),
        ("Features\t: fp asimd\n", "warning", ["NEON"]),
        ("", "missing", []),
    ],
)
def test_instructions(machine, cpuinfo, state, names):
    machine({"proc/cpuinfo": cpuinfo})
    finding = by_name(processor.processor())["instructions"]
    assert finding.state == state
    assert all(name in finding.found for name in names)


def test_memory_heat_and_cache(machine, tmp_path):
    machine(
        {
            "proc/meminfo": "MemTotal:       8000000 kB\nMemAvailable:    500000 kB\n",
            "sys/fs/cgroup/memory.max": str(2 << 30),
            "sys/class/thermal/thermal_zone0/type": "cpu",
            "sys/class/thermal/thermal_zone0/temp": "93500",
            "sys/class/thermal/thermal_zone1/type": "board",
            "sys/class/thermal/thermal_zone1/temp": "41000",
        }
    )
    found = by_name(storage.storage())
    assert found["memory"].state == "warning"
    assert "limited to 2.0 GiB" in found["memory"].found
    assert (found["temperature"].state, found["temperature"].facts) == ("warning", {"cpu": 93.5, "board": 41.0})
    assert found["engine cache"].state == "ok"
    assert str(tmp_path / "cache") in found["engine cache"].found
    assert not (tmp_path / "cache").exists(), "looking changes nothing"


def test_cache_that_cannot_be_written(machine, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    found = by_name(storage.storage())["engine cache"]
    assert found.state == "error"
    assert "XDG_CACHE_HOME" in found.hint


def test_a_missing_driver_is_distinguished_from_a_missing_gpu(machine, monkeypatch):
    class Failed:
        failed = "OSError: libcuda.so.1: cannot open shared object file"

        def __init__(self, *_):
            pass

        def __bool__(self):
            return False

    monkeypatch.setattr(gpu, "Probe", Failed)
    assert [finding.state for finding in gpu.gpu()] == ["missing"]
    machine({"sys/bus/pci/devices/0/vendor": "0x10de\n", "sys/bus/pci/devices/0/class": "0x030000\n"})
    (found,) = gpu.gpu()
    assert found.state == "error"
    assert "driver" in found.hint


def test_gpu_with_driver(machine, monkeypatch):
    orin = {"name": "Orin", "bytes": 8 << 30, "capability": [8, 7], "integrated": True}

    class Answered:
        result = {"cuda": 12060, "gpus": [orin]}  # a stand-in

        def __init__(self, *_):
            pass

    monkeypatch.setattr(gpu, "Probe", Answered)
    machine(
        {"proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  540.4.0  Release"}
    )
    found = by_name(gpu.gpu())
    assert found["NVIDIA driver"].found == "540.4.0, CUDA 12.6"
    assert found["GPU 0"].found == "Orin, compute capability 8.7, memory shared with the CPU"


def test_the_model_that_onnxruntime_is_tried_with_is_one():
    model = onnx.load_model_from_string(bytes.fromhex(engines.IDENTITY))
    onnx.checker.check_model(model)
    assert [node.op_type for node in model.graph.node] == ["Identity"]


def test_a_provider_that_falls_back_silently_is_reported(tmp_path, monkeypatch):
    """A stand-in for onnxruntime without CUDA's libraries: the provider is listed, but the CPU runs silently."""
    (tmp_path / "onnxruntime.py").write_text(
        "__version__ = '1.0'\n"
        "def set_default_logger_severity(_): pass\n"
        "def get_available_providers(): return ['CUDAExecutionProvider', 'CPUExecutionProvider']\n"
        "class InferenceSession:\n"
        "    def __init__(self, model, providers): pass\n"
        "    def get_providers(self): return ['CPUExecutionProvider']\n"
        "    def run(self, names, feeds): pass\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = by_name(engines.onnxruntime())
    assert found["ONNX Runtime"].found == "1.0; runs on: CPU"
    assert found["ONNX Runtime CUDA"].state == "error"
    assert "fell back" in found["ONNX Runtime CUDA"].found


def test_packages(monkeypatch):
    declared = [
        "numpy>=1.26",
        "gone>=1.0",
        'tomli>=2; python_version < "3.11"',
        'torch>=2.9; extra == "export"',
        'mm-edge[export]; extra == "hf"',
        'absent>=5; extra == "hf"',
    ]
    versions = {"mm-edge": "0.1.0", "numpy": "1.20.1", "gone": "1.0", "tomli": "2.0", "torch": "2.13.0+cpu"}

    def version(name):
        if name not in versions:
            raise software.metadata.PackageNotFoundError
        return versions[name]

    monkeypatch.setattr(software.metadata, "requires", lambda _: declared)
    monkeypatch.setattr(software.metadata, "version", version)
    found = software.software()
    packages = by_name(found)["packages"]
    assert packages.state == "error"
    assert packages.found == "missing: numpy (1.20.1 is older than 1.26)"
    assert [(each.state, each.found) for each in found if each.name == "extras"] == [
        ("ok", "export"),
        ("missing", "hf requires absent"),
    ]


def test_the_shipped_model_is_verified_with_the_shipped_key(monkeypatch, tmp_path):
    found = software.shipped_model()
    assert found.state == "ok"
    assert "signed by" in found.found
    _, stranger = generate_keys(tmp_path / "stranger")
    monkeypatch.setattr(software, "default_key", lambda: stranger)
    found = software.shipped_model()
    assert found.state == "error"
    assert "signed by the key" in found.found


def test_full_opencv_is_a_fault(monkeypatch):
    monkeypatch.setattr(software, "_version", lambda name: "4.0" if name == "opencv-python" else None)
    (found,) = software._full_opencv()
    assert found.state == "error"
    assert "pip uninstall opencv-python" in found.hint


def test_sound_that_may_not_be_opened(machine, monkeypatch, nothing_answers):
    machine({"proc/asound/cards": " 0 [Camera         ]: USB-Audio - HD Camera\n", "dev/snd/pcmC0D0c": ""})
    assert by_name(sound.sound())["ALSA"].state == "ok"
    monkeypatch.setattr(sound, "may_use", lambda _: False)
    found = by_name(sound.sound())["ALSA"]
    assert found.state == "error"
    assert "audio" in found.hint


class FakeDriver:
    """Responds to V4L2 calls like a camera with two formats; fails past the end of a list."""

    MODES = {b"MJPG": {(1280, 720): [(1, 30), (1, 60)]}, b"YUYV": {(640, 480): [(1, 30)]}}

    def __init__(self, capabilities=0x84200001):
        self.capabilities = capabilities

    def __call__(self, _descriptor, call, raw):
        if call == v4l2.QUERY_CAPABILITY:
            return struct.pack(
                "=16s32s32sIII12x", b"uvcvideo", b"HD Camera", b"usb-1", 0, self.capabilities, self.capabilities & 1
            )
        form = {v4l2.ENUM_FORMAT: v4l2._FORMAT, v4l2.ENUM_SIZE: v4l2._SIZE, v4l2.ENUM_INTERVAL: v4l2._INTERVAL}[call]
        assert form.size == call >> 16 & 0x3FFF, "the number of a call includes the size of its struct"
        action = form.unpack(raw)
        try:
            return form.pack(*self.answer(call, action))
        except IndexError:
            raise OSError(errno.EINVAL, "Invalid argument") from None

    def answer(self, call, action):
        index = action[0]
        if call == v4l2.ENUM_FORMAT:
            return index, action[1], 0, b"", list(self.MODES)[index]
        if call == v4l2.ENUM_SIZE:
            return index, action[1], 1, *list(self.MODES[action[1]])[index], 0, 0, 0, 0
        return *action[:4], 1, *self.MODES[action[1]][action[2], action[3]][index], 0, 0, 0, 0


def test_cameras_and_their_modes(machine, monkeypatch, command):
    machine({"dev/video0": "", "dev/video1": ""})
    monkeypatch.setattr(v4l2.fcntl, "ioctl", FakeDriver())
    found = by_name(cameras.cameras())["camera 0"]
    assert found.found == "HD Camera (uvcvideo), 2 modes, up to 1280x720 at 60 fps MJPG"
    shown = command("devices").out
    assert "1280x720" in shown
    assert "60 30" in shown
    monkeypatch.setattr(v4l2.fcntl, "ioctl", FakeDriver(capabilities=0x84A00000))
    assert cameras.video_devices() == [], "a device for meta data is no camera"


def test_camera_that_may_not_be_opened(machine, monkeypatch):
    machine({"dev/video0": ""})
    monkeypatch.setattr(cameras, "may_use", lambda _: False)
    found = by_name(cameras.cameras())["camera 0"]
    assert found.state == "error"
    assert "usermod -aG video" in found.hint


def test_camera_that_does_not_answer(machine):
    machine({"dev/video0": ""})
    found = by_name(cameras.cameras())["camera 0"]
    assert found.state == "error", "a plain file is no V4L2 device"
    assert "Inappropriate ioctl" in found.found


@pytest.mark.parametrize(
    ("there", "loads", "state", "hint"),
    [
        (True, True, "ok", ""),
        (True, False, "error", "decoder=opencv"),
        (False, False, "missing", "mm-edge[video]"),
    ],
)
def test_the_video_decoder_is_reported(monkeypatch, there, loads, state, hint):
    monkeypatch.setattr(cameras, "find_spec", lambda _: there or None)
    if not loads:
        monkeypatch.setattr(cameras, "PYAV", "import nonsense_that_is_not_there")
    found = cameras._pyav()
    assert found.state == state
    assert hint in found.hint
    if loads:
        assert "with FFmpeg" in found.found


JETSON = {
    "proc/device-tree/model": "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super\0",
    "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64",
    "sys/class/devfreq/17000000.gpu/cur_freq": "306000000",
    "sys/class/devfreq/17000000.gpu/min_freq": "306000000",
    "sys/class/devfreq/17000000.gpu/max_freq": "1020000000",
    "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1/in1_label": "VDD_IN",
    "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1/in1_input": "5000",
    "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1/curr1_input": "1200",
}


def test_jetson(machine, tmp_path):
    """A board as documented; not tested on a real board (docs/gpu-status.md)."""
    machine(JETSON)
    (tmp_path / "bin").mkdir()
    nvpmodel = tmp_path / "bin" / "nvpmodel"
    nvpmodel.write_text("#!/bin/sh\necho 'NV Power Mode: 15W'\necho 0\n")
    nvpmodel.chmod(0o755)
    found = by_name([*board.board(), *power.power()])
    assert found["board"].found.startswith("NVIDIA Jetson Orin Nano")
    assert found["JetPack"].found == "L4T 36.4.3, JetPack 6"
    assert found["power mode"].facts == {"name": "15W", "mode": 0}
    assert found["GPU clock"].found == "306 of 1020 MHz"
    assert "jetson_clocks" in found["GPU clock"].hint
    assert found["power draw"].found == "VDD_IN 6 W"


def test_old_jetpack_is_a_fault(machine):
    machine({**JETSON, "etc/nv_tegra_release": "# R35 (release), REVISION: 4.1, GCID: 1"})
    found = by_name(board.board())["JetPack"]
    assert found.state == "error"
    assert "JetPack 6" in found.hint


def test_a_jetson_without_commands_is_still_reported(machine):
    machine(JETSON)
    assert by_name(power.power())["power mode"].state == "missing"


ON_A_TERMINAL = """
import os, pty, sys
os.environ.update(TERM="xterm-256color", COLUMNS="80")
sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))
"""


def test_the_real_command_on_a_terminal():
    """On a pseudo-terminal: in color, and no line wider than the terminal."""
    command = Path(sys.executable).with_name("mm-edge")
    program = [sys.executable, "-c", ON_A_TERMINAL, command, "doctor"]
    done = subprocess.run(program, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout
    assert "\x1b[32m✓" in done.stdout
    plain = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
    assert max(len(line) for line in plain.splitlines()) <= 80

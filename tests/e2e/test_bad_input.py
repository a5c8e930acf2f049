"""What users and files get wrong: each ends with the documented exit code, one message, and no traceback."""

import os
import subprocess
import sys

import cv2
import numpy as np
import onnx
import pytest
from bundles import graph, senses_bundle
from commands import Commands
from videos import write_video

RUN = ("run", "senses.mmb", "-q", "--camera", "synthetic", "--seconds", "0.2")
NUMBERS = ("nan", "inf", "-inf", "1e308")


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    folder = tmp_path_factory.mktemp("commands")
    senses_bundle(folder / "senses.mmb")
    write_video(folder / "camera.mp4", 5)
    made = Commands(folder)
    yield made
    made.close()


@pytest.mark.parametrize(
    "setting",
    [
        *(f"sources.camera.offset_ms={number}" for number in NUMBERS),
        *(f"sources.mic.offset_ms={number}" for number in NUMBERS),
        *(f"loop.seconds={number}" for number in NUMBERS),
        "sources.camera.fps=1e-300",
        "loop.depth=" + "9" * 5000,
        "x=" + "[" * 2000,
        "driver=nobody",
        "driver=audio",
        "engine.options.nobody=1",
        "sources.take=" + "a" * 2000,
    ],
)
def test_a_setting_that_cannot_be_used_is_refused(commands, setting):
    named = "choosing" if setting == "driver=audio" else "using" if "a" * 2000 in setting else "reading"
    assert f"error: {named}" in commands.check(*RUN[:-2], "--set", setting, code=2)["err"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seconds", "inf"], "loop.seconds"),
        (["--view", "..:8799"], "'..' is not a host"),
        (["--view", "9" * 5000], "expected [HOST:]PORT"),
        (["--view", "٣"], "expected [HOST:]PORT"),  # a digit, but none of a port
        (["--jsonl", ""], "the path is empty"),
        (["--camera", "csi://" + "9" * 5000], "is not a valid image source"),
        (["--camera", "9" * 300], "is not a valid image source"),
        (["--camera", "/dev/" + "9" * 300], "is not a valid image source"),
        (["--jsonl", "a.jsonl", "--sink", "jsonl:./a.jsonl"], "writing to ./a.jsonl: two outputs write to it"),
        (["--jsonl", "a.jsonl", "--trace", "x/../a.jsonl"], "two outputs write to it"),
        (["--jsonl", "-", "--sink", "jsonl:-"], "two outputs write to it"),
        (["--demo", "--take", "."], "--demo is a take as well"),
        (["--engine", "onnxruntime", "--set", "engine.options.nobody=1"], "unknown options: nobody"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused(commands, words, message):
    assert message in commands.check(*RUN, *words, code=2)["err"]


@pytest.mark.parametrize("text", ["a=" + "[" * 100_000, "a=" + "{b=" * 5_000, "a=" + "9" * 5_000, "#" * (2 << 20)])
def test_a_configuration_or_spec_that_the_parser_gives_up_on_is_refused(commands, text):
    (commands.folder / "c.toml").write_text(text)
    assert "reading c.toml" in commands.check(*RUN, "--config", "c.toml", code=2)["err"]


SPEC = """
[model]
name = "m"
[[model.inputs]]
modality = "vector"
name = "x"
prepare = { size = 3 }
[[model.outputs]]
kind = "scores"
name = "y"
reads = { values = "y" }
[model.sync]
driver = "x"
[front_end.NAME]
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
"""


@pytest.mark.parametrize("name", ["nobody", "x"])
def test_a_front_end_for_something_else_than_an_image_is_refused(commands, name):
    (commands.folder / "spec.toml").write_text(SPEC.replace("NAME", name))
    x, y = (onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, [1, 3]) for tensor in "xy")
    (commands.folder / "x.onnx").write_bytes(graph("g", [onnx.helper.make_node("Relu", ["x"], ["y"])], [x], [y]))
    said = commands.check("export", "x.onnx", "-o", "x.mmb", "--spec", "spec.toml", code=2)["err"]
    assert f"error: reading spec.toml: [front_end.{name}] is not for an image input" in said


@pytest.mark.parametrize("content", [None, b"\xff", b"[" * 100_000, b"{}", b'{"schema": "\xff"}'])
def test_reports_without_end_or_meaning_are_no_baseline(commands, content):
    if content is not None:
        (commands.folder / "then.json").write_bytes(content)
    baseline = "/dev/zero" if content is None else "then.json"
    said = commands.check("bench", "senses.mmb", "--baseline", baseline, code=2)["err"]
    assert f"error: reading the report {baseline}" in said


@pytest.mark.parametrize("place", ["a_file", "a_file/x", "/dev/null", "/proc/x"])
def test_keys_go_into_a_folder_that_can_be_written(commands, place):
    (commands.folder / "a_file").write_text("")
    assert f"creating a key pair in {place}" in commands.check("keygen", place, code=2)["err"]


@pytest.mark.parametrize("name", ["camera.mp4", "sound.wav", "text.jsonl"])
@pytest.mark.parametrize("content", [b"garbage", b"\xff\xfe", b"", None], ids=["garbage", "bytes", "empty", "folder"])
def test_an_unreadable_stream_of_a_take_is_named(commands, tmp_path, name, content):
    write_video(tmp_path / "camera.mp4", 5)
    (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / name).mkdir() if content is None else (tmp_path / name).write_bytes(content)
    empty_text = name == "text.jsonl" and content == b""  # a take in which nobody says anything
    ended = commands.check("run", "senses.mmb", "-q", "--take", tmp_path, "--speed", "max", code=0 if empty_text else 2)
    assert name in ended["err"] or empty_text


def test_a_broken_sequence_gives_its_good_pictures_and_then_exit_code_2(commands, tmp_path):
    for number in range(5):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "3.png").write_bytes(b"broken")
    words = ("run", "senses.mmb", "-q", "--camera", f"{tmp_path}/%d.png", "--speed", "max", "--jsonl", "-")
    ended = commands.check(*words, code=2)
    assert ended["out"].count('"kind":"prediction"') == 3
    assert "image 4 of 5" in ended["err"]


@pytest.mark.parametrize("kib", [100_000, 500_000])
def test_too_small_an_address_space_is_refused_before_a_library_crashes_in_it(commands, kib):
    command = f"ulimit -v {kib}; exec {sys.executable} -m mm_edge.cli {' '.join(RUN)}"
    done = subprocess.run(["sh", "-c", command], cwd=commands.folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("error: ")) == (2, 1)
    assert "the address space is limited to" in done.stderr


def test_a_closed_standard_input_gives_no_text(commands):
    command = [sys.executable, "-m", "mm_edge.cli", *RUN, "--text", "-"]
    done = subprocess.run(
        command, cwd=commands.folder, preexec_fn=lambda: os.close(0), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.count("error: ")) == (2, 1)
    assert "standard input is closed" in done.stderr

"""Logs: one JSON object a line where no person looks, and nothing of it in a program that uses the library."""

import json
import logging
import subprocess
import sys

import pytest

from mm_edge.log import JsonLines, set_up_logging


def test_one_object_a_line(capsys):
    set_up_logging("debug")
    logging.getLogger("mm_edge.runtime").warning("the camera %s\nis lost", "0")
    (text,) = capsys.readouterr().err.splitlines()
    line = json.loads(text)
    assert (line["level"], line["logger"], line["message"]) == ("warning", "mm_edge.runtime", "the camera 0\nis lost")
    assert line["time"].endswith("+00:00")


def test_traceback_stays_on_the_line():
    try:
        raise ValueError("no")
    except ValueError:
        record = logging.getLogger("mm_edge").makeRecord("mm_edge", 40, "f", 1, "it failed", (), sys.exc_info())
    line = JsonLines().format(record)
    assert "\n" not in line
    assert "ValueError: no" in json.loads(line)["traceback"]


@pytest.mark.parametrize(("level", "lines"), [("info", 0), ("debug", 1)])
def test_level(capsys, level, lines):
    set_up_logging(level)
    logging.getLogger("mm_edge").debug("a detail")
    assert len(capsys.readouterr().err.splitlines()) == lines


def test_library_leaves_logging_alone():
    program = "import logging, mm_edge, mm_edge.bundle.bundle; print(len(logging.getLogger('mm_edge').handlers))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"

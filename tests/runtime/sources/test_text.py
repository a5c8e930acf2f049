"""Text: literal, from standard input, and played."""

import contextlib
import os
import threading

import pytest
from playing import ManualPlayClock

from mm_edge.errors import InputError
from mm_edge.runtime.clock import NS_PER_MS, ManualClock
from mm_edge.runtime.sources.played_list import PlayedList
from mm_edge.runtime.sources.text.lines import MOST_BYTES, TextLines
from mm_edge.runtime.sources.text.literal import LiteralText
from mm_edge.runtime.sources.text.script import read_script


def test_a_literal_is_given_once_and_then_what_is_put():
    clock = ManualClock(100)
    text = LiteralText("text", "red", clock)
    assert text.open().ready
    first = text.read()
    assert (first.payload, first.t_ns) == ("red", 100)
    clock.advance(50)
    text.put("green")
    text.put("blue")
    clock.advance(50)
    second = text.read()
    assert (second.payload, second.t_ns, text.text) == ("blue", 150, "blue")


def test_a_reader_that_waits_is_woken_by_a_text_and_by_an_interrupt():
    text, heard = LiteralText("text", "red"), []
    text.open()
    text.read()

    def listen():
        while (capture := text.read()) is not None:
            heard.append(capture.payload)
            came.set()

    came = threading.Event()
    thread = threading.Thread(target=listen)
    thread.start()
    text.put("blue")
    assert came.wait(10)
    text.interrupt()
    thread.join(10)
    assert not thread.is_alive()
    assert heard == ["blue"]
    text.open()
    assert text.read().payload == "blue"  # opened again it gives what stands


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for end in ends:
        with contextlib.suppress(OSError):  # the test has closed it
            os.close(end)


def test_each_line_is_a_text_and_the_last_needs_no_line_break(pipe):
    lines = TextLines("text", pipe[0], ManualClock(7))
    lines.open()
    os.write(pipe[1], "the red ball\n\n  grüner Würfel \nlast".encode())
    os.close(pipe[1])
    assert [lines.read().payload for _ in range(3)] == ["the red ball", "grüner Würfel", "last"]
    assert lines.read() is None
    lines.close()


def test_a_line_in_pieces_is_one_line(pipe):
    lines = TextLines("text", pipe[0])
    lines.open()
    os.write(pipe[1], b"the red")
    thread = threading.Thread(target=os.write, args=(pipe[1], b" ball\n"))
    thread.start()
    assert lines.read().payload == "the red ball"
    thread.join()
    lines.close()


def test_the_rest_of_a_line_that_is_too_long_is_skipped(pipe):
    lines = TextLines("text", pipe[0])
    lines.open()

    def write():
        left = 1 << 20
        while left:
            left -= os.write(pipe[1], b"x" * min(left, 60_000))
        os.write(pipe[1], b"\nnext\n")

    thread = threading.Thread(target=write)
    thread.start()
    assert MOST_BYTES <= len(lines.read().payload) < 3 * MOST_BYTES
    assert lines.read().payload == "next"
    thread.join()
    lines.close()


def test_a_reader_of_lines_that_waits_can_be_interrupted_and_loses_nothing(pipe):
    lines = TextLines("text", pipe[0])
    lines.open()
    os.write(pipe[1], b"half")
    heard = []
    thread = threading.Thread(target=lambda: heard.append(lines.read()))
    thread.start()
    lines.interrupt()
    thread.join(10)
    assert heard == [None]
    lines.close()
    lines.open()
    os.write(pipe[1], b" and half\n")
    assert lines.read().payload == "half and half"
    lines.close()


def test_a_script_is_played_at_its_times(tmp_path):
    file = tmp_path / "text.jsonl"
    file.write_text('{"t_ms": 0, "text": "red"}\n\n{"t_ms": 1500.5, "text": "blue"}\n')
    play = ManualPlayClock(start_ns=1000)
    source = PlayedList("text", "text", file.name, lambda: read_script(file), play)
    assert source.open().detail == "text.jsonl, 2 entries"
    captures = [source.read(), source.read()]
    assert [(capture.payload, capture.t_ns - 1000) for capture in captures] == [
        ("red", 0),
        ("blue", 1500 * NS_PER_MS + NS_PER_MS // 2),
    ]
    assert source.read() is None


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('{"t_ms": -1, "text": "x"}', "line 2: .*t_ms"),
        ('{"t_ms": 5}', "line 2: .*text"),
        ('{"t_ms": 5, "text": "x", "more": 1}', "line 2: .*more"),
        ("red", "line 2"),
        ('{"t_ms": 0, "text": "x"}', "line 2: t_ms 0 is not later"),
    ],
)
def test_a_broken_script_is_refused_with_its_line(tmp_path, line, found):
    file = tmp_path / "text.jsonl"
    file.write_text('{"t_ms": 0, "text": "red"}\n' + line)
    with pytest.raises(InputError, match=found):
        read_script(file)

"""The engines on disk: whatever is not exactly what was built here is built again, and why is told."""

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace

import pytest

from mm_edge.runtime.engines.building import BuildStopped
from mm_edge.runtime.engines.tensorrt.cache import EngineCache, Key

KEY = Key(
    onnx="a" * 64,
    library="tensorrt",
    version="10.3.0",
    options='{"level": 3}',
    capability="8.7",
    device="Orin",
    driver="12060",
)
ENGINE = bytes(range(256)) * 64


@pytest.fixture
def cache(tmp_path):
    return EngineCache(tmp_path / "engines")


def kept(cache, key=KEY):
    cache.keep(key, ENGINE, 12.5, "3 layers")
    return cache.folder / f"{key.stem}.engine"


def test_what_was_kept_comes_back_the_same(cache):
    kept(cache)
    found = cache.look_up(KEY).kept
    assert (found.engine, found.build_s, found.layers) == (ENGINE, 12.5, "3 layers")


def test_nothing_there_is_told(cache):
    assert cache.look_up(KEY).why == "it was not built here before"


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda content: content[:-1], "bytes, expected"),
        (lambda content: content[:-1] + b"\x00", "its digest does not match"),
        (lambda content: content + b"\x00", "bytes, expected"),
        (lambda content: content[:40], "does not start with the header|damaged"),
        (lambda content: b"", "does not start with the header"),
        (lambda content: b"x" + content[1:], "does not start with the header"),
        (lambda content: content.replace(b'"driver"', b'"drover"', 1), "its header cannot be read"),
        (lambda content: content.replace(b'"12060"', b'"12070"', 1), "has another key"),
    ],
)
def test_a_damaged_engine_is_not_loaded(cache, damage, told):
    path = kept(cache)
    path.write_bytes(damage(path.read_bytes()))
    looked = cache.look_up(KEY)
    assert looked.kept is None
    assert any(part in looked.why for part in told.split("|"))


def test_every_byte_counts(cache):
    """Whichever byte is changed, the bytes that would be loaded are those that were kept, or none are."""
    path = kept(cache)
    content = path.read_bytes()
    for place in range(0, len(content), 37):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        found = cache.look_up(KEY).kept
        assert found is None or found.engine == ENGINE


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("version", "10.13.3", "version changed from 10.3.0 to 10.13.3"),
        ("driver", "13000", "driver changed from 12060 to 13000"),
        ("device", "Thor", "device changed from Orin to Thor"),
        ("capability", "11.0", "capability changed from 8.7 to 11.0"),
        ("options", "{}", "other build options"),
        ("library", "tensorrt-rtx", "library changed from tensorrt to tensorrt-rtx"),
    ],
)
def test_an_engine_of_something_else_is_named_and_not_taken(cache, field, value, told):
    kept(cache)
    looked = cache.look_up(replace(KEY, **{field: value}))
    assert (looked.kept, looked.why, looked.usual_s) == (None, told, 12.5)


def test_another_graph_has_nothing_to_do_with_it(cache):
    kept(cache)
    assert cache.look_up(replace(KEY, onnx="b" * 64)).why == "it was not built here before"


def test_the_engines_of_an_old_driver_go_and_those_of_another_version_stay(cache):
    old, other = kept(cache), kept(cache, replace(KEY, version="11.4.0"))
    new = kept(cache, replace(KEY, driver="13000"))
    assert not old.exists()
    assert other.exists()
    assert new.exists()


def test_an_engine_that_others_may_write_is_not_loaded(cache):
    kept(cache).chmod(0o666)
    assert "other users may write it" in cache.look_up(KEY).why


def test_the_folder_is_ours_alone(cache):
    kept(cache)
    assert cache.folder.stat().st_mode & 0o077 == 0


def test_a_disk_that_takes_nothing_costs_only_the_keeping(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    cache = EngineCache(tmp_path / "file" / "engines")
    with cache.building(threading.Event()):
        cache.keep(KEY, ENGINE, 1.0, "")
    assert cache.look_up(KEY).kept is None
    assert "cannot be cached" in caplog.text


def test_timings_come_back_for_the_same_device_and_version(cache):
    cache.keep_timings(KEY, b"learnt")
    assert cache.timings(replace(KEY, onnx="b" * 64, options="{}")) == b"learnt"
    assert cache.timings(replace(KEY, version="11.4.0")) == b""
    (path,) = cache.folder.glob("timings-*")
    path.write_bytes(path.read_bytes()[:-1])
    assert cache.timings(KEY) == b""


def test_a_writer_that_is_killed_leaves_the_old_engine_and_no_litter(cache):
    """Killed before the new file has its name: what was there stays, and the next builder tidies up."""
    path = kept(cache)
    program = f"""
import os, signal
from pathlib import Path
from mm_edge.runtime.engines.tensorrt.cache import EngineCache, Key
os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
EngineCache(Path({str(cache.folder)!r})).keep(Key(**{json.dumps(KEY.__dict__)}), b"new", 1.0, "")
"""
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(cache.folder.glob(".partial-*"))) == 1
    assert cache.look_up(KEY).kept.engine == ENGINE
    with cache.building(threading.Event()):
        assert not list(cache.folder.glob(".partial-*"))
    assert path.exists()


def test_many_builders_build_once_and_one_at_a_time(cache):
    """Each goes in when it is let; one that finds another inside ends with an error."""
    program = f"""
import os, sys, threading
from pathlib import Path
from mm_edge.runtime.engines.tensorrt.cache import EngineCache, Key
cache, key = EngineCache(Path({str(cache.folder)!r})), Key(**{json.dumps(KEY.__dict__)})
sys.stdin.readline()
with cache.building(threading.Event()):
    inside = cache.folder / "inside"
    inside.touch(exist_ok=False)
    if cache.look_up(key).kept is None:
        cache.keep(key, b"engine", 1.0, "")
        print("built")
    inside.unlink()
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    builders = [subprocess.Popen([sys.executable, "-c", program], **pipes) for _ in range(4)]
    for builder in builders:
        builder.stdin.write("\n")
        builder.stdin.flush()
    told = [builder.communicate()[0] for builder in builders]
    assert [builder.returncode for builder in builders] == [0] * 4
    assert sorted(told) == ["", "", "", "built\n"]
    assert cache.look_up(KEY).kept.engine == b"engine"


def test_whoever_waits_for_another_build_can_be_stopped(cache):
    stopped = threading.Event()
    with cache.building(threading.Event()):
        stopped.set()
        with pytest.raises(BuildStopped), cache.building(stopped):
            pytest.fail("it got the lock twice")
    with cache.building(stopped):  # free again: nobody is waited for
        assert cache.folder.is_dir()


def test_the_engines_that_were_not_used_for_the_longest_time_are_removed_when_the_cache_is_full(tmp_path):
    cache = EngineCache(tmp_path / "engines", most_bytes=4 * len(ENGINE))
    keys = [replace(KEY, onnx=letter * 64) for letter in "abcd"]
    for place, key in enumerate(keys[:3]):
        os.utime(kept(cache, key), (100 + place, 100 + place))
    assert cache.look_up(keys[0]).kept  # a use: the second is now the oldest
    kept(cache, keys[3])
    assert [bool(cache.look_up(key).kept) for key in keys] == [True, False, True, True]


def test_the_newest_engine_stays_even_if_it_alone_exceeds_the_limit(tmp_path):
    cache = EngineCache(tmp_path / "engines", most_bytes=1)
    kept(cache)
    assert cache.look_up(KEY).kept

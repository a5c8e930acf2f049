"""The store of finished steps: several processes may use it, it stays within its size, and damage is no entry."""

import logging
import multiprocessing
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from handmade_graphs import source_model

from mm_edge.export.pipeline import export
from mm_edge.export.recipe import Recipe
from mm_edge.export.workspace import Store

GRAPH = b"x" * 1000


@pytest.fixture
def graph(tmp_path):
    path = tmp_path / "made.onnx"
    path.write_bytes(GRAPH)
    return path


def age(folder, key, seconds):
    os.utime(folder / key, (seconds, seconds))


def test_an_entry_that_another_process_removes_stays_readable_for_its_reader(tmp_path, graph):
    first, second = Store(tmp_path / "store"), Store(tmp_path / "store")
    first.put("a", {"loss": 0.5}, graph)
    assert first.get("a", tmp_path / "first.onnx") == {"loss": 0.5}
    assert second.get("a", tmp_path / "second.onnx") == {"loss": 0.5}
    second.clear()
    assert (tmp_path / "first.onnx").read_bytes() == GRAPH
    assert first.get("a", tmp_path / "again.onnx") is None
    assert not list((tmp_path / "store").iterdir())


def test_the_first_of_two_writers_of_one_entry_wins_and_nothing_is_left_over(tmp_path, graph):
    for loss in (0.1, 0.2):
        Store(tmp_path / "store").put("a", {"loss": loss}, graph)
    assert Store(tmp_path / "store").get("a", tmp_path / "got.onnx") == {"loss": 0.1}
    assert [entry.name for entry in (tmp_path / "store").iterdir()] == ["a"]


def test_the_least_recently_used_entries_are_removed_when_the_store_is_full(tmp_path, graph):
    store = Store(tmp_path / "store", most_bytes=3500)
    for place, key in enumerate("abc"):
        store.put(key, {}, graph)
        age(store.folder, key, 100 + place)
    assert store.get("a", tmp_path / "got.onnx") == {}  # a use: "b" is now the oldest
    store.put("d", {}, graph)
    assert {entry.name for entry in store.folder.iterdir()} == {"a", "c", "d"}


@pytest.mark.parametrize("file", ["graph.onnx", "record.json"])
@pytest.mark.parametrize("content", [b"", b"[]", GRAPH[:-1]])
def test_a_damaged_entry_is_no_entry(tmp_path, graph, file, content):
    store = Store(tmp_path / "store")
    store.put("a", {"loss": 0.5}, graph)
    (store.folder / "a" / file).write_bytes(content)
    assert store.get("a", tmp_path / "got.onnx") is None
    assert not (tmp_path / "got.onnx").exists()


def _use(folder, work, rounds):
    graph = work / "made.onnx"
    work.mkdir()
    graph.write_bytes(GRAPH)
    for number in range(rounds):
        store = Store(folder, most_bytes=2500)
        for key in "abc":
            target = work / f"{number}{key}.onnx"
            if store.get(key, target) is None:
                store.put(key, {"key": key}, graph)
            else:
                assert target.read_bytes() == GRAPH
        store.clear()


def test_processes_that_store_read_and_remove_the_same_entries_do_not_disturb_each_other(tmp_path):
    context = multiprocessing.get_context("fork")
    folder = tmp_path / "store"
    processes = [context.Process(target=_use, args=(folder, tmp_path / f"{place}", 60)) for place in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert not list(folder.iterdir())


def test_two_concurrent_exports_of_one_model_pass(tmp_path):
    """Each reads what the other has stored, and each removes it when it ends."""
    level, stdout = logging.getLogger().level, sys.stdout

    def run(number):
        recipe = Recipe(precisions=("fp32", "fp16", "int8-cpu"))
        return export(source_model(), tmp_path / f"{number}.mmb", recipe).path.exists()

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(run, range(3))) == [True, True, True]
    assert (logging.getLogger().level, sys.stdout) == (level, stdout)

"""NVTX ranges, as a tool that listens gets them: the real package, and a listener where Nsight Systems would be."""

import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import cuda_driver
import pytest
from bundles import senses_bundle

from mm_edge.errors import MissingExtraError
from mm_edge.runtime.loop.nvtx import Ranges

HERE = Path(__file__).parent
TICKS = 8
RUN = """
import sys
sys.path.insert(0, sys.argv[2])
from sinks import Kept
from sources import Script, pictures
from mm_edge.bundle.bundle import Bundle
from mm_edge.config import load_config, RunConfig
from mm_edge.runtime.session.run import Run

config, kept = load_config(RunConfig, None, sys.argv[4:]), Kept()
with Bundle.open(sys.argv[1]) as bundle:
    with Run(bundle, config, [Script("image", pictures(int(sys.argv[3])))], [kept]) as session:
        assert session.wait(60)
session.raise_error()
"""


@pytest.fixture(scope="module")
def ranges(tmp_path_factory):
    """What a run tells the listener, line by line, with and without asking for it."""
    folder = tmp_path_factory.mktemp("nvtx")
    library, include = folder / "listener.so", cuda_driver.toolkit() / "include"
    if not (include / "nvtx3/nvToolsExt.h").is_file():
        pytest.skip("NVTX's headers are not here")
    command = ["cc", "-shared", "-fPIC", f"-I{include}", "-o", str(library), str(HERE / "nvtx/listener.c")]
    subprocess.run(command, check=True)
    bundle = senses_bundle(folder / "senses.mmb")

    def run(*settings):
        log = folder / f"log{len(settings)}"
        listening = {"NVTX_INJECTION64_PATH": str(library), "NVTX_LISTENER_LOG": str(log)}
        command = [sys.executable, "-c", RUN, str(bundle), str(HERE.parent / "fakes"), str(TICKS), *settings]
        subprocess.run(command, check=True, env={**os.environ, **listening}, timeout=100)
        return log.read_text().splitlines() if log.exists() else []

    return run


def test_each_stage_of_each_moment_is_a_range_in_its_lane(ranges):
    depth, seen = defaultdict(int), defaultdict(set)
    for line in ranges("loop.nvtx=true", "loop.workers=2"):
        thread, kind, domain, *told = line.split()
        assert domain == "mm-edge"
        depth[thread] += 1 if kind == "push" else -1
        assert depth[thread] in {0, 1}
        if kind == "push":
            label, moment = told
            seen[label].add(int(moment))
    assert set(depth.values()) == {0}
    for label in ("prepare.image", "encode.image", "fuse", "decode"):
        assert seen[label] == set(range(TICKS)), label


def test_nothing_is_told_where_nobody_asked(ranges):
    assert ranges("loop.workers=2") == []


def test_what_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "nvtx", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mm-edge\[nvtx\]'"):
        Ranges()

"""ONNX Runtime reports nothing to its vendor, and our way of seeing to that leaves the environment as it was."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mm_edge.onnx_runtime import VARIABLE

ROOT = Path(__file__).parents[2]
OWN_PROCESS = ("benchmarks/peers", "benchmarks/studies/live/loops/gstreamer.py")  # run where mm-edge is not installed
LOOK_UPS = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result) {
    FILE *log = fopen(getenv("LOOK_UPS"), "a");
    fprintf(log, "%s\n", node ? node : "-");
    fclose(log);
    return EAI_NONAME;
}
"""


def run(home, *arguments, **more):
    """A process whose home is empty and whose environment says nothing that would switch the telemetry off."""
    kept = {name: value for name, value in os.environ.items() if name not in {"CI", VARIABLE, "XDG_CACHE_HOME"}}
    kept = {name: value for name, value in kept.items() if not name.startswith(("GITHUB_", "PYTEST_"))}
    command = [sys.executable, *map(str, arguments)]
    environment = {**kept, "HOME": str(home), **more}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment)


def written(home):
    return [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()]


@pytest.fixture
def look_ups(tmp_path):
    """A library that takes the place of the C library's name resolution, and the file it writes every name to."""
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    (tmp_path / "look_ups.c").write_text(LOOK_UPS)
    library = tmp_path / "look_ups.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, tmp_path / "look_ups.c"], check=True)
    return library, tmp_path / "names"


def test_the_package_alone_would_write_into_the_home_directory(tmp_path):
    """What the rest guards against is real; where it no longer is, this module can go."""
    run(tmp_path, "-c", "import onnxruntime")
    assert [name for name in written(tmp_path) if name.endswith("deviceid")]


def test_a_run_writes_no_file_and_resolves_no_name(tmp_path, look_ups):
    library, names = look_ups
    home = tmp_path / "home"
    home.mkdir()
    preload = {"LD_PRELOAD": str(library), "LOOK_UPS": str(names)}
    done = run(home, "-m", "mm_edge.cli", "run", "--demo", "--seconds", "1", "--jsonl", "-", "-q", **preload)
    assert '"kind":"summary"' in done.stdout
    assert [name for name in written(home) if "mm-edge" not in name] == []
    assert not names.exists(), names.read_text()


def test_the_name_resolution_of_the_test_is_really_watched(tmp_path, look_ups):
    library, names = look_ups
    program = "import socket\ntry: socket.getaddrinfo('nowhere.invalid', 1)\nexcept OSError: pass"
    run(tmp_path, "-c", program, LD_PRELOAD=str(library), LOOK_UPS=str(names))
    assert names.read_text() == "nowhere.invalid\n"


@pytest.mark.parametrize("verb", ["doctor", "devices"])
def test_probes_in_processes_of_their_own_write_nothing_either(tmp_path, verb):
    kept = {name: value for name, value in os.environ.items() if name not in {"CI", VARIABLE, "XDG_CACHE_HOME"}}
    subprocess.run(
        [sys.executable, "-m", "mm_edge.cli", verb],
        env={**kept, "HOME": str(tmp_path)},
        capture_output=True,
        check=False,
    )
    assert [name for name in written(tmp_path) if "mm-edge" not in name] == []


@pytest.mark.parametrize(("said", "after"), [(None, "None"), ("0", "0"), ("1", "1")])
def test_the_environment_stays_as_it_was(tmp_path, said, after):
    program = (
        "import os; from mm_edge.onnx_runtime import import_onnxruntime; import_onnxruntime().InferenceSession;"
        f"print(os.environ.get('{VARIABLE}'))"
    )
    done = run(tmp_path, "-c", program, **({VARIABLE: said} if said else {}))
    assert done.stdout == f"{after}\n"


def test_whoever_asks_for_telemetry_gets_it(tmp_path):
    program = "from mm_edge.onnx_runtime import import_onnxruntime; import_onnxruntime()"
    run(tmp_path, "-c", program, **{VARIABLE: "0"})
    assert written(tmp_path)


def test_nobody_imports_the_package_past_the_module():
    """Parts of it, which are there once it has been imported, are taken from it as usual."""
    faults = []
    for folder in ("sdk", "export", "runtime", "benchmarks", "jetson"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            if name == "sdk/onnx_runtime.py" or name.startswith(OWN_PROCESS):
                continue
            tree = ast.parse(path.read_text())
            plain = [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
            faults += [name for node in plain if any(each.name.split(".")[0] == "onnxruntime" for each in node.names)]
            parts = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
            if any((node.module or "").split(".")[0] == "onnxruntime" for node in parts):
                faults += [name] if "import_onnxruntime()" not in path.read_text() else []
    assert not faults

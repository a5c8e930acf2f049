"""The guide to own sources, sinks and engines: its plug-ins, installed as it says, run by the command."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

GUIDE = (Path(__file__).parent.parent / "docs/guides/your-own-source-sink-engine.md").read_text()
COMMAND = re.search(r"^\$ mm-edge (run .*)$", GUIDE, re.MULTILINE)[1]


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The guide's files in a folder, with the entry points as an installer writes them."""
    folder = tmp_path_factory.mktemp("package")
    for name, code in re.findall(r'^```python title="(\S+)"\n(.*?)^```$', GUIDE, re.MULTILINE | re.DOTALL):
        (folder / name).write_text(code)
    project = msgspec.toml.decode(re.search(r"^```toml\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)[1])
    assert {path.stem for path in folder.iterdir()} == set(project["tool"]["setuptools"]["py-modules"])
    info = folder / "robot_parts-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: robot-parts\nVersion: 0.1\n")
    lines = [
        line
        for group, makers in project["project"]["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {maker}" for name, maker in makers.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    return folder


def run(package, folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "mm_edge.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(package)},
    )


def words(command):
    return [quoted or plain for quoted, plain in re.findall(r'"([^"]*)"|(\S+)', command)]


def test_the_plug_ins_of_the_guide_run(package, tmp_path):
    done = run(package, tmp_path, *words(COMMAND), "--quiet", "--jsonl", "run.jsonl")
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "run.jsonl").read_text().splitlines()[-1])
    assert summary["engine"]["engine"] == "plain"
    assert summary["sources"]["simulator"]["rendered"] == pytest.approx(30, abs=12)  # 3 s at 10 Hz
    rows = list(csv.DictReader((tmp_path / "commands.csv").read_text().splitlines()))
    assert 0 < len(rows) <= summary["predictions"]


def test_without_the_package_the_error_names_what_is_there(tmp_path):
    done = run(tmp_path, tmp_path, "run", "--demo", "--engine", "plain")
    assert done.returncode == 3
    assert "no such engine" in done.stderr
    assert "plain" not in done.stderr.split("available are")[1]

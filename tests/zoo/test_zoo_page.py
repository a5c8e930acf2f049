"""docs/zoo.md: its code runs from top to bottom, and its figures are those of the report that ships."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mm_edge.zoo.catalog import entry

DOCS = Path(__file__).parent.parent.parent / "docs"
PAGE = (DOCS / "zoo.md").read_text()
BLOCK = re.compile(r'^```(\w+)(?: title="(\S+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)


def run_page(folder):
    for language, file, text in BLOCK.findall(PAGE):
        if file:
            (folder / file).write_text(text)
        elif language == "python":
            requested = [sys.executable, "-W", "error::UserWarning", "-c", text]
            subprocess.run(requested, cwd=folder, check=True, timeout=100)
        else:
            for line in text.splitlines():
                command = line.removeprefix("$ mm-edge ").split()
                requested = [sys.executable, "-m", "mm_edge.cli", *command]
                subprocess.run(requested, cwd=folder, check=True, timeout=300, capture_output=True)


def test_the_model_of_the_page_trains(examples_of):
    assert (examples_of(DOCS / "zoo.md") / "gripper.safetensors").stat().st_size > 1000


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_model_of_the_page_is_exported(tmp_path):
    run_page(tmp_path)
    assert (tmp_path / "gripper.mmb").is_file()


def test_the_figures_of_the_page_are_those_of_the_report():
    report = entry("scout").weights.with_suffix(".json")
    if not report.is_file():
        pytest.skip("scout has not been trained for shipping yet")
    made = subprocess.run([sys.executable, "-c", RENDER], cwd=DOCS, check=True, capture_output=True, text=True)
    assert made.stdout == PAGE
    assert json.loads(report.read_text())["held_out"]["scout"]["samples"] >= 1000


RENDER = """
import json, sys
from zoo_figures import INT8, PAGE, entry, figures, page
report = json.loads(entry("scout").weights.with_suffix(".json").read_text())
sys.stdout.write(page(PAGE.read_text(), figures(report, json.loads(INT8.read_text()))))
"""

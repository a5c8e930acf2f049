"""Standard streams that are closed, full or of the wrong kind: a documented exit code and one message."""

import subprocess
import sys

import pytest
from bundles import senses_bundle

MM_EDGE = f"{sys.executable} -m mm_edge.cli"
RUN = f"{MM_EDGE} run senses.mmb -q --camera synthetic --seconds 0.2"


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    folder = tmp_path_factory.mktemp("streams")
    senses_bundle(folder / "senses.mmb")

    def run(line):
        return subprocess.run(["sh", "-c", line], cwd=folder, capture_output=True, text=True, check=False)

    run.folder = folder
    return run


@pytest.mark.parametrize("words", ["--help", "schema manifest", "inspect senses.mmb --json", "verify senses.mmb"])
def test_a_full_disk_behind_standard_output_is_no_fault_of_mm_edge(shell, words):
    done = shell(f"{MM_EDGE} {words} > /dev/full")
    assert done.returncode == 1
    assert done.stderr == (
        "error: writing to standard output: No space left on device. Free disk space, or write somewhere else\n"
    )


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_do_not_end_a_run(shell, closed):
    done = shell(f"{RUN} --jsonl out.jsonl {closed}")
    assert (done.returncode, done.stdout) == (0, "")
    assert "error" not in done.stderr
    lines = (shell.folder / "out.jsonl").read_text().splitlines()
    assert all(line.startswith('{"kind":"') for line in lines)
    assert '"summary"' in lines[-1]


def test_predictions_into_a_closed_standard_output_are_refused(shell):
    done = shell(f"{RUN} --jsonl - >&-")
    assert done.returncode == 2
    assert done.stderr == "error: writing predictions to -: standard output is closed. Use --jsonl FILE\n"


def test_help_into_a_closed_standard_output(shell):
    done = shell(f"{MM_EDGE} --help >&-")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_standard_input_that_can_only_be_written_gives_no_text(shell):
    done = shell(f"{RUN} --text - 0>written")
    assert (done.returncode, done.stderr.count("error: ")) == (2, 1)
    assert "standard input cannot be read" in done.stderr

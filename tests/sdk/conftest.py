"""Runs the command line inside the test process."""

import contextlib
import gc
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from mm_edge.cli.app import run


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def command(capsys):
    """Runs one command line; returns its exit code and output."""

    def call(*argv) -> Outcome:
        capsys.readouterr()
        code = run([str(word) for word in argv])
        written = capsys.readouterr()
        return Outcome(code, written.out, written.err)

    return call


@pytest.fixture
def refused(command):
    """Runs one command line that must be rejected: exit code 2, one line on stderr, nothing on stdout."""

    def call(*argv) -> str:
        outcome = command(*argv)
        assert outcome.code == 2, outcome
        assert outcome.out == ""
        assert outcome.err.startswith("error: ")
        assert outcome.err.count("\n") == 1, outcome.err
        assert outcome.err.endswith("\n")
        assert "Traceback" not in outcome.err
        assert "internal error" not in outcome.err
        return outcome.err

    return call


@pytest.fixture
def engines():
    """The modules that could load or run the contents of a bundle."""
    return {"onnxruntime", "torch", "tensorrt", "tokenizers", "safetensors", "cv2"}


@pytest.fixture
def refused_and_clean(refused, engines, tmp_path, monkeypatch):
    """Rejected by every command that opens a bundle; no engine is loaded and no file, folder or descriptor is left."""

    def traces():
        """Files, and open descriptors with what each refers to. What earlier tests left behind is freed first."""
        gc.collect()
        opened = {}
        for path in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(OSError):  # the descriptor of this listing itself
                opened[path.name] = str(path.readlink())
        return sorted(tmp_path.rglob("*")), opened

    def call(path, *options):
        for module in engines:
            monkeypatch.setitem(sys.modules, module, None)  # an import of it fails loudly
        before = traces()
        messages = {refused("verify", path, *options)}
        if not options:
            messages.add(refused("inspect", path))
            messages.add(refused("inspect", path, "--json"))
        assert traces() == before
        assert len(messages) == 1, "every verb says the same"
        return messages.pop()

    return call

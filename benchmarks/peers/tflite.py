"""Converts a torch module to TensorFlow Lite, in an environment of its own."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

from .environments import CannotRunError, python_of
from .peer_process import HERE, clean_environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIDE = 224


def to_tflite(make: Callable[[], Any], made: Path) -> Path:
    """Converted once, then cached."""
    if made.exists():
        return made
    import torch

    python, program = python_of("tflite"), made.with_suffix(".pt2")
    picture = torch.zeros(1, SIDE, SIDE, 3, dtype=torch.uint8)
    torch.export.save(torch.export.export(make(), (picture,)), program)
    command = [str(python), "-m", f"{HERE.name}.tflite_model", str(program), str(made)]
    ran = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), check=False)
    program.unlink()
    if ran.returncode:
        raise CannotRunError(f"cannot convert its model: {(ran.stderr.strip().splitlines() or [''])[-1]}")
    return made

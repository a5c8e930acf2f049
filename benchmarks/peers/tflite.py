"""A module of torch as a TensorFlow Lite model, for who takes only those; made in an environment of its own."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

from .driven import HERE, surroundings
from .environments import CannotRunError, python_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIDE = 224


def to_tflite(make: Callable[[], Any], made: Path) -> Path:
    """Kept once it is made."""
    if made.exists():
        return made
    import torch

    python, program = python_of("tflite"), made.with_suffix(".pt2")
    picture = torch.zeros(1, SIDE, SIDE, 3, dtype=torch.uint8)
    torch.export.save(torch.export.export(make(), (picture,)), program)
    command = [str(python), "-m", f"{HERE.name}.tflite_model", str(program), str(made)]
    ran = subprocess.run(command, capture_output=True, text=True, env=surroundings(), check=False)
    program.unlink()
    if ran.returncode:
        raise CannotRunError(f"its model cannot be made: {(ran.stderr.strip().splitlines() or [''])[-1]}")
    return made

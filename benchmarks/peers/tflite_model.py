"""Converts an exported torch program to a TensorFlow Lite model; runs in an environment of its own.

python -m peers.tflite_model PROGRAM.pt2 MODEL.tflite
"""

from __future__ import annotations

import sys
from typing import Any

import litert_torch  # type: ignore[import-not-found]
import torch

SIDE = 224


class OneOutput(torch.nn.Module):
    """The logits only, as a classifier returns them."""

    def __init__(self, program: Any) -> None:
        super().__init__()
        self.program = program

    def forward(self, image: torch.Tensor) -> Any:
        return self.program(image)["logits"]


def main(program: str, made: str) -> None:
    module = OneOutput(torch.export.load(program).module())
    litert_torch.convert(module, (torch.zeros(1, SIDE, SIDE, 3, dtype=torch.uint8),)).export(made)


if __name__ == "__main__":
    main(*sys.argv[1:])

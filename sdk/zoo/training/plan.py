"""How long and how fast one stage is trained."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """Steps, batch size, learning rates and evaluation schedule of one stage."""

    steps: int
    batch: int = 96
    learning_rate: float = 0.04  # of matrices
    plain_rate: float = 0.075  # of all other weights, as a share of `learning_rate`
    weight_decay: float = 0.02
    warm_up: int = 150
    averaging: float = 0.998
    evaluate_every: int = 200
    first_evaluation: int = 0  # no evaluation before this step
    patience: int = 12  # evaluations without improvement before training stops
    save_every: int = 50
    seed: int = 0
    threads: int = 2

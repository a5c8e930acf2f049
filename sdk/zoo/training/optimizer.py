"""The optimizer: Muon for weight matrices, AdamW for all other parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

FEWEST = 16  # rows and columns of a matrix for Muon; a narrower one has too few directions to orthogonalize
MOMENTUM = 0.9
ROUNDS = 4
QUINTIC = (3.4445, -4.7750, 2.0315)  # Keller Jordan's coefficients: steep near zero


class Optimizer:
    """One schedule for both: `rate` is Muon's learning rate, and AdamW's is `plain` times it."""

    def __init__(self, modules: Iterable[nn.Module], rate: float, plain: float, weight_decay: float) -> None:
        modules = list(modules)
        self.parameters = [p for module in modules for p in module.parameters()]
        self.plain = plain
        tables = {id(m.weight) for module in modules for m in module.modules() if isinstance(m, nn.Embedding)}
        matrices = [p for p in self.parameters if id(p) not in tables and _is_matrix(p)]
        known = {id(p) for p in matrices}
        rest = [p for p in self.parameters if id(p) not in known]
        decays = {weight_decay: [p for p in rest if p.ndim > 1], 0.0: [p for p in rest if p.ndim <= 1]}
        groups = [{"params": some, "weight_decay": decay} for decay, some in decays.items()]
        self.kinds: dict[str, torch.optim.Optimizer] = {"rest": torch.optim.AdamW(groups, lr=rate * plain)}
        if matrices:
            self.kinds["matrices"] = Matrices(matrices, rate, weight_decay)

    def step(self, rate: float) -> None:
        """One step with the current gradients, which are then cleared."""
        for name, optimizer in self.kinds.items():
            for group in optimizer.param_groups:
                group["lr"] = rate if name == "matrices" else rate * self.plain
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)


class Matrices(torch.optim.Optimizer):
    """Muon (Keller Jordan, 2024): orthogonalizes the momentum, so that a step is equally long in every direction.

    torch's own does not support convolutions, and computes in bfloat16, seven times slower on a CPU that emulates it.
    """

    def __init__(self, weights: list[nn.Parameter], rate: float, weight_decay: float) -> None:
        super().__init__(weights, {"lr": rate, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002  # torch's signature
        for group in self.param_groups:
            for weights in group["params"]:
                if weights.grad is None:
                    continue
                momentum = self.state[weights].setdefault("momentum", torch.zeros_like(weights))
                momentum.lerp_(weights.grad, 1 - MOMENTUM)
                ahead = weights.grad.lerp(momentum, MOMENTUM).flatten(1)
                tall = max(1.0, ahead.shape[0] / ahead.shape[1]) ** 0.5
                weights.mul_(1 - group["lr"] * group["weight_decay"])
                weights.add_(evened(ahead).view_as(weights), alpha=-group["lr"] * tall)


def evened(matrix: Tensor) -> Tensor:
    """The matrix with its singular values brought close to 1, by Newton-Schulz iterations."""
    a, b, c = QUINTIC
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(ROUNDS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    near_one: Tensor = x.T if tall else x
    return near_one


def _is_matrix(weights: Tensor) -> bool:
    """Convolutions count as matrices: filters by all their inputs."""
    return weights.ndim > 1 and min(len(weights), weights[0].numel()) >= FEWEST

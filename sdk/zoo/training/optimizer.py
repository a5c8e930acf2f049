"""What changes the weights: Muon for all that multiplies as a matrix, AdamW for the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

FEWEST = 16  # rows and columns of what counts as a matrix; a narrower one has no directions to even out
MOMENTUM = 0.9
ROUNDS = 4
QUINTIC = (3.4445, -4.7750, 2.0315)  # Keller Jordan's: steep where a direction is weak


class Optimizer:
    """One pace for both: `rate` is Muon's, and AdamW's is `plain` of it."""

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
        """One step by the gradients that are there, which it then forgets."""
        for name, optimizer in self.kinds.items():
            for group in optimizer.param_groups:
                group["lr"] = rate if name == "matrices" else rate * self.plain
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)


class Matrices(torch.optim.Optimizer):
    """Muon (Keller Jordan, 2024): a step goes equally far in every direction that the momentum has.

    torch's own takes no convolutions and reckons in bfloat16, which takes seven times longer where it is imitated.
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
    """The matrix with its singular values brought near to 1, by Newton and Schulz."""
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
    """Convolutions count: filters by all that each of them reads."""
    return weights.ndim > 1 and min(len(weights), weights[0].numel()) >= FEWEST

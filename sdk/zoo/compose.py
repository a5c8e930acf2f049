"""A fusion model: encoders, a fusion and heads, composed under a spec."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from .fusions import Fusion, Gate
from .heads import Fused, Head

if TYPE_CHECKING:
    from mm_edge.spec import ModelSpec

    from .encoders.encoder import Encoder, Features


class FusionModel(nn.Module):
    """Takes the spec's inputs in order, then presence [batch, inputs]; returns the heads' tensors by name.

    Several heads make a multi-task model. `files` are additional files for the bundle, by name.
    """

    def __init__(
        self,
        spec: ModelSpec,
        encoders: dict[str, Encoder],
        fusion: Fusion,
        heads: dict[str, Head],
        files: dict[str, bytes] | None = None,
    ) -> None:
        super().__init__()
        self.spec, self.files = spec, {} if files is None else files
        self.order = [entry.name for entry in spec.inputs]
        if set(self.order) != set(encoders):
            raise ValueError(f"the spec's inputs are {self.order}, the encoders are for {sorted(encoders)}")
        self.encoders, self.heads = nn.ModuleDict(encoders), nn.ModuleDict(heads)
        self.gates = nn.ModuleDict({name: Gate(encoder) for name, encoder in encoders.items()})
        self.fusion = fusion

    def encode(self, *inputs: Tensor) -> dict[str, Features]:
        return {name: self.encoders[name](x) for name, x in zip(self.order, inputs, strict=True)}

    def fuse(self, features: dict[str, Features], presence: Tensor) -> Fused:
        column = {name: slice(i, i + 1) for i, name in enumerate(self.order)}
        gated = {name: self.gates[name](value, presence[:, column[name]]) for name, value in features.items()}
        here = torch.cat([presence[:, column[name]] for name in self.fusion.of], 1)
        return Fused(self.fusion(gated, here), gated)

    def decide(self, fused: Fused) -> dict[str, Tensor]:
        outputs = {}
        for name, head in self.heads.items():
            for number, (role, value) in enumerate(head(fused).items()):
                outputs[name if number == 0 else f"{name}_{role}"] = value
        return outputs

    def forward(self, *inputs: Tensor, **named: Tensor) -> dict[str, Tensor]:
        values = [*inputs, *(named[name] for name in [*self.order, self.spec.presence or "presence"][len(inputs) :])]
        return self.decide(self.fuse(self.encode(*values[:-1]), values[-1]))

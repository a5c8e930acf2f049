"""The full state of a training in one safetensors file, replaced atomically."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mm_edge.atomic_write import atomic_path

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import Tensor, nn


def save(
    path: Path, modules: dict[str, nn.Module], optimizers: dict[str, torch.optim.Optimizer], state: dict[str, Any]
) -> None:
    from safetensors.torch import save_file

    tensors: dict[str, Tensor] = {}
    for name, module in modules.items():
        tensors |= {f"{name}/{key}": value for key, value in module.state_dict().items()}
    for name, optimizer in optimizers.items():
        for number, entry in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{name}/{number}/{key}": value for key, value in entry.items()}
    whole = {key: value.contiguous() for key, value in tensors.items()}
    with atomic_path(path) as partial:
        save_file(whole, str(partial), metadata={"state": json.dumps(state)})


def load(path: Path, modules: dict[str, nn.Module], optimizers: dict[str, torch.optim.Optimizer]) -> dict[str, Any]:
    from safetensors import safe_open

    with safe_open(str(path), "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # it is no dictionary
        state: dict[str, Any] = json.loads(file.metadata()["state"])
    for name, module in modules.items():
        own = f"{name}/"
        module.load_state_dict({key[len(own) :]: value for key, value in tensors.items() if key.startswith(own)})
    for name, optimizer in optimizers.items():
        entries: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith(f"optimizer/{name}/"):
                *_, number, field = key.split("/")
                entries.setdefault(int(number), {})[field] = value
        optimizer.load_state_dict({**optimizer.state_dict(), "state": entries})
    return state

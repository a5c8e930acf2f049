"""Reads and writes a model's weights: safetensors, by parameter name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mm_edge.errors import InputError, UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn


def read_weights(model: nn.Module, path: Path, name: str) -> None:
    """Loads the weights into the model; names and shapes must match exactly."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    action = f"loading the weights of zoo:{name}"
    again = f"Train it again: mm-edge train zoo:{name}"
    if not path.is_file():
        raise UnavailableError(f"no such file: {path}", action=action, hint=f"Train it: mm-edge train zoo:{name}")
    try:
        tensors = load_file(str(path))
    except SafetensorError as error:
        raise InputError(
            f"{path} is not a valid safetensors file: {error}",
            action=action,
            hint=again,
        ) from None
    wanted = model.state_dict()
    if odd := sorted(set(wanted) ^ set(tensors)):
        raise InputError(
            f"{path} does not match the model; different names: {odd[:4]}",
            action=action,
            hint=again,
        )
    if odd := [key for key, value in tensors.items() if value.shape != wanted[key].shape]:
        raise InputError(
            f"{path} does not match the model; different shapes: {odd[:4]}",
            action=action,
            hint=again,
        )
    model.load_state_dict({key: value.to(wanted[key].dtype) for key, value in tensors.items()})


def write_weights(model: nn.Module, path: Path, metadata: dict[str, str] | None = None) -> None:
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(
        {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()},
        str(path),
        metadata=metadata,
    )

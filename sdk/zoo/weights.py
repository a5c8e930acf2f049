"""Reads and writes a model's weights: safetensors, by parameter name, half precision where a file is to be small."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mm_edge.errors import InputError, UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn


def read_weights(model: nn.Module, path: Path, name: str) -> None:
    """Fills the model; every parameter must be there in its shape, and nothing else."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    action = f"loading the weights of zoo:{name}"
    if not path.is_file():
        raise UnavailableError(f"there is no file {path}", action=action, hint=f"Train it: mm-edge train zoo:{name}")
    try:
        tensors = load_file(str(path))
    except SafetensorError as error:
        raise InputError(
            f"{path} is no safetensors file: {error}", action=action, hint=f"Train it again: mm-edge train zoo:{name}"
        ) from None
    wanted = model.state_dict()
    if odd := sorted(set(wanted) ^ set(tensors)):
        raise InputError(
            f"{path} and the model differ in {odd[:4]}", action=action, hint=f"Train it again: mm-edge train zoo:{name}"
        )
    if odd := [key for key, value in tensors.items() if value.shape != wanted[key].shape]:
        raise InputError(
            f"{path} has other shapes for {odd[:4]}", action=action, hint=f"Train it again: mm-edge train zoo:{name}"
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

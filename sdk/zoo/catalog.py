"""The models of the zoo: their names, and where builder, recipe and weights are."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from .compose import FusionModel

WEIGHTS_FOLDER = Path(__file__).resolve().parent / "weights"
# name: the module in mm_edge.zoo.models with a builder function of that name, `spec`, `labelled` and `examine`
MODELS = {"scout": "scout"}


@dataclass(frozen=True)
class Entry:
    """One model. The file `weights` exists once the model has been trained for shipping."""

    name: str
    module: Any

    @property
    def weights(self) -> Path:
        return WEIGHTS_FOLDER / f"{self.name}.safetensors"

    @property
    def build(self) -> Callable[[], FusionModel]:
        return getattr(self.module, self.name)  # type: ignore[no-any-return]

    def recipe(self) -> Any:
        return import_module(f"{__package__}.models.{MODELS[self.name]}_recipe").RECIPE


def names() -> tuple[str, ...]:
    return tuple(MODELS)


def entry(name: str) -> Entry:
    if name not in MODELS:
        raise KeyError(f"the zoo has no model '{name}'; available: {', '.join(MODELS)}")
    return Entry(name, import_module(f"{__package__}.models.{MODELS[name]}"))


def card(name: str) -> dict[str, str]:
    """The model card: inputs, outputs, data, limits, licence."""
    return dict(entry(name).module.CARD)


def is_trained(name: str) -> bool:
    """Whether its weights ship."""
    return entry(name).weights.is_file()

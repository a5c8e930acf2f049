"""What a model is taught by: a school for each world, and in it courses: batches, a loss, an examination."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from torch import Tensor, nn

    from mm_edge.zoo.arrays import Ints
    from mm_edge.zoo.compose import FusionModel

    from .recipe import Stage

Feeds: TypeAlias = Mapping[str, "npt.NDArray[np.generic]"]
Predict: TypeAlias = Callable[
    [Feeds], Mapping[str, "npt.NDArray[np.generic]"]
]  # feeds as the graph sees them, to outputs by name
Told: TypeAlias = Callable[[str, int, int], None]  # what is being done, how many of it are done, out of how many


class Course(Protocol):
    """What `learn` asks for. A batch is a mapping of tensors: what the model is fed, and labels."""

    main: str  # the figure of `examine` by which the best weights are chosen; higher is better

    def tutor(self, model: FusionModel) -> nn.Module:
        """Heads that only training has; their weights are kept in the checkpoints and never shipped."""

    def batch(self, step: int, size: int, seed: int) -> dict[str, Tensor]:
        """The batch of this step, always the same one."""

    def loss(self, model: FusionModel, tutor: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """The loss, and figures to show. What it does not depend on stays as it is."""

    def examine(self, model: FusionModel) -> dict[str, float]:
        """Figures on the tuning set."""


class School(Protocol):
    """A world, the stages in which it is taught, and the examination at the end."""

    def prepare(self, cache: Path, *, told: Told | None) -> None:
        """Makes or finds the data."""

    def stages(self) -> tuple[Stage, ...]:
        """The last one begins with what the others have left."""

    def rivals(self) -> dict[str, Stage]:
        """What is taught in the place of the last stage to models that have this one input only."""

    def examine(self, predict: Predict) -> dict[str, float]:
        """Figures on the tuning set."""

    def settle(self, model: FusionModel, predict: Predict) -> dict[str, float]:
        """What is set once the weights are found: thresholds, by the tuning set. Gives what the report says of it."""

    def confusion(self, predict: Predict) -> tuple[Ints, tuple[str, ...]]:
        """Counts [truth, answer] and their labels."""

    def record(self) -> dict[str, Any]:
        """What the report says of the data: seeds, sizes, digest."""

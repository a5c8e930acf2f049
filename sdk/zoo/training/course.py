"""What a training needs: a curriculum of stages, and for each stage a course with batches, a loss and metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    from mm_edge.zoo.arrays import Ints, Predict
    from mm_edge.zoo.compose import FusionModel

    from .plan import Plan

Progress: TypeAlias = Callable[[str, int, int], None]  # what is being made, how many are done, of how many


class Course(Protocol):
    """What `learn` needs. A batch maps names to tensors: the model's inputs and the labels."""

    main: str  # the metric of `examine` that selects the best weights; higher is better

    def tutor(self, model: FusionModel) -> nn.Module:
        """Auxiliary heads for training only; their weights are saved in checkpoints and never shipped."""

    def batch(self, step: int, size: int, seed: int) -> dict[str, Tensor]:
        """The batch of this step; the same for the same arguments."""

    def loss(self, model: FusionModel, tutor: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """The loss, and figures to report. Weights that the loss does not depend on are not updated."""

    def examine(self, model: FusionModel) -> dict[str, float]:
        """Metrics on the tuning set."""


@dataclass(frozen=True)
class Stage:
    """One stage of a training. Every stage but the last starts from the untrained model and hands its `parts` to the
    last stage, which starts with all of them; the other stages can therefore run in any order, or in parallel.
    """

    name: str
    course: Callable[[FusionModel], Course]
    plan: Plan
    parts: tuple[str, ...] = ()


class School(Protocol):
    """A world's data, the training stages on it, and the final evaluation."""

    def prepare(self, cache: Path, *, progress: Progress | None) -> None:
        """Generates the data, or opens it from the cache."""

    def stages(self) -> tuple[Stage, ...]:
        """In order; the last stage starts with the trained parts of the others."""

    def baselines(self) -> dict[str, Stage]:
        """Replacements of the last stage for single-modality models, by input name."""

    def examine(self, predict: Predict) -> dict[str, float]:
        """Metrics on the tuning set."""

    def calibrate(self, model: FusionModel, predict: Predict) -> dict[str, float]:
        """Sets what depends on the final weights, such as thresholds, on the tuning set. Returns what it set."""

    def confusion(self, predict: Predict) -> tuple[Ints, tuple[str, ...]]:
        """Counts [truth, answer] and their labels."""

    def record(self) -> dict[str, Any]:
        """The data's entry in the report: seeds, sizes, digest."""

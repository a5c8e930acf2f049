"""Plots of a training run: losses, metrics and the confusion matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.axes import Axes

    from mm_edge.zoo.arrays import Ints

    from .loop import Run


def draw_curves(runs: Mapping[str, Run], path: Path) -> None:
    """A row for each stage: its losses, and its figures on the tuning set."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.5 * len(runs)), layout="constrained")
    rows = figure.subplots(len(runs), 2, squeeze=False)
    for (stage, run), (left, right) in zip(runs.items(), rows, strict=True):
        left.set(xlabel="step", ylabel="loss", yscale="log", title=f"{stage}: training")
        right.set(xlabel="step", ylabel="share", ylim=(0, 1), title=f"{stage}: tuning set")
        _draw(left, {name for entry in run.losses for name in entry if "loss" in name}, run.losses, "")
        _draw(right, {name for entry in run.evaluations for name in entry} - {"step"}, run.evaluations, ".")
    figure.savefig(path, dpi=110)


def _draw(axes: Axes, names: set[str], entries: list[dict[str, float]], marker: str) -> None:
    for name in sorted(names):
        own = [entry for entry in entries if name in entry]  # a loss may be reported in one phase of a course only
        axes.plot(
            [entry["step"] for entry in own],
            [entry[name] for entry in own],
            label=name,
            marker=marker,
            linewidth=1,
        )
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend(fontsize=7)


def draw_confusion(counts: Ints, labels: tuple[str, ...], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 5), layout="constrained")
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    places = range(len(labels))
    axes.set(xlabel="answer", ylabel="truth")
    axes.set_xticks(places, labels, rotation=45)
    axes.set_yticks(places, labels)
    for row in places:
        for column in places:
            color = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=7, color=color)
    figure.savefig(path, dpi=110)

"""The pictures of a run's folder: how loss and figures went, and what is taken for what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from mm_edge.zoo.arrays import Ints

    from .loop import Run


def draw_curves(run: Run, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name in sorted({key for entry in run.losses for key in entry if "loss" in key}):
        own = [entry for entry in run.losses if name in entry]  # a loss may be told in one stage of a course alone
        left.plot([entry["step"] for entry in own], [entry[name] for entry in own], label=name, linewidth=1)
    left.set(xlabel="step", ylabel="loss", yscale="log", title="training")
    right.set(xlabel="step", ylabel="share", ylim=(0, 1), title="tuning set")
    for name in sorted({key for entry in run.exams for key in entry} - {"step"}):
        right.plot(
            [entry["step"] for entry in run.exams],
            [entry[name] for entry in run.exams],
            label=name,
            marker=".",
            linewidth=1,
        )
    for axes in (left, right):
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize=7)
    figure.savefig(path, dpi=110)


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

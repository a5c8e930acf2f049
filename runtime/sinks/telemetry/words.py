"""Formats one decoded output as a short line for the terminal."""

from __future__ import annotations

from typing import Any

MOST_SHOWN = 3


def in_words(value: Any, kind: str = "") -> str:
    """The label, the position or the best few scores. Plain scores keep their order."""
    if kind == "scores" and isinstance(value, dict):
        return "  ".join(f"{name} {number:.3g}" for name, number in value.items())
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return _record(value)
    if isinstance(value, list):
        return _listed(value)
    return "-" if value is None else f"{value:g}"


def _record(value: dict[str, Any]) -> str:
    if "label" in value:
        return f"{value['label']}  {value['score']:.2f}"
    if "x" in value:
        place = "not detected" if value["x"] is None else f"x {value['x']:.0f}  y {value['y']:.0f}"
        return f"{place}  {value['score']:.2f}"
    best = sorted(value.items(), key=lambda pair: -pair[1])[:MOST_SHOWN]
    return "  ".join(f"{name} {score:.2f}" for name, score in best)


def _listed(value: list[Any]) -> str:
    if not value:
        return "none"
    if isinstance(value[0], dict):
        best = sorted(value, key=lambda thing: -thing["score"])[:MOST_SHOWN]
        shown = "  ".join(f"{thing.get('label', thing.get('prompt'))} {thing['score']:.2f}" for thing in best)
        return f"{shown}  and {len(value) - MOST_SHOWN} more" if len(value) > MOST_SHOWN else shown
    if len(value) > MOST_SHOWN:
        return f"{len(value)} numbers"
    return "  ".join(f"{number:.3g}" for number in value)

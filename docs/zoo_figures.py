"""Writes scout's figures into docs/zoo.md from the report that ships beside its weights: python docs/zoo_figures.py."""

from __future__ import annotations

import json
from pathlib import Path

from mm_edge.zoo.catalog import entry

PAGE = Path(__file__).parent / "zoo.md"
HEAD = "<!-- figures: docs/zoo_figures.py writes what stands here from sdk/zoo/weights/scout.json -->\n"
TAIL = "<!-- end of figures -->"
ROWS = {
    "clean.command": "command, clean: signs, words, both and neither",
    "clean.both.command": "command, clean, sign and word",
    "clean.both.command_without_sound": "... the microphone missing",
    "clean.both.command_without_picture": "... the camera covered",
    "hard.both.command": "command, speech at 0 dB and half of the sign hidden",
    "hard.both.command_without_sound": "... the microphone missing",
    "hard.both.command_without_picture": "... the camera covered",
    "clean.target_inside": "target: told as there, and the point inside",
    "clean.target_absent": "target: absent told as absent",
    "foreign.drawn.target_inside": "flat drawings: told as there, and inside",
    "foreign.drawn.target_absent": "flat drawings: absent told as absent",
    "foreign.plotted.target_inside": "matplotlib's renderer: told as there, and inside",
    "foreign.plotted.target_absent": "matplotlib's renderer: absent told as absent",
}
# What a model with one input only is asked without the other.
ALONE = {"only image": "without_sound", "only audio": "without_picture"}


def figures(report: dict[str, dict[str, dict[str, float]]]) -> str:
    """The table, held-out data throughout."""
    model = report["held_out"]["scout"]
    lines = ["| held out | scout | a model that has only this input |", "|---|---|---|"]
    for key, about in ROWS.items():
        alone = next((report["held_out"][rival][key] for rival, end in ALONE.items() if key.endswith(end)), None)
        lines.append(f"| {about} | {model[key]:.3f} | {'' if alone is None else f'{alone:.3f}'} |")
    data, made = report["data"], report["made"]
    samples = int(model["samples"])
    trained = f"{report['steps']} steps on {data['pictures']} pictures and {data['sounds']} sounds"
    source = f"commit `{made['commit'][:12]}`, data `{data['digest'][:12]}`, torch {made['torch']}"
    return "\n".join([*lines, "", f"{samples} held-out samples a row; {trained}; {source}.", ""])


def page(text: str, shown: str) -> str:
    start, end = text.index(HEAD) + len(HEAD), text.index(TAIL)
    return text[:start] + "\n" + shown + "\n" + text[end:]


if __name__ == "__main__":
    told = json.loads(entry("scout").weights.with_suffix(".json").read_text())
    PAGE.write_text(page(PAGE.read_text(), figures(told)))

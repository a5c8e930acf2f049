"""Writes scout's figures into docs/zoo.md from the report beside its weights, and draws what it answers on pictures of
other renderers into docs/images/zoo-foreign.webp: python docs/zoo_figures.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from mm_edge import zoo
from mm_edge.zoo.catalog import entry
from mm_edge.zoo.training.loop import predictor
from mm_edge.zoo.worlds.tabletop.foreign import drawn, plotted
from mm_edge.zoo.worlds.tabletop.lessons.exam import ask_foreign

if TYPE_CHECKING:
    from mm_edge.zoo.arrays import Picture
    from mm_edge.zoo.worlds.tabletop.lessons.exam import Answer

FOREIGN = Path(__file__).parent / "images" / "zoo-foreign.webp"
RIGHT, WRONG = 5, 3  # of the first answers of each kind, so many in a row
LARGE = 2  # times the size that scout sees
PAGE = Path(__file__).parent / "zoo.md"
INT8 = (
    Path(__file__).parents[1] / "benchmarks" / "results" / "scout_int8.json"
)  # benchmarks/studies/export/scout_int8.py writes it
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
    "hard.gain_over_better_single": "... gained by both over the better single one",
    "clean.target_inside": "target: told as there, and the point inside",
    "clean.target_absent": "target: absent told as absent",
    "foreign.drawn.target_inside": "flat drawings: told as there, and inside",
    "foreign.drawn.target_absent": "flat drawings: absent told as absent",
    "foreign.plotted.target_inside": "matplotlib's renderer: told as there, and inside",
    "foreign.plotted.target_absent": "matplotlib's renderer: absent told as absent",
}
# What a model with one input only is asked without the other.
ALONE = {"only image": "without_sound", "only audio": "without_picture"}


def figures(report: dict[str, Any], int8: dict[str, Any]) -> str:
    """The table, held-out data throughout."""
    model = report["held_out"]["scout"]
    lines = ["| held out | scout | every part in int8 | a model that has only this input |", "|---|---|---|---|"]
    for key, about in ROWS.items():
        alone = next((report["held_out"][rival][key] for rival, end in ALONE.items() if key.endswith(end)), None)
        if key == "hard.gain_over_better_single":
            alone = model["hard.both.command"] - max(
                report["held_out"][rival][f"hard.both.command_{end}"] for rival, end in ALONE.items()
            )
        reduced = f"{int8['int8-cpu'][key]:.3f}"
        lines.append(f"| {about} | {model[key]:.3f} | {reduced} | {'' if alone is None else f'{alone:.3f}'} |")
    data, made = report["data"], report["made"]
    samples = int(model["samples"])
    trained = f"{report['steps']} steps on {data['pictures']} pictures and {data['sounds']} sounds"
    commit, changed, _ = made["commit"].partition("+")
    source = (
        f"commit `{commit[:12]}`{' with changes' * bool(changed)}, data `{data['digest'][:12]}`, torch {made['torch']}"
    )
    taken = {precision: sum(part[precision] for part in int8["ms"].values()) for precision in ("fp32", "int8-cpu")}
    told = f"{samples} held-out samples a row; {trained}; {source}."
    one_core = f"All parts on one core: {taken['fp32']:.1f} ms in fp32, {taken['int8-cpu']:.1f} ms in int8."
    return "\n".join([*lines, "", told, one_core, ""])


def tile(answer: Answer) -> Picture:
    """The picture, what was asked, and the answer: a ring where it points; none where it says that it is not there."""
    large = cv2.resize(answer.picture, None, fx=LARGE, fy=LARGE, interpolation=cv2.INTER_LANCZOS4)
    color = (0, 140, 60) if answer.right else (210, 0, 60)
    if answer.score >= 0.5:
        middle = (round(answer.point[0] * LARGE), round(answer.point[1] * LARGE))
        cv2.circle(large, middle, 14, (255, 255, 255), 6, cv2.LINE_AA)
        cv2.circle(large, middle, 14, color, 3, cv2.LINE_AA)
    told = np.full((44, large.shape[1], 3), 255, np.uint8)
    says = f"{answer.score:.2f}" + ("" if answer.box is not None else ", is not there")
    for line, text in enumerate((answer.phrase, says)):
        cv2.putText(told, text, (4, 17 + 20 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.55, color, 1, cv2.LINE_AA)
    return np.asarray(np.vstack([large, told]), np.uint8)


def foreign_sheet() -> Picture:
    """The first right and the first wrong answers on each kind of foreign picture; none is picked by hand."""
    predict = predictor(zoo.load("scout"))
    rows = []
    for draw in (drawn, plotted):
        answers = ask_foreign(predict, draw, 40)
        right, wrong = ([answer for answer in answers if answer.right is good] for good in (True, False))
        rows.append(np.hstack([tile(answer) for answer in (*right[:RIGHT], *wrong[:WRONG])]))
    wide = max(row.shape[1] for row in rows)
    blank = [np.full((row.shape[0], wide - row.shape[1], 3), 255, np.uint8) for row in rows]
    return np.vstack([np.hstack(pair) for pair in zip(rows, blank, strict=True)])


def page(text: str, shown: str) -> str:
    start, end = text.index(HEAD) + len(HEAD), text.index(TAIL)
    return text[:start] + "\n" + shown + "\n" + text[end:]


if __name__ == "__main__":
    told = json.loads(entry("scout").weights.with_suffix(".json").read_text())
    PAGE.write_text(page(PAGE.read_text(), figures(told, json.loads(INT8.read_text()))))
    sheet = cv2.cvtColor(foreign_sheet(), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(FOREIGN), sheet, [cv2.IMWRITE_WEBP_QUALITY, 80])

"""Writes scout's figures into docs/zoo.md from its training report, and draws its answers on foreign pictures into
docs/images/zoo-foreign.webp: python docs/zoo_figures.py.
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
from mm_edge.zoo.worlds.tabletop.curriculum.evaluation import ask_foreign
from mm_edge.zoo.worlds.tabletop.foreign import drawn, plotted

if TYPE_CHECKING:
    from mm_edge.zoo.arrays import Picture
    from mm_edge.zoo.worlds.tabletop.curriculum.evaluation import Answer

FOREIGN = Path(__file__).parent / "images" / "zoo-foreign.webp"
RIGHT, WRONG = 5, 3  # the first correct and wrong answers shown in a row
LARGE = 2  # times the input size of scout
PAGE = Path(__file__).parent / "zoo.md"
INT8 = (
    Path(__file__).parents[1] / "benchmarks" / "results" / "scout_int8.json"
)  # benchmarks/studies/export/scout_int8.py writes it
HEAD = "<!-- figures: docs/zoo_figures.py generates this block from sdk/zoo/weights/scout.json -->\n"
TAIL = "<!-- end of figures -->"
ROWS = {
    "clean.command": "command, clean: sign, word, both or neither",
    "clean.both.command": "command, clean: sign and word",
    "clean.both.command_without_sound": "... without microphone",
    "clean.both.command_without_picture": "... without camera",
    "hard.both.command": "command, hard: speech at 0 dB, half of the sign hidden",
    "hard.both.command_without_sound": "... without microphone",
    "hard.both.command_without_picture": "... without camera",
    "hard.gain_over_better_single": "... gain over the better single modality",
    "clean.target_inside": "target present: found, point inside the body",
    "clean.target_absent": "target absent: reported as absent",
    "foreign.drawn.target_inside": "flat drawings, present: found, point inside",
    "foreign.drawn.target_absent": "flat drawings, absent: reported as absent",
    "foreign.plotted.target_inside": "matplotlib renderer, present: found, point inside",
    "foreign.plotted.target_absent": "matplotlib renderer, absent: reported as absent",
}
# The single-modality model to compare with when the other input is missing.
ALONE = {"only image": "without_sound", "only audio": "without_picture"}


def figures(report: dict[str, Any], int8: dict[str, Any]) -> str:
    """The table of held-out figures."""
    model = report["held_out"]["scout"]
    lines = ["| held out | scout | scout, all parts int8 | single-modality model |", "|---|---|---|---|"]
    for key, about in ROWS.items():
        alone = next((report["held_out"][baseline][key] for baseline, end in ALONE.items() if key.endswith(end)), None)
        if key == "hard.gain_over_better_single":
            alone = model["hard.both.command"] - max(
                report["held_out"][baseline][f"hard.both.command_{end}"] for baseline, end in ALONE.items()
            )
        reduced = f"{int8['int8-cpu'][key]:.3f}"
        lines.append(f"| {about} | {model[key]:.3f} | {reduced} | {'' if alone is None else f'{alone:.3f}'} |")
    data, made = report["data"], report["made"]
    samples = int(model["samples"])
    trained = f"{report['steps']} steps on {data['pictures']} pictures and {data['sounds']} sounds"
    commit, changed, _ = made["commit"].partition("+")
    state = " with uncommitted changes" * bool(changed)
    source = f"commit `{commit[:12]}`{state}, data `{data['digest'][:12]}`, torch {made['torch']}"
    taken = {precision: sum(part[precision] for part in int8["ms"].values()) for precision in ("fp32", "int8-cpu")}
    basis = f"{samples} held-out samples a row; trained in {trained}; {source}."
    one_core = f"All parts on one core take {taken['fp32']:.1f} ms in fp32, {taken['int8-cpu']:.1f} ms in int8."
    return "\n".join([*lines, "", basis, one_core, ""])


def tile(answer: Answer) -> Picture:
    """The picture, the query and the answer: a ring at the predicted point, or none if the answer is absent."""
    large = cv2.resize(answer.picture, None, fx=LARGE, fy=LARGE, interpolation=cv2.INTER_LANCZOS4)
    color = (0, 140, 60) if answer.right else (210, 0, 60)
    if answer.score >= 0.5:
        middle = (round(answer.point[0] * LARGE), round(answer.point[1] * LARGE))
        cv2.circle(large, middle, 14, (255, 255, 255), 6, cv2.LINE_AA)
        cv2.circle(large, middle, 14, color, 3, cv2.LINE_AA)
    caption = np.full((44, large.shape[1], 3), 255, np.uint8)
    says = f"{answer.score:.2f}" + ("" if answer.box is not None else ", target absent")
    for line, text in enumerate((answer.phrase, says)):
        cv2.putText(caption, text, (4, 17 + 20 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.55, color, 1, cv2.LINE_AA)
    return np.asarray(np.vstack([large, caption]), np.uint8)


def foreign_sheet() -> Picture:
    """The first correct and the first wrong answers on each kind of foreign picture, not selected by hand."""
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
    report = json.loads(entry("scout").weights.with_suffix(".json").read_text())
    PAGE.write_text(page(PAGE.read_text(), figures(report, json.loads(INT8.read_text()))))
    sheet = cv2.cvtColor(foreign_sheet(), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(FOREIGN), sheet, [cv2.IMWRITE_WEBP_QUALITY, 80])

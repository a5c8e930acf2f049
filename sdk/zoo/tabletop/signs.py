"""Sign cards: what stands on a card that gives a command, and cards that give none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

SIGNS = ("stop", "go", "left", "right", "follow", "search")
CARD_SIDE = 128
TRAINING_FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX)
HELD_OUT_FONTS = (cv2.FONT_HERSHEY_COMPLEX,)
OTHER_WORDS = ("MILK", "OPEN", "SALE", "EXIT", "TAXI", "PULL", "BUS", "42", "7", "A", "R2", "HELLO", "FRAGILE", "TOOLS", "SPARE", "LOFT", "GATE", "STEP")
HELD_OUT_WORDS = ("CAFE", "PUSH", "ROOM", "15", "B", "SHOP", "LIGHT")

Picture = "npt.NDArray[np.uint8]"
Color = tuple[int, int, int]

INKS: tuple[Color, ...] = ((20, 20, 20), (30, 40, 90), (120, 20, 20), (20, 80, 40), (60, 60, 60))
PAPERS: tuple[Color, ...] = ((250, 250, 245), (240, 235, 215), (225, 235, 245), (250, 240, 160), (215, 215, 215))


def card(rng: np.random.Generator, sign: str | None, *, held_out: bool) -> npt.NDArray[np.uint8]:
    """A card of CARD_SIDE pixels, RGB; `sign` None: a card that commands nothing."""
    dark = rng.random() < 0.2
    paper, ink = PAPERS[rng.integers(len(PAPERS))], INKS[rng.integers(len(INKS))]
    if dark:
        paper, ink = ink, paper
    picture = np.full((CARD_SIDE, CARD_SIDE, 3), paper, np.uint8)
    if rng.random() < 0.4:
        cv2.rectangle(picture, (4, 4), (123, 123), ink, int(rng.integers(2, 7)))
    fonts = HELD_OUT_FONTS if held_out else TRAINING_FONTS
    font = int(fonts[rng.integers(len(fonts))])
    if sign is None:
        _other(rng, picture, ink, font, held_out=held_out)
    elif rng.random() < 0.2:
        _word(picture, sign.upper(), ink, font, 64, 112)
    else:
        captioned = rng.random() < 0.35
        middle = 50 if captioned else 64
        radius = rng.uniform(30, 36) if captioned else rng.uniform(38, 52)
        DRAWINGS[sign](rng, picture, ink, (64, middle), radius)
        if captioned:
            _word(picture, sign.upper(), ink, font, 108, 96)
    if rng.random() < 0.3:
        stain = cv2.resize(rng.normal(0, 14, (8, 8)).astype(np.float32), (CARD_SIDE, CARD_SIDE), interpolation=cv2.INTER_CUBIC)
        picture = np.clip(picture + stain[..., None], 0, 255).astype(np.uint8)
    return picture


def _word(picture: npt.NDArray[np.uint8], word: str, ink: Color, font: int, middle: int, width: int) -> None:
    (w, _), _ = cv2.getTextSize(word, font, 1.0, 2)
    scale = min(width / max(w, 1), 2.2)
    (w, h), _ = cv2.getTextSize(word, font, scale, max(2, round(4 * scale)))
    cv2.putText(picture, word, (64 - w // 2, middle + h // 2), font, scale, ink, max(2, round(4 * scale)), cv2.LINE_AA)


def _points(center: tuple[float, float], radius: float, shape: list[tuple[float, float]]) -> npt.NDArray[np.int32]:
    return (np.array(center) + radius * np.array(shape)).round().astype(np.int32)


def _stop(rng: np.random.Generator, picture: npt.NDArray[np.uint8], _: Color, center: tuple[float, float], radius: float) -> None:
    corner = [(np.cos(a), np.sin(a)) for a in np.pi / 8 + np.arange(8) * np.pi / 4]
    red = (int(rng.integers(170, 235)), int(rng.integers(10, 40)), int(rng.integers(10, 45)))
    cv2.fillPoly(picture, [_points(center, radius * 1.1, corner)], red, cv2.LINE_AA)
    cv2.polylines(picture, [_points(center, radius * 0.96, corner)], isClosed=True, color=(250, 250, 250), thickness=2, lineType=cv2.LINE_AA)
    style = rng.random()
    if style < 0.6:
        scale = radius / 42
        (w, h), _ = cv2.getTextSize("STOP", cv2.FONT_HERSHEY_DUPLEX, scale, 3)
        place = (round(center[0] - w / 2), round(center[1] + h / 2))
        cv2.putText(picture, "STOP", place, cv2.FONT_HERSHEY_DUPLEX, scale, (250, 250, 250), 3, cv2.LINE_AA)
    elif style < 0.85:
        for dx, top in ((-0.45, -0.35), (-0.22, -0.55), (0.02, -0.6), (0.26, -0.5)):  # a raised hand
            a, b = _points(center, radius, [(dx, top), (dx, 0.2)])
            cv2.line(picture, a.tolist(), b.tolist(), (250, 250, 250), max(3, round(radius * 0.17)), cv2.LINE_AA)
        cv2.ellipse(picture, _points(center, radius, [(-0.1, 0.25)])[0].tolist(), (round(radius * 0.45), round(radius * 0.38)), 0, 0, 360, (250, 250, 250), -1, cv2.LINE_AA)


def _go(rng: np.random.Generator, picture: npt.NDArray[np.uint8], _: Color, center: tuple[float, float], radius: float) -> None:
    green = (int(rng.integers(0, 60)), int(rng.integers(130, 200)), int(rng.integers(20, 90)))
    cv2.circle(picture, _points(center, 0, [(0, 0)])[0].tolist(), round(radius), green, -1, cv2.LINE_AA)
    if rng.random() < 0.5:
        scale = radius / 28
        (w, h), _ = cv2.getTextSize("GO", cv2.FONT_HERSHEY_DUPLEX, scale, 3)
        place = (round(center[0] - w / 2), round(center[1] + h / 2))
        cv2.putText(picture, "GO", place, cv2.FONT_HERSHEY_DUPLEX, scale, (250, 250, 250), 4, cv2.LINE_AA)
    else:
        up = [(0, -0.75), (0.5, -0.1), (0.2, -0.1), (0.2, 0.65), (-0.2, 0.65), (-0.2, -0.1), (-0.5, -0.1)]
        cv2.fillPoly(picture, [_points(center, radius, up)], (250, 250, 250), cv2.LINE_AA)


def _left(rng: np.random.Generator, picture: npt.NDArray[np.uint8], ink: Color, center: tuple[float, float], radius: float, way: int = -1) -> None:
    color = ink if rng.random() < 0.6 else (20, int(rng.integers(60, 110)), int(rng.integers(150, 220)))
    style = rng.random()
    if style < 0.3:  # on a disc, as on the road
        cv2.circle(picture, _points(center, 0, [(0, 0)])[0].tolist(), round(radius * 1.08), color, -1, cv2.LINE_AA)
        radius, color = radius * 0.75, (250, 250, 250) if sum(color) < 380 else (20, 20, 20)
    if style < 0.75:
        head, half, shaft = rng.uniform(0.0, 0.3), rng.uniform(0.5, 0.8), rng.uniform(0.16, 0.32)
        arrow = [(1.0, 0), (head, -half), (head, -shaft), (-1, -shaft), (-1, shaft), (head, shaft), (head, half)]
        cv2.fillPoly(picture, [_points(center, radius, [(way * x, y) for x, y in arrow])], color, cv2.LINE_AA)
    else:
        for shift in (-0.45, 0.25):  # chevrons
            chevron = [(0.6 + shift, 0), (-0.1 + shift, -0.8), (-0.45 + shift, -0.8), (0.25 + shift, 0), (-0.45 + shift, 0.8), (-0.1 + shift, 0.8)]
            cv2.fillPoly(picture, [_points(center, radius, [(way * x, y) for x, y in chevron])], color, cv2.LINE_AA)


def _right(rng: np.random.Generator, picture: npt.NDArray[np.uint8], ink: Color, center: tuple[float, float], radius: float) -> None:
    _left(rng, picture, ink, center, radius, way=1)


def _follow(rng: np.random.Generator, picture: npt.NDArray[np.uint8], ink: Color, center: tuple[float, float], radius: float) -> None:
    thick = max(3, round(radius * rng.uniform(0.16, 0.28)))
    swing = rng.uniform(0.25, 0.5)
    cv2.circle(picture, _points(center, radius, [(0, -0.75)])[0].tolist(), round(radius * 0.24), ink, -1, cv2.LINE_AA)
    for line in ([(0, -0.45), (0, 0.2)], [(0, 0.2), (-swing, 0.95)], [(0, 0.2), (swing, 0.95)], [(-swing - 0.1, 0.05), (0, -0.35), (swing + 0.1, -0.05)]):
        cv2.polylines(picture, [_points(center, radius, line)], isClosed=False, color=ink, thickness=thick, lineType=cv2.LINE_AA)


def _search(rng: np.random.Generator, picture: npt.NDArray[np.uint8], ink: Color, center: tuple[float, float], radius: float) -> None:
    thick = max(3, round(radius * rng.uniform(0.14, 0.24)))
    side = -1 if rng.random() < 0.5 else 1
    lens = _points(center, radius, [(-0.22 * side, -0.22)])[0].tolist()
    if rng.random() < 0.4:
        cv2.circle(picture, lens, round(radius * 0.55), (170, 215, 240), -1, cv2.LINE_AA)
    cv2.circle(picture, lens, round(radius * 0.58), ink, thick, cv2.LINE_AA)
    a, b = _points(center, radius, [(0.2 * side, 0.2), (0.85 * side, 0.85)])
    cv2.line(picture, a.tolist(), b.tolist(), ink, round(thick * 1.5), cv2.LINE_AA)


def _other(rng: np.random.Generator, picture: npt.NDArray[np.uint8], ink: Color, font: int, *, held_out: bool) -> None:
    words = HELD_OUT_WORDS if held_out else OTHER_WORDS
    style = rng.integers(6)
    if style <= 1:
        _word(picture, words[rng.integers(len(words))], ink, font, 64, 110)
    elif style == 2:  # a face
        cv2.circle(picture, (64, 64), 44, ink, 5, cv2.LINE_AA)
        cv2.circle(picture, (48, 52), 6, ink, -1, cv2.LINE_AA)
        cv2.circle(picture, (80, 52), 6, ink, -1, cv2.LINE_AA)
        cv2.ellipse(picture, (64, 66), (24, 20), 0, 20, 160, ink, 5, cv2.LINE_AA)
    elif style == 3:
        for y in range(24, 112, int(rng.integers(10, 20))):
            cv2.line(picture, (18, y), (int(rng.integers(70, 112)), y), ink, int(rng.integers(2, 5)), cv2.LINE_AA)
    elif style == 4:
        hue = tuple(int(v) for v in rng.integers(20, 235, 3))
        points = rng.integers(16, 112, (int(rng.integers(3, 6)), 2)).astype(np.int32)
        cv2.fillConvexPoly(picture, cv2.convexHull(points), hue, cv2.LINE_AA)
    else:
        for x in range(16, 112, 8):
            if rng.random() < 0.55:
                cv2.rectangle(picture, (x, 30), (x + int(rng.integers(2, 7)), 98), ink, -1)


DRAWINGS = {"stop": _stop, "go": _go, "left": _left, "right": _right, "follow": _follow, "search": _search}

"""Sign cards: drawings of the cards with a command, and of cards without one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mm_edge.zoo.arrays import Ints, Picture

Color: TypeAlias = tuple[int, int, int]
Point: TypeAlias = tuple[float, float]

SIGNS = ("stop", "go", "left", "right", "follow", "search")
CARD_SIDE = 128
TRAINING_FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX)
HELD_OUT_FONTS = (cv2.FONT_HERSHEY_COMPLEX,)
OTHER_WORDS = (
    *("MILK", "OPEN", "SALE", "EXIT", "TAXI", "PULL", "BUS", "HELLO", "FRAGILE", "TOOLS", "SPARE", "LOFT", "GATE"),
    *("STEP", "FISH", "HOTEL", "BANK", "SOUP", "ZONE", "KEEP", "DRY", "HEAT", "WARM", "COLD", "OUT", "IN", "UP"),
    *("DOWN", "HOME", "PLAY", "PAUSE", "MENU", "BOX", "TOP", "LID", "JAM", "TEA", "SALT", "BOOKS", "POST", "LIFT"),
    *("NIGHT", "FOLLY", "SERVE", "GOLD", "STAR", "LATE", "RIDE"),
)
LETTERS, MOST_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", 6
LETTERED = 0.5  # of the written cards in training: random letters and digits, since fixed words would be memorized
HELD_OUT_WORDS = ("CAFE", "PUSH", "ROOM", "15", "B", "SHOP", "LIGHT")
WHITE: Color = (250, 250, 250)
INKS: tuple[Color, ...] = ((20, 20, 20), (30, 40, 90), (120, 20, 20), (20, 80, 40), (60, 60, 60))
PAPERS: tuple[Color, ...] = ((250, 250, 245), (240, 235, 215), (225, 235, 245), (250, 240, 160), (215, 215, 215))


@dataclass(frozen=True)
class Pen:
    """Draws on a card in units of `radius` around `center`, in pixels of the card."""

    picture: Picture
    ink: Color
    center: Point
    radius: float

    def points(self, shape: Sequence[Point]) -> Ints:
        return np.asarray((np.array(self.center) + self.radius * np.array(shape)).round().astype(np.int32))

    def at(self, point: Point) -> tuple[int, int]:
        x, y = self.points([point])[0]
        return int(x), int(y)

    def patch(self, shape: Sequence[Point]) -> None:
        cv2.fillPoly(self.picture, [np.asarray(self.points(shape), np.int32)], self.ink, cv2.LINE_AA)

    def line(self, shape: Sequence[Point], thick: int, *, closed: bool = False) -> None:
        cv2.polylines(self.picture, [np.asarray(self.points(shape), np.int32)], closed, self.ink, thick, cv2.LINE_AA)

    def disc(self, middle: Point, radius: float, thick: int = -1) -> None:
        cv2.circle(self.picture, self.at(middle), round(radius * self.radius), self.ink, thick, cv2.LINE_AA)

    def letters(self, word: str, scale: float, thick: int) -> None:
        (w, h), _ = cv2.getTextSize(word, cv2.FONT_HERSHEY_DUPLEX, scale, 3)
        place = (round(self.center[0] - w / 2), round(self.center[1] + h / 2))
        cv2.putText(self.picture, word, place, cv2.FONT_HERSHEY_DUPLEX, scale, self.ink, thick, cv2.LINE_AA)


def card(rng: np.random.Generator, sign: str | None, *, held_out: bool) -> Picture:
    """A card of CARD_SIDE pixels, RGB; `sign` None: a card without a command."""
    dark = rng.random() < 0.2
    paper, ink = PAPERS[rng.integers(len(PAPERS))], INKS[rng.integers(len(INKS))]
    if dark:
        paper, ink = ink, paper
    picture: Picture = np.full((CARD_SIDE, CARD_SIDE, 3), paper, np.uint8)
    if rng.random() < 0.4:
        cv2.rectangle(picture, (4, 4), (123, 123), ink, int(rng.integers(2, 7)))
    fonts = HELD_OUT_FONTS if held_out else TRAINING_FONTS
    font = int(fonts[rng.integers(len(fonts))])
    if sign is None:
        _other(rng, picture, ink, font, HELD_OUT_WORDS if held_out else None)
    elif rng.random() < 0.2:
        write(picture, sign.upper(), ink, font, middle=64, width=112)
    else:
        captioned = rng.random() < 0.35
        radius = rng.uniform(30, 36) if captioned else rng.uniform(38, 52)
        DRAWINGS[sign](rng, Pen(picture, ink, (64, 50 if captioned else 64), radius))
        if captioned:
            write(picture, sign.upper(), ink, font, middle=108, width=96)
    if rng.random() < 0.3:
        coarse = rng.normal(0, 14, (8, 8)).astype(np.float32)
        stain = cv2.resize(coarse, (CARD_SIDE, CARD_SIDE), interpolation=cv2.INTER_CUBIC)
        picture = np.clip(picture + stain[..., None], 0, 255).astype(np.uint8)
    return picture


def write(picture: Picture, word: str, ink: Color, font: int, *, middle: int, width: int) -> None:
    """The word, as large as fits into `width`."""
    (w, _), _ = cv2.getTextSize(word, font, 1.0, 2)
    scale = min(width / max(w, 1), 2.2)
    thick = max(2, round(4 * scale))
    (w, h), _ = cv2.getTextSize(word, font, scale, thick)
    cv2.putText(picture, word, (64 - w // 2, middle + h // 2), font, scale, ink, thick, cv2.LINE_AA)


def _stop(rng: np.random.Generator, pen: Pen) -> None:
    corner = [(float(np.cos(a)), float(np.sin(a))) for a in np.pi / 8 + np.arange(8) * np.pi / 4]
    red = (int(rng.integers(170, 235)), int(rng.integers(10, 40)), int(rng.integers(10, 45)))
    replace(pen, ink=red, radius=pen.radius * 1.1).patch(corner)
    white = replace(pen, ink=WHITE)
    replace(white, radius=pen.radius * 0.96).line(corner, 2, closed=True)
    style = rng.random()
    if style < 0.6:
        white.letters("STOP", pen.radius / 42, 3)
    elif style < 0.85:  # a raised hand
        for dx, top in ((-0.45, -0.35), (-0.22, -0.55), (0.02, -0.6), (0.26, -0.5)):
            a, b = white.at((dx, top)), white.at((dx, 0.2))
            cv2.line(pen.picture, a, b, WHITE, max(3, round(pen.radius * 0.17)), cv2.LINE_AA)
        palm = (round(pen.radius * 0.45), round(pen.radius * 0.38))
        cv2.ellipse(pen.picture, white.at((-0.1, 0.25)), palm, 0, 0, 360, WHITE, -1, cv2.LINE_AA)


def _go(rng: np.random.Generator, pen: Pen) -> None:
    green = (int(rng.integers(0, 60)), int(rng.integers(130, 200)), int(rng.integers(20, 90)))
    replace(pen, ink=green).disc((0, 0), 1)
    white = replace(pen, ink=WHITE)
    if rng.random() < 0.5:
        white.letters("GO", pen.radius / 28, 4)
    else:
        white.patch([(0, -0.75), (0.5, -0.1), (0.2, -0.1), (0.2, 0.65), (-0.2, 0.65), (-0.2, -0.1), (-0.5, -0.1)])


def _left(rng: np.random.Generator, pen: Pen) -> None:
    _arrow(rng, pen, -1)


def _right(rng: np.random.Generator, pen: Pen) -> None:
    _arrow(rng, pen, 1)


def _arrow(rng: np.random.Generator, pen: Pen, way: int) -> None:
    if rng.random() >= 0.6:
        pen = replace(pen, ink=(20, int(rng.integers(60, 110)), int(rng.integers(150, 220))))
    style = rng.random()
    if style < 0.3:  # on a disc, as on the road
        pen.disc((0, 0), 1.08)
        pen = replace(pen, radius=pen.radius * 0.75, ink=WHITE if sum(pen.ink) < 380 else (20, 20, 20))
    if style < 0.75:
        head, half, shaft = rng.uniform(0.0, 0.3), rng.uniform(0.5, 0.8), rng.uniform(0.16, 0.32)
        arrow = [(1.0, 0.0), (head, -half), (head, -shaft), (-1, -shaft), (-1, shaft), (head, shaft), (head, half)]
        pen.patch([(way * x, y) for x, y in arrow])
    else:
        for shift in (-0.45, 0.25):  # chevrons
            upper = [(0.6 + shift, 0.0), (-0.1 + shift, -0.8), (-0.45 + shift, -0.8)]
            lower = [(0.25 + shift, 0.0), (-0.45 + shift, 0.8), (-0.1 + shift, 0.8)]
            pen.patch([(way * x, y) for x, y in upper + lower])


def _follow(rng: np.random.Generator, pen: Pen) -> None:
    thick = max(3, round(pen.radius * rng.uniform(0.16, 0.28)))
    swing = rng.uniform(0.25, 0.5)
    pen.disc((0, -0.75), 0.24)
    arms = [(-swing - 0.1, 0.05), (0.0, -0.35), (swing + 0.1, -0.05)]
    for part in ([(0.0, -0.45), (0.0, 0.2)], [(0.0, 0.2), (-swing, 0.95)], [(0.0, 0.2), (swing, 0.95)], arms):
        pen.line(part, thick)


def _search(rng: np.random.Generator, pen: Pen) -> None:
    thick = max(3, round(pen.radius * rng.uniform(0.14, 0.24)))
    side = -1 if rng.random() < 0.5 else 1
    lens = (-0.22 * side, -0.22)
    if rng.random() < 0.4:
        replace(pen, ink=(170, 215, 240)).disc(lens, 0.55)
    pen.disc(lens, 0.58, thick)
    a, b = pen.at((0.2 * side, 0.2)), pen.at((0.85 * side, 0.85))
    cv2.line(pen.picture, a, b, pen.ink, round(thick * 1.5), cv2.LINE_AA)


def _other(rng: np.random.Generator, picture: Picture, ink: Color, font: int, words: tuple[str, ...] | None) -> None:
    """`words` None: any that are not held out."""
    style = rng.integers(6)
    if style <= 1:
        word = _any_word(rng) if words is None else words[rng.integers(len(words))]
        write(picture, word, ink, font, middle=64, width=110)
    elif style == 2:  # a face
        cv2.circle(picture, (64, 64), 44, ink, 5, cv2.LINE_AA)
        cv2.circle(picture, (48, 52), 6, ink, -1, cv2.LINE_AA)
        cv2.circle(picture, (80, 52), 6, ink, -1, cv2.LINE_AA)
        cv2.ellipse(picture, (64, 66), (24, 20), 0, 20, 160, ink, 5, cv2.LINE_AA)
    elif style == 3:  # lines of writing
        for y in range(24, 112, int(rng.integers(10, 20))):
            cv2.line(picture, (18, y), (int(rng.integers(70, 112)), y), ink, int(rng.integers(2, 5)), cv2.LINE_AA)
    elif style == 4:
        hue = tuple(int(v) for v in rng.integers(20, 235, 3))
        points = rng.integers(16, 112, (int(rng.integers(3, 6)), 2)).astype(np.int32)
        cv2.fillConvexPoly(picture, cv2.convexHull(points), hue, cv2.LINE_AA)
    else:  # a bar code
        for x in range(16, 112, 8):
            if rng.random() < 0.55:
                cv2.rectangle(picture, (x, 30), (x + int(rng.integers(2, 7)), 98), ink, -1)


def _any_word(rng: np.random.Generator) -> str:
    kept_out = {*HELD_OUT_WORDS, *(sign.upper() for sign in SIGNS)}
    while True:
        if rng.random() >= LETTERED:
            return OTHER_WORDS[rng.integers(len(OTHER_WORDS))]
        word = "".join(LETTERS[n] for n in rng.integers(len(LETTERS), size=rng.integers(1, MOST_LETTERS + 1)))
        if word not in kept_out:
            return word


DRAWINGS: dict[str, Callable[[np.random.Generator, Pen], None]] = {
    "stop": _stop,
    "go": _go,
    "left": _left,
    "right": _right,
    "follow": _follow,
    "search": _search,
}

"""Draws the cards in perspective, and the hand or cloth that occludes one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from mm_edge.zoo.worlds.tabletop.scene import rgb_of
from mm_edge.zoo.worlds.tabletop.signs import CARD_SIDE, card

from . import texture
from .canvas import CLUTTER_ID

if TYPE_CHECKING:
    from mm_edge.zoo.arrays import Floats
    from mm_edge.zoo.worlds.tabletop.scene import Card

    from .canvas import Canvas


def corners(item: Card) -> Floats:
    """The card's corners in table units: top left, top right, bottom right, bottom left, for its reader."""
    out = np.array([np.cos(item.turn), np.sin(item.turn), 0])  # the way it faces
    right = np.array([-np.sin(item.turn), np.cos(item.turn), 0]) * item.size
    up = 2 * item.size * (np.cos(item.lean) * -out + np.sin(item.lean) * np.array([0, 0, 1.0]))
    foot = np.array([*item.place, 0.02])
    return np.stack([foot - right + up, foot + right + up, foot + right, foot - right])


def draw_card(canvas: Canvas, item: Card, number: int) -> int:
    """Draws the card and returns its pixel count, including pixels outside the picture."""
    drawn = card(canvas.rng, item.sign, held_out=canvas.scene.split == "held-out")
    place = corners(item)
    normal = np.cross(place[1] - place[0], place[3] - place[0])
    normal /= -max(float(np.linalg.norm(normal)), 1e-9)
    bright = canvas.rng.uniform(0.55, 0.7) + 0.4 * max(0.0, float(normal @ np.array(canvas.scene.light)))
    drawn = np.clip(drawn * bright, 0, 255).astype(np.uint8)
    opaque = np.concatenate([drawn, np.full((CARD_SIDE, CARD_SIDE, 1), 255, np.uint8)], 2)
    seen = canvas.projection.project(place)
    corner = np.floor(seen.min(0)).astype(int)
    width, height = np.minimum(np.ceil(seen.max(0)).astype(int) + 1 - corner, 2 * canvas.pixels.shape[0])
    flat = np.array([[0, 0], [CARD_SIDE, 0], [CARD_SIDE, CARD_SIDE], [0, CARD_SIDE]], np.float32)
    warp = cv2.getPerspectiveTransform(flat, (seen - corner).astype(np.float32))
    layer = np.asarray(cv2.warpPerspective(opaque, warp, (int(width), int(height)), flags=cv2.INTER_AREA), np.uint8)
    layer[..., 3] = np.where(layer[..., 3] > 127, 255, 0)
    whole = canvas.lay(layer, corner, number)
    if item.hidden is not None:
        _cover(canvas, seen, *item.hidden)
    return whole


def _cover(canvas: Canvas, seen: Floats, angle: float, share: float) -> None:
    """Occludes this share of the card from this direction (degrees) with something dark, pale or patterned."""
    rng = canvas.rng
    across = np.array([np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))])
    side = np.array([-across[1], across[0]])
    depth = seen @ across
    edge = depth.max() - share * (depth.max() - depth.min())
    reach, spread = np.ptp(seen @ side) * 0.7 + 4, (seen @ side).mean()
    wave = rng.normal(0, 0.02 * reach, 5)
    near = [across * (edge + w) + side * (spread + t * reach) for t, w in zip(np.linspace(-1, 1, 5), wave, strict=True)]
    far = depth.max() + 0.08 * reach
    back = [across * far + side * (spread + reach), across * far + side * (spread - reach)]
    skin = rng.random() < 0.5
    hand = (rng.uniform(12, 30), rng.uniform(0.25, 0.6), rng.uniform(0.3, 0.95)) if skin else None
    tone = np.array(rgb_of(*hand)) if hand else rng.uniform(0.1, 0.9, 3)
    field = cv2.resize(texture.noise(rng, 64, 3), canvas.pixels.shape[1::-1])
    cloth = np.clip((tone * 255)[None, None] * (1 + 0.15 * field[..., None]), 0, 255).astype(np.uint8)
    canvas.fill(np.array([*near, *back]).astype(np.int32), cloth, CLUTTER_ID)

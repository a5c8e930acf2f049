"""Draws a scene: a picture as a cheap camera would give it, and for every pixel what stands there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from . import texture
from .mesh import body as body_mesh
from .scene import Body, Card, Scene, rgb_of
from .signs import CARD_SIDE, card as card_picture

if TYPE_CHECKING:
    import numpy.typing as npt

    from .mesh import Floats, Mesh

SIDE = 160
OVERSAMPLE = 2
SIGN_ID, CLUTTER_ID, CARD_ID = 255, 254, 253  # in the id map; bodies are 1, 2, … in the order of the scene
LEAST_VISIBLE = 0.4


@dataclass(frozen=True)
class View:
    """A picture (uint8 RGB), its id map, and what share of each body, and of the sign, is to be seen in it."""

    picture: npt.NDArray[np.uint8]
    ids: npt.NDArray[np.uint8]
    visible: tuple[float, ...]
    sign_visible: float


class _Eye:
    """A pinhole camera that looks at the middle of the table."""

    def __init__(self, scene: Scene, side: int) -> None:
        camera = scene.camera
        a, e = np.deg2rad(camera.around), np.deg2rad(camera.elevation)
        self.place = camera.distance * np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
        forward = -self.place / np.linalg.norm(self.place)
        right = np.cross(forward, [0, 0, 1.0])
        right /= np.linalg.norm(right)
        down = np.cross(forward, right)
        roll = np.deg2rad(camera.roll)
        rows = np.stack([np.cos(roll) * right + np.sin(roll) * down, np.cos(roll) * down - np.sin(roll) * right, forward])
        focal = side / 2 * camera.distance / camera.reach
        lens = np.array([[focal, 0, side / 2], [0, focal, side / 2], [0, 0, 1]])
        self.matrix = lens @ np.concatenate([rows, (-rows @ self.place)[:, None]], 1)

    def see(self, points: Floats) -> Floats:
        """World points [n, 3] as pixels [n, 2]."""
        seen = points @ self.matrix[:, :3].T + self.matrix[:, 3]
        return seen[:, :2] / seen[:, 2:]

    def of_ground(self) -> Floats:
        """The homography from the table's plane to pixels."""
        return self.matrix[:, [0, 1, 3]]


def render(scene: Scene, side: int = SIDE) -> View:
    """The same scene gives the same picture, bit for bit, on the same library versions."""
    rng = np.random.default_rng((*scene.seed, 7))
    large = side * OVERSAMPLE
    eye = _Eye(scene, large)
    canvas = _table(rng, scene, eye, large)
    ids = np.zeros((large, large), np.uint8)
    placed = [_posed(thing) for thing in scene.bodies]
    _cast_shadows(rng, scene, eye, canvas, [mesh.vertices for mesh in placed])
    _strew(rng, scene, eye, canvas, ids)
    things: list[tuple[float, Body | Card, Mesh | None, int]] = []
    for number, (thing, mesh) in enumerate(zip(scene.bodies, placed, strict=True)):
        things.append((float(np.linalg.norm(eye.place[:2] - thing.place)), thing, mesh, number + 1))
    for item in scene.cards:
        things.append((float(np.linalg.norm(eye.place[:2] - item.place)), item, None, SIGN_ID if item.sign else CARD_ID))
    whole: dict[int, int] = {}
    for _, thing, solid, number in sorted(things, key=lambda entry: -entry[0]):
        if isinstance(thing, Body) and solid is not None:
            whole[number] = _draw_body(rng, scene, eye, canvas, ids, thing, solid, number)
        elif isinstance(thing, Card):
            whole[number] = _draw_card(rng, scene, eye, canvas, ids, thing, number)
    counts = np.bincount(ids.ravel(), minlength=256)
    seen = tuple(float(counts[n + 1] / max(whole.get(n + 1, 0), 1)) for n in range(len(scene.bodies)))
    sign_seen = float(counts[SIGN_ID] / whole[SIGN_ID]) if whole.get(SIGN_ID) else 0.0
    picture = cv2.resize(canvas, (side, side), interpolation=cv2.INTER_AREA)
    return View(_through_lens(rng, picture, calm=scene.clear), np.ascontiguousarray(ids[::OVERSAMPLE, ::OVERSAMPLE]), seen, sign_seen)


def _table(rng: np.random.Generator, scene: Scene, eye: _Eye, large: int) -> npt.NDArray[np.uint8]:
    kinds = texture.HELD_OUT_GROUNDS if scene.split == "held-out" else texture.TRAINING_GROUNDS
    surface = texture.ground(rng, str(rng.choice(kinds)))
    span = rng.uniform(3, 9)  # table units that the texture covers before it repeats
    side = surface.shape[0]
    to_plane = np.array([[span / side, 0, -span / 2], [0, span / side, -span / 2], [0, 0, 1]])
    spun = np.eye(3)
    spun[:2, :2] = cv2.getRotationMatrix2D((0, 0), rng.uniform(0, 360), 1.0)[:, :2]
    tiles = (surface * 255).astype(np.uint8)
    return cv2.warpPerspective(tiles, eye.of_ground() @ spun @ to_plane, (large, large), borderMode=cv2.BORDER_REFLECT)  # type: ignore[return-value]


def _posed(thing: Body) -> Mesh:
    """The body's mesh where it stands, in table units."""
    mesh = body_mesh(thing.shape)
    turn = np.eye(3)
    c, s = np.cos(thing.turn), np.sin(thing.turn)
    turn[:2, :2] = [[c, -s], [s, c]]
    if thing.tipped and thing.shape in {"cylinder", "cone", "ring"}:
        turn = turn @ np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])
    vertices = mesh.vertices @ turn.T
    vertices = (vertices - [0, 0, vertices[:, 2].min()]) * thing.size + [*thing.place, 0]
    return replace(mesh, vertices=vertices, normals=mesh.normals @ turn.T)


def _cast_shadows(rng: np.random.Generator, scene: Scene, eye: _Eye, canvas: npt.NDArray[np.uint8], solids: list[Floats]) -> None:
    shade = np.zeros(canvas.shape[:2], np.uint8)
    light = np.array(scene.light)
    flats = [vertices[:, :2] - vertices[:, 2:] * light[:2] / light[2] for vertices in solids]
    flats += [(v := _corners(item))[:, :2] - v[:, 2:] * light[:2] / light[2] for item in scene.cards]
    for flat in flats:
        outline = cv2.convexHull(eye.see(np.concatenate([flat, np.zeros((len(flat), 1))], 1)).astype(np.int32))
        cv2.fillConvexPoly(shade, outline, 255)
    softness = int(rng.integers(1, 9)) * 2 + 1
    shade = cv2.blur(shade, (softness, softness))  # type: ignore[assignment]
    depth = rng.uniform(0.25, 0.65)
    darker = 255 - (shade * depth).astype(np.uint8)
    canvas[:] = cv2.multiply(canvas, cv2.merge([darker, darker, darker]), scale=1 / 255)


def _strew(rng: np.random.Generator, scene: Scene, eye: _Eye, canvas: npt.NDArray[np.uint8], ids: npt.NDArray[np.uint8]) -> None:
    """Clutter that has no name here: sheets, pens, cables, crumbs."""
    for _ in range(scene.clutter):
        place = rng.uniform(-1.3, 1.3, 2) * scene.camera.reach
        kind = rng.integers(4)
        angle = rng.uniform(0, np.pi)
        along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
        vivid = rng.random() < 0.35
        color = [round(255 * v) for v in rgb_of(rng.uniform(0, 360), 0.8 if vivid else 0.15, rng.uniform(0.15, 1.0))]
        if kind == 0:
            w, h = rng.uniform(0.2, 0.6, 2)
            corners = [place + sx * w * along + sy * h * across for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        elif kind == 1:
            w, h = rng.uniform(0.3, 0.6), rng.uniform(0.015, 0.04)
            corners = [place + sx * w * along + sy * h * across for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        elif kind == 2:
            corners = [place + rng.uniform(0.04, 0.16) * np.array([np.cos(a), np.sin(a)]) for a in np.sort(rng.uniform(0, 6.28, 7))]
            color = [round(v * rng.uniform(0.3, 0.95)) for v in (220, 205, 185)]
        else:
            bend = place + np.cumsum(rng.normal(0, 0.25, (7, 2)), 0)
            line = eye.see(np.concatenate([bend, np.zeros((7, 1))], 1)).astype(np.int32)
            thick = int(rng.integers(2, 6))
            cv2.polylines(canvas, [line], isClosed=False, color=color, thickness=thick, lineType=cv2.LINE_AA)
            continue
        seen = eye.see(np.array([[*corner, 0] for corner in corners])).astype(np.int32)
        cv2.fillPoly(canvas, [seen], color, cv2.LINE_AA)
        cv2.fillPoly(ids, [seen], CLUTTER_ID)


def _lit(rng: np.random.Generator, scene: Scene, eye: _Eye, normals: Floats, centers: Floats, color: Floats, gloss: float) -> Floats:
    """Colour of every face: ambient, diffuse and a highlight. [faces, 3] in 0..1."""
    light = np.array(scene.light)
    ambient = rng.uniform(0.35, 0.6)
    diffuse = np.clip(normals @ light, 0, None)
    to_eye = eye.place - centers
    to_eye /= np.linalg.norm(to_eye, axis=1, keepdims=True)
    half = to_eye + light
    half /= np.linalg.norm(half, axis=1, keepdims=True)
    shine = gloss * np.clip((normals * half).sum(1), 0, None) ** 24
    from_table = 0.08 * np.clip(-normals[:, 2], 0, None)
    return np.clip(color * (ambient + (1.05 - ambient) * diffuse + from_table)[:, None] + shine[:, None], 0, 1)


def _draw_body(
    rng: np.random.Generator,
    scene: Scene,
    eye: _Eye,
    canvas: npt.NDArray[np.uint8],
    ids: npt.NDArray[np.uint8],
    thing: Body,
    mesh: Mesh,
    number: int,
) -> int:
    """Draws it over what is there and gives the number of pixels it has, those outside the picture too."""
    centers = mesh.middle @ mesh.vertices
    toward = ((eye.place - centers) * mesh.normals).sum(1) > 0
    colors = _lit(rng, scene, eye, mesh.normals, centers, np.array(thing.rgb), thing.gloss)
    seen = eye.see(mesh.vertices)
    low = np.floor(seen.min(0)).astype(int) - 1
    width, height = np.ceil(seen.max(0)).astype(int) + 2 - low
    if width > 4 * SIDE or height > 4 * SIDE:
        return 0
    layer = np.zeros((height, width, 4), np.uint8)
    local = np.round((seen - low) * 16).astype(np.int32)  # sixteenths of a pixel
    order = np.argsort(-np.linalg.norm(centers - eye.place, axis=1))
    for face in order[toward[order]]:
        r, g, b = (colors[face] * 255).tolist()
        cv2.fillConvexPoly(layer, local[list(mesh.faces[face])], (r, g, b, 255), cv2.LINE_8, 4)
    return _lay(rng, layer, low, canvas, ids, number, thing.pattern)


def _lay(
    rng: np.random.Generator,
    layer: npt.NDArray[np.uint8],
    low: npt.NDArray[np.int_],
    canvas: npt.NDArray[np.uint8],
    ids: npt.NDArray[np.uint8],
    number: int,
    pattern: str = "plain",
) -> int:
    height, width = layer.shape[:2]
    x0, y0 = max(low[0], 0), max(low[1], 0)
    x1, y1 = min(low[0] + width, canvas.shape[1]), min(low[1] + height, canvas.shape[0])
    whole = int(np.count_nonzero(layer[..., 3]))
    if x1 <= x0 or y1 <= y0:
        return whole
    if pattern != "plain":
        grain = _pattern(rng, pattern, height, width)
        layer[..., :3] = np.clip(layer[..., :3] * grain[..., None], 0, 255).astype(np.uint8)
    piece = layer[y0 - low[1] : y1 - low[1], x0 - low[0] : x1 - low[0]]
    mask = np.ascontiguousarray(piece[..., 3])
    cv2.copyTo(np.ascontiguousarray(piece[..., :3]), mask, canvas[y0:y1, x0:x1])
    ids[y0:y1, x0:x1][mask > 0] = number
    return whole


def _pattern(rng: np.random.Generator, kind: str, height: int, width: int) -> npt.NDArray[np.float32]:
    if kind == "bands":
        rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
        angle = rng.uniform(0, np.pi)
        wave = np.sin((rows * np.cos(angle) + columns * np.sin(angle)) * rng.uniform(0.25, 0.7))
        return 1 - rng.uniform(0.1, 0.3) * (wave > 0)  # type: ignore[no-any-return]
    first = 4 if kind == "mottled" else 24
    field = texture.noise(rng, 64, 3, first)
    return 1 + 0.16 * cv2.resize(field.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


def _corners(item: Card) -> Floats:
    """The card's corners in table units: top left, top right, bottom right, bottom left, as its reader sees them."""
    out = np.array([np.cos(item.turn), np.sin(item.turn), 0])  # the way it faces
    right = np.array([-np.sin(item.turn), np.cos(item.turn), 0])
    up = np.cos(item.lean) * -out + np.sin(item.lean) * np.array([0, 0, 1.0])
    foot = np.array([*item.place, 0.02])
    half = item.size
    return np.stack([foot - half * right + 2 * half * up, foot + half * right + 2 * half * up, foot + half * right, foot - half * right])


def _draw_card(
    rng: np.random.Generator,
    scene: Scene,
    eye: _Eye,
    canvas: npt.NDArray[np.uint8],
    ids: npt.NDArray[np.uint8],
    item: Card,
    number: int,
) -> int:
    drawn = card_picture(rng, item.sign, held_out=scene.split == "held-out")
    corners = _corners(item)
    normal = np.cross(corners[1] - corners[0], corners[3] - corners[0])
    normal /= -max(float(np.linalg.norm(normal)), 1e-9)
    bright = rng.uniform(0.55, 0.7) + 0.4 * max(0.0, float(normal @ np.array(scene.light)))
    drawn = np.clip(drawn * bright, 0, 255).astype(np.uint8)
    opaque = np.concatenate([drawn, np.full((CARD_SIDE, CARD_SIDE, 1), 255, np.uint8)], 2)
    seen = eye.see(corners)
    low = np.floor(seen.min(0)).astype(int)
    width, height = np.minimum(np.ceil(seen.max(0)).astype(int) + 1 - low, 4 * SIDE)
    flat = np.array([[0, 0], [CARD_SIDE, 0], [CARD_SIDE, CARD_SIDE], [0, CARD_SIDE]], np.float32)
    warp = cv2.getPerspectiveTransform(flat, (seen - low).astype(np.float32))
    layer = cv2.warpPerspective(opaque, warp, (int(width), int(height)), flags=cv2.INTER_AREA)
    layer[..., 3] = np.where(layer[..., 3] > 127, 255, 0)
    whole = _lay(rng, layer, low, canvas, ids, number)  # type: ignore[arg-type]
    if item.hidden is not None:
        _cover(rng, seen, item.hidden, canvas, ids)
    return whole


def _cover(rng: np.random.Generator, seen: Floats, hidden: tuple[float, float], canvas: npt.NDArray[np.uint8], ids: npt.NDArray[np.uint8]) -> None:
    """Something dark, pale or patterned lies over the given share of the card, from the given side (degrees)."""
    angle, share = hidden
    across = np.array([np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))])
    side = np.array([-across[1], across[0]])
    depth = seen @ across
    edge = depth.max() - share * (depth.max() - depth.min())
    reach, spread = np.ptp(seen @ side) * 0.7 + 4, (seen @ side).mean()
    wave = rng.normal(0, 0.02 * reach, 5)
    near = [across * (edge + w) + side * (spread + t * reach) for t, w in zip(np.linspace(-1, 1, 5), wave, strict=True)]
    far = depth.max() + 0.08 * reach
    outline = np.array([*near, across * far + side * (spread + reach), across * far + side * (spread - reach)]).astype(np.int32)
    mask = np.zeros(canvas.shape[:2], np.uint8)
    cv2.fillPoly(mask, [outline], 255)
    skin = rng.random() < 0.5
    tone = np.array(rgb_of(rng.uniform(12, 30), rng.uniform(0.25, 0.6), rng.uniform(0.3, 0.95)) if skin else rng.uniform(0.1, 0.9, 3))
    field = cv2.resize(texture.noise(rng, 64, 3).astype(np.float32), canvas.shape[1::-1])
    cloth = np.clip((tone * 255)[None, None] * (1 + 0.15 * field[..., None]), 0, 255).astype(np.uint8)
    cv2.copyTo(cloth, mask, canvas)
    ids[mask > 0] = CLUTTER_ID


def _through_lens(rng: np.random.Generator, picture: npt.NDArray[np.uint8], *, calm: bool) -> npt.NDArray[np.uint8]:
    """Light that falls off, colour cast, exposure, blur and sensor noise."""
    side = picture.shape[0]
    work = picture.astype(np.float32)
    rows, columns = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j].astype(np.float32)  # type: ignore[misc]
    fall, angle = rng.uniform(0, 0.3), rng.uniform(0, 6.28)
    light = 1 + fall * (np.cos(angle) * rows + np.sin(angle) * columns) - rng.uniform(0, 0.2) * (rows**2 + columns**2)
    cast = rng.normal(1, 0.05, 3) * rng.uniform(0.75, 1.2)
    work *= light[..., None] * cast.astype(np.float32)
    blur = rng.random()
    if blur < 0.35 and not calm:
        work = cv2.GaussianBlur(work, (0, 0), rng.uniform(0.4, 1.3))
    elif blur < 0.5 and not calm:
        length, heading = int(rng.integers(2, 6)), rng.uniform(0, np.pi)
        kernel = np.zeros((2 * length + 1, 2 * length + 1), np.float32)
        tip = (round(length + length / 2 * np.cos(heading)), round(length + length / 2 * np.sin(heading)))
        cv2.line(kernel, (2 * length - tip[0], 2 * length - tip[1]), tip, 1.0)
        work = cv2.filter2D(work, -1, kernel / kernel.sum())
    strength = rng.uniform(0, 3 if calm else 9)
    work += strength * rng.standard_normal(work.shape, dtype=np.float32)
    np.clip(work, 0, 255, out=work)
    return work.astype(np.uint8)

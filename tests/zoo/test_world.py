"""The world tabletop: bodies, scenes and pictures are what their labels say, and follow from their seeds."""

from itertools import pairwise

import numpy as np
import pytest

from mm_edge.zoo.worlds.tabletop.cache import CLEAN, EMPTY, HARD, UNCLEAR, labels_of, view_of
from mm_edge.zoo.worlds.tabletop.drawing.render import SIGN_ID, render
from mm_edge.zoo.worlds.tabletop.drawing.texture import HELD_OUT_SURFACES, KINDS, TRAINING_SURFACES, surface
from mm_edge.zoo.worlds.tabletop.mesh import SHAPES, body
from mm_edge.zoo.worlds.tabletop.scene import COLORS, HELD_OUT_LAYOUTS, HUES, TRAINING_LAYOUTS, paint, sample
from mm_edge.zoo.worlds.tabletop.signs import DRAWINGS, SIGNS, Pen


@pytest.mark.parametrize("shape", SHAPES)
def test_a_body_stands_on_the_table_and_is_seen_from_outside(shape):
    mesh = body(shape)
    assert mesh.vertices[:, 2].min() == pytest.approx(0, abs=0.02)
    centers = mesh.middle @ mesh.vertices
    inner = mesh.vertices.mean(0)
    if shape == "ring":  # its inside is the tube's middle line, not its own middle
        around = centers[:, :2] / np.linalg.norm(centers[:, :2], axis=1, keepdims=True)
        inner = np.concatenate([0.8 * around, np.full((len(centers), 1), 0.3)], 1)
    assert (((centers - inner) * mesh.normals).sum(1) > 0).all()


def test_the_same_number_gives_the_same_picture():
    first, again = render(sample(1, 5, "train")), render(sample(1, 5, "train"))
    assert np.array_equal(first.picture, again.picture)
    assert not np.array_equal(first.picture, render(sample(1, 6, "train")).picture)
    assert not np.array_equal(first.picture, render(sample(1, 5, "tune")).picture)


@pytest.mark.parametrize("index", range(6))
def test_labels_say_what_is_in_the_picture(index):
    scene, view = view_of(3, index, "train", CLEAN)
    assert view.picture.shape == (160, 160, 3)
    assert set(np.unique(view.ids)) <= {0, *range(1, len(scene.bodies) + 1), 253, 254, 255}
    things, sign = labels_of(scene, view)
    for slot, (thing, seen) in enumerate(zip(scene.bodies, view.visible, strict=True)):
        assert 0 <= seen <= 1.001
        pair = [SHAPES.index(thing.shape), COLORS.index(thing.color)]
        assert things[slot].tolist() in (pair, [UNCLEAR - pair[0], UNCLEAR - pair[1]])
    assert (things[len(scene.bodies) :] == EMPTY).all()
    assert (sign < len(SIGNS)) == bool((view.ids == SIGN_ID).any())


def test_a_body_has_the_colour_of_its_name():
    """Read off the picture: the hue of its pixels lies within what its name allows, give or take light and cast."""
    import cv2

    right = []
    for index in range(40):
        scene, view = view_of(4, index, "train", CLEAN)
        for slot, thing in enumerate(scene.bodies):
            mask = view.ids == slot + 1
            if view.visible[slot] < 0.9 or mask.sum() < 200:
                continue
            pixels = view.picture[mask].astype(np.float64)
            hsv = cv2.cvtColor(np.median(pixels, 0)[None, None].astype(np.uint8), cv2.COLOR_RGB2HSV)[0, 0]
            low, high = HUES[thing.color]
            away = min(abs((2 * float(hsv[0]) - hue + 180) % 360 - 180) for hue in np.linspace(low, high, 9))
            right.append(away < 14)
    assert len(right) > 40
    assert np.mean(right) > 0.9


def test_half_of_the_sign_is_hidden_where_it_should_be():
    clean = [view_of(1, i, "held-out", CLEAN)[1].sign_visible for i in range(30)]
    hard = [view_of(1, i, "held-out", HARD)[1].sign_visible for i in range(30)]
    assert min(share for share in clean if share) >= 0.85
    assert min(share for share in hard if share) >= 0.36
    assert np.median([share for share in hard if share]) == pytest.approx(0.5, abs=0.12)


def test_what_is_held_out_is_never_trained_on():
    assert not set(TRAINING_SURFACES) & set(HELD_OUT_SURFACES)
    assert not set(TRAINING_LAYOUTS) & set(HELD_OUT_LAYOUTS)
    assert set(TRAINING_SURFACES) | set(HELD_OUT_SURFACES) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_surface_is_a_picture_that_varies(kind):
    made = surface(np.random.default_rng(2), kind)
    assert made.shape == (192, 192, 3)
    assert made.min() >= 0
    assert made.max() <= 1
    assert made.std() > 0.002


def test_hues_of_two_colours_never_meet():
    ranges = sorted(HUES.values())
    assert all(high + 10 < low for (_, high), (low, _) in pairwise(ranges))
    red, green, blue = paint(np.random.default_rng(0), "red")
    assert red > 2 * max(green, blue)


def test_left_and_right_are_mirror_images():
    drawn = {}
    for way in ("left", "right"):
        drawn[way] = np.full((129, 129, 3), 255, np.uint8)
        DRAWINGS[way](np.random.default_rng(8), Pen(drawn[way], (0, 0, 0), (64, 64), 50))
    mirrored = drawn["right"][:, ::-1].astype(int)
    assert np.abs(drawn["left"] - mirrored).mean() < 0.2 * np.abs(drawn["left"] - drawn["right"].astype(int)).mean()

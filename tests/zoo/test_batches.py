"""Batches: queries fit the scene, missing inputs are not labelled, and every label lies on its object."""

import numpy as np
import pytest

from mm_edge.zoo.worlds.tabletop.cache import CLEAN, EMPTY, NONE, World, labels_of, view_of
from mm_edge.zoo.worlds.tabletop.curriculum.batches import (
    ALL_PRESENT,
    AUDIO,
    DEFAULT_MIX,
    IMAGE,
    SIGN_AND_WORD,
    TEXT,
    make_batch,
)
from mm_edge.zoo.worlds.tabletop.curriculum.crops import ENOUGH_PIXELS, crop
from mm_edge.zoo.worlds.tabletop.curriculum.metrics import target_figures
from mm_edge.zoo.worlds.tabletop.curriculum.queries import ANY_COLOR, ANY_SHAPE, ask, bodies_in
from mm_edge.zoo.worlds.tabletop.curriculum.targets import CELLS, OUTSIDE, hull, regions, shares
from mm_edge.zoo.worlds.tabletop.drawing.canvas import CARD_ID, SIGN_ID
from mm_edge.zoo.worlds.tabletop.mesh import SHAPES
from mm_edge.zoo.worlds.tabletop.scene import COLORS


@pytest.fixture(scope="module")
def world():
    """Sixty pictures, and sounds that differ in their level only."""
    views = [view_of(1, index, "train", CLEAN) for index in range(60)]
    labels = [labels_of(scene, view) for scene, view in views]
    words = np.arange(70) % (NONE + 1)
    return World(
        split="train",
        pictures=np.stack([view.picture for _, view in views]),
        ids=np.stack([view.ids for _, view in views]),
        things=np.stack([things for things, _ in labels]),
        signs=np.array([sign for _, sign in labels], np.int8),
        sounds=np.repeat((words[:, None] * 1000).astype(np.int16), 16_000, 1),
        words=words.astype(np.int8),
    )


ALL = np.arange(60)


def test_the_same_seed_gives_the_same_batch(world):
    one, two = (make_batch(world, ALL, (1, 2)) for _ in range(2))
    assert all(np.array_equal(value, two.feeds[name]) for name, value in one.feeds.items())
    other = make_batch(world, ALL, (1, 3))
    assert not np.array_equal(one.feeds["audio"], other.feeds["audio"])


def test_the_sound_is_that_of_the_word_and_never_contradicts_the_sign(world):
    taught = make_batch(world, ALL, (4,), mix=ALL_PRESENT)
    heard = np.round(taught.feeds["audio"].mean(1) * 32.768).astype(int)
    assert np.array_equal(heard, taught.word)
    both = (taught.word != NONE) & (taught.sign != NONE)
    assert both.any()
    assert (taught.word == taught.sign)[both].all()
    assert np.array_equal(taught.command, np.where(taught.word != NONE, taught.word, taught.sign))


def test_with_sign_and_word_every_sign_has_its_word(world):
    taught = make_batch(world, ALL, (4,), mix=SIGN_AND_WORD)
    assert np.array_equal(taught.word, taught.sign)


def test_missing_inputs_are_not_labelled(world):
    taught = make_batch(world, ALL, (5,), mix=DEFAULT_MIX)
    presence = taught.feeds["presence"]
    assert 0 < (presence[:, AUDIO] == 0).sum() < 30
    assert not ((presence[:, AUDIO] == 0) & (presence[:, IMAGE] == 0)).any()
    deaf, blind = presence[:, AUDIO] == 0, presence[:, IMAGE] == 0
    assert np.array_equal(taught.command[deaf], taught.sign[deaf])
    assert np.array_equal(taught.command[blind], taught.word[blind])
    untold = blind | (presence[:, TEXT] == 0)
    assert (taught.cells[untold, -1] == 1).all()
    assert all(len(taught.hulls[row]) == 0 for row in np.flatnonzero(untold))


def test_shares_sum_to_one_and_lie_in_the_outline(world):
    import cv2

    taught = make_batch(world, ALL, (6,), mix=ALL_PRESENT)
    assert np.allclose(taught.cells.sum(1), 1)
    there = [row for row in ALL if len(taught.hulls[row])]
    assert len(there) > 20
    for row in there:
        assert taught.cells[row, -1] == 0
        rows, columns = np.nonzero(taught.cells[row, :-1].reshape(CELLS, CELLS))
        outline = taught.hulls[row].astype(np.float32)
        for x, y in zip(columns * 8 + 4.0, rows * 8 + 4.0, strict=True):
            assert cv2.pointPolygonTest(outline, (float(x), float(y)), True) > -6


def test_a_phrase_fits_exactly_one_body_or_none(world):
    rng = np.random.default_rng(7)
    kinds = set()
    for number in ALL:
        bodies = bodies_in(world.ids[number], world.things[number])
        requested = ask(rng, bodies, present=0.6, whole_name=0.5)
        fitting = [body.slot for body in bodies if requested.fits(body)]
        assert fitting == ([] if requested.slot is None else [requested.slot])
        kinds.add((requested.color == ANY_COLOR, requested.shape == ANY_SHAPE, requested.slot is None))
    assert len(kinds) == 6  # whole name, colour alone, shape alone; there and not there
    assert (True, True) not in {kind[:2] for kind in kinds}


def test_regions_are_where_their_things_are_and_carry_their_names(world):
    named = regions(world.ids, world.things, world.signs)
    for number in ALL:
        for slot, (shape, color) in enumerate(world.things[number]):
            mask = named.masks[number, slot]
            if named.shape[number, slot] == OUTSIDE:
                continue
            assert (named.shape[number, slot], named.color[number, slot]) == (shape, color)
            assert mask.sum() == pytest.approx(1)
            assert np.array_equal(mask > 0, shares_of(world.ids[number], slot))
    assert set(np.unique(named.shape)) == {OUTSIDE, *range(len(SHAPES))}
    assert set(np.unique(named.color)) == {OUTSIDE, *range(len(COLORS))}


def shares_of(ids, slot):
    return (ids == slot + 1).reshape(CELLS, 8, CELLS, 8).any((1, 3)).ravel()


@pytest.mark.parametrize("side", [48, 80])
def test_a_crop_shows_its_object_and_labels_only_what_it_shows(world, side):
    pieces = crop(world, np.random.default_rng(8), ALL, side)
    assert pieces.pictures.shape == (60, side, side, 3)
    kinds = set()
    for number in ALL:
        ids, whole = pieces.ids[number], world.ids[number]
        assert set(np.unique(ids)) <= {0, *np.unique(whole)}
        sign = int(pieces.sign[number])
        kinds.add(min(sign, 0) if sign != NONE else NONE)
        if sign not in {NONE, OUTSIDE}:
            assert sign == world.signs[number]
            assert (ids == SIGN_ID).sum() > 0.04 * side**2
        for slot in np.flatnonzero(pieces.things[number, :, 0] > EMPTY):
            assert (ids == slot + 1).any()
            assert np.array_equal(pieces.things[number, slot], world.things[number, slot])
        named = [(ids == n).sum() for n in (*range(1, 7), SIGN_ID, CARD_ID)]
        assert max(named) > 0.02 * side**2 or max((whole == n).sum() for n in range(1, 256)) < 4 * ENOUGH_PIXELS
    assert kinds == {OUTSIDE, 0, NONE}


def test_figures_are_those_of_the_answers(world):
    taught = make_batch(world, ALL, (9,), mix=ALL_PRESENT)
    there = np.array([len(outline) > 0 for outline in taught.hulls])
    middle = [outline.mean(0) if len(outline) else np.zeros(2) for outline in taught.hulls]
    right = {"target": np.array(middle) / 160, "target_score": np.where(there, 3.0, -3.0)[:, None]}
    assert target_figures(right, taught) == {"target_inside": 1, "target_placed": 1, "target_absent": 1}
    unsure = {**right, "target_score": np.full((60, 1), -3.0)}
    assert target_figures(unsure, taught) == {"target_inside": 0, "target_placed": 1, "target_absent": 1}
    astray = {**right, "target": np.full((60, 2), 0.999)}
    assert target_figures(astray, taught)["target_placed"] < 0.2


def test_absent_objects_have_a_cell_of_their_own():
    assert shares(np.zeros((160, 160), np.uint8), None)[-1] == 1
    assert hull(np.zeros((160, 160), np.uint8), None).shape == (0, 2)

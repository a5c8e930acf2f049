"""Settling: the tuning set sets the score's level, and no point moves."""

import numpy as np
import pytest
import torch

from mm_edge.zoo.catalog import entry
from mm_edge.zoo.tabletop import course as courses
from mm_edge.zoo.tabletop.cache import CLEAN, NONE, World, labels_of, view_of
from mm_edge.zoo.tabletop.course import Tabletop
from mm_edge.zoo.tabletop.measure import target_figures
from mm_edge.zoo.training.loop import predictor


@pytest.fixture(scope="module")
def taught():
    views = [view_of(1, index, "tune", CLEAN) for index in range(60)]
    labels = [labels_of(scene, view) for scene, view in views]
    words = np.arange(14) % (NONE + 1)
    course = Tabletop()
    course.tune = World(
        split="tune",
        pictures=np.stack([view.picture for _, view in views]),
        ids=np.stack([view.ids for _, view in views]),
        things=np.stack([things for things, _ in labels]),
        signs=np.array([sign for _, sign in labels], np.int8),
        sounds=np.zeros((14, 16_000), np.int16),
        words=words.astype(np.int8),
    )
    return course


def test_a_score_that_is_too_high_is_set_lower_and_no_point_moves(taught):
    lessons = taught._exam()
    there = np.array([len(outline) > 0 for outline in lessons.hulls])
    middles = np.array([outline.mean(0) if len(outline) else np.zeros(2) for outline in lessons.hulls]) / 160
    told = {"target": middles, "target_score": np.where(there, 4.0, 2.0)[:, None]}
    assert target_figures(told, lessons)["target_absent"] == 0
    model = entry("scout").build()
    before = model.heads["target"].heat.bias.item()
    settled = taught.settle(model, lambda _: told)
    shift = settled["score_shift"]
    assert -4 <= shift <= -2
    assert model.heads["target"].heat.bias.item() == pytest.approx(before + shift)
    after = {**told, "target_score": told["target_score"] + shift}
    assert target_figures(after, lessons) == {"target_inside": 1, "target_placed": 1, "target_absent": 1}


def test_the_shift_of_the_bias_is_that_of_the_score(taught):
    torch.manual_seed(0)
    model = entry("scout").build()
    feeds = {name: value[:4] for name, value in taught._exam().feeds.items()}
    before = predictor(model)(feeds)
    model.heads["target"].shift_score(1.25)
    after = predictor(model)(feeds)
    assert np.allclose(after["target_score"] - before["target_score"], 1.25, atol=1e-4)
    assert np.allclose(after["target"], before["target"], atol=1e-5)


def test_pieces_and_whole_pictures_teach_the_same_losses(taught, monkeypatch):
    monkeypatch.setattr(courses, "MORE_PHRASES", 1)
    course = Tabletop()
    course.world = taught.tune
    course.size = course.size._replace(close_steps=1)
    model = entry("scout").build()
    tutor = course.tutor(model)
    shown = []
    for step in (0, 1):
        batch = course.batch(step, 8, 0)
        loss, figures = course.loss(model, tutor, batch)
        loss.backward()
        assert torch.isfinite(loss)
        shown.append(figures)
        assert batch["image"].shape[1] == (80 if step == 0 else 160)
    assert set(shown[0]) == set(shown[1])
    assert all(p.grad is not None for p in model.encoders["image"].parameters())

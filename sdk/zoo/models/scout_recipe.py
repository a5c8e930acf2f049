"""The training recipe of scout: data sizes, stages and steps, in full and for a quick run."""

from __future__ import annotations

from mm_edge.zoo.training.plan import Plan
from mm_edge.zoo.training.recipe import Recipe
from mm_edge.zoo.worlds.tabletop.curriculum.curriculum import Size, TabletopCurriculum
from mm_edge.zoo.worlds.tabletop.curriculum.image_course import CropPlan

FULL = Size(
    pictures=32_000,
    sounds=48_000,
    tune_pictures=1500,
    tune_sounds=3000,
    voices_at_most=None,
    takes=1,
    audio=Plan(steps=1950, batch=96, averaging=0.99, evaluate_every=650),
    image=Plan(steps=4600, batch=64, averaging=0.99, evaluate_every=300, first_evaluation=3900),
    crop_plans=(
        CropPlan(2400, side=48, pieces=3, phrases=1),
        CropPlan(3000, side=80, pieces=1, phrases=2),
        CropPlan(4600, None, 1, 2),
    ),
    fusion=Plan(steps=1500, batch=512, learning_rate=0.02, warm_up=50, averaging=0.99, evaluate_every=500),
)
QUICK = Size(
    pictures=1500,
    sounds=3000,
    tune_pictures=300,
    tune_sounds=800,
    voices_at_most=10,
    takes=1,
    audio=Plan(steps=240, batch=64, warm_up=20, averaging=0.95, evaluate_every=120),
    image=Plan(steps=260, batch=32, warm_up=20, averaging=0.95, evaluate_every=60, first_evaluation=260),
    crop_plans=(
        CropPlan(180, side=48, pieces=3, phrases=1),
        CropPlan(230, side=80, pieces=1, phrases=1),
        CropPlan(260, None, 1, 1),
    ),
    fusion=Plan(steps=200, batch=256, learning_rate=0.02, warm_up=10, averaging=0.95, evaluate_every=50),
)
RECIPE = Recipe(full=lambda: TabletopCurriculum(FULL), quick=lambda: TabletopCurriculum(QUICK))

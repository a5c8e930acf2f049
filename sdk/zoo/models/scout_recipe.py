"""How scout is trained, and by what it is judged."""

from __future__ import annotations

from mm_edge.zoo.training.loop import Plan
from mm_edge.zoo.training.recipe import Recipe
from mm_edge.zoo.worlds.tabletop.lessons.school import Size, Tabletop
from mm_edge.zoo.worlds.tabletop.lessons.seeing import Look

FULL = Size(
    pictures=32_000,
    sounds=48_000,
    tune_pictures=1500,
    tune_sounds=3000,
    voices_at_most=None,
    takes=1,
    hearing=Plan(steps=1950, batch=96, averaging=0.99, evaluate_every=650),
    seeing=Plan(steps=4600, batch=64, averaging=0.99, evaluate_every=300, first_exam=3900),
    looks=(Look(2400, side=48, pieces=3, phrases=1), Look(3000, side=80, pieces=1, phrases=2), Look(4600, None, 1, 2)),
    deciding=Plan(steps=1500, batch=512, learning_rate=0.02, warm_up=50, averaging=0.99, evaluate_every=500),
)
QUICK = Size(
    pictures=1500,
    sounds=3000,
    tune_pictures=300,
    tune_sounds=800,
    voices_at_most=10,
    takes=1,
    hearing=Plan(steps=240, batch=64, warm_up=20, averaging=0.95, evaluate_every=120),
    seeing=Plan(steps=260, batch=32, warm_up=20, averaging=0.95, evaluate_every=60, first_exam=260),
    looks=(Look(180, side=48, pieces=3, phrases=1), Look(230, side=80, pieces=1, phrases=1), Look(260, None, 1, 1)),
    deciding=Plan(steps=200, batch=256, learning_rate=0.02, warm_up=10, averaging=0.95, evaluate_every=50),
)
RECIPE = Recipe(full=lambda: Tabletop(FULL), quick=lambda: Tabletop(QUICK))

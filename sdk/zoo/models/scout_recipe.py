"""How scout is trained, and by what it is judged."""

from __future__ import annotations

from dataclasses import replace

from mm_edge.zoo.tabletop.course import Tabletop
from mm_edge.zoo.tabletop.lessons import USUAL
from mm_edge.zoo.training.loop import Plan
from mm_edge.zoo.training.recipe import Recipe

ONLY_IMAGE = replace(USUAL, no_audio=1.0, no_image=0.0)
ONLY_AUDIO = replace(USUAL, no_audio=0.0, no_image=1.0)

RECIPE = Recipe(
    course=Tabletop,
    single_courses=lambda: {"image": Tabletop(ONLY_IMAGE), "audio": Tabletop(ONLY_AUDIO)},
    plan=Plan(steps=6000, batch=64, learning_rate=2.5e-3, averaging=0.996, evaluate_every=250),
    rivals=Plan(steps=300, batch=64, learning_rate=1e-3, warm_up=30, evaluate_every=100),
    quick_plan=Plan(steps=160, batch=48, learning_rate=3e-3, warm_up=20, evaluate_every=80, averaging=0.97),
    quick_rivals=Plan(steps=16, batch=48, learning_rate=1e-3, warm_up=4, evaluate_every=8, averaging=0.9),
)

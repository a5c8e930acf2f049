"""How scout is trained, and by what it is judged."""

from __future__ import annotations

from dataclasses import replace

from mm_edge.zoo.tabletop.course import FULL, FURTHER, QUICK, Tabletop
from mm_edge.zoo.tabletop.lessons import USUAL
from mm_edge.zoo.training.loop import Plan
from mm_edge.zoo.training.recipe import Recipe

ONLY_IMAGE = replace(USUAL, no_audio=1.0, no_image=0.0)
ONLY_AUDIO = replace(USUAL, no_audio=0.0, no_image=1.0)

RECIPE = Recipe(
    course=Tabletop,
    single_courses=lambda: {
        "image": Tabletop(ONLY_IMAGE, first_close=False),
        "audio": Tabletop(ONLY_AUDIO, first_close=False),
    },
    plan=Plan(
        steps=FULL.close_steps + 800,
        batch=64,
        learning_rate=2.5e-3,
        averaging=0.995,
        evaluate_every=100,
        first_exam=FULL.close_steps + 300,
    ),
    rivals=Plan(steps=40, batch=64, learning_rate=1e-3, warm_up=10, averaging=0.9, evaluate_every=40),
    quick_plan=Plan(
        steps=QUICK.close_steps + 60,
        batch=32,
        learning_rate=3e-3,
        warm_up=20,
        averaging=0.97,
        evaluate_every=60,
        first_exam=QUICK.close_steps,
    ),
    quick_rivals=Plan(steps=16, batch=48, learning_rate=1e-3, warm_up=4, evaluate_every=8, averaging=0.9),
    further_course=lambda: Tabletop(size=FURTHER),
    further=Plan(
        steps=FURTHER.close_steps + 60,
        batch=64,
        learning_rate=1.5e-3,
        warm_up=50,
        averaging=0.99,
        evaluate_every=100,
        first_exam=FURTHER.close_steps + 60,
    ),
)

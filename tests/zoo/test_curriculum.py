"""The curriculum of the tabletop: by ear, by projection, what to make of both, and the score's level at the end."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mm_edge.zoo.catalog import Entry, entry
from mm_edge.zoo.models.scout_recipe import QUICK
from mm_edge.zoo.training import train as training
from mm_edge.zoo.training.loop import learn, predictor
from mm_edge.zoo.training.plan import Plan
from mm_edge.zoo.training.recipe import Recipe
from mm_edge.zoo.training.train import train
from mm_edge.zoo.worlds.tabletop.cache import CLEAN, NONE, World, labels_of, view_of
from mm_edge.zoo.worlds.tabletop.curriculum import curriculum as curricula
from mm_edge.zoo.worlds.tabletop.curriculum import fusion_course
from mm_edge.zoo.worlds.tabletop.curriculum.audio_course import AudioCourse, Bands
from mm_edge.zoo.worlds.tabletop.curriculum.batches import AUDIO, DEFAULT_MIX, FUSION_MIX, IMAGE, TEXT
from mm_edge.zoo.worlds.tabletop.curriculum.curriculum import IMAGE_STAGE_PARTS, ONLY, TabletopCurriculum
from mm_edge.zoo.worlds.tabletop.curriculum.fusion_course import Embeddings, FusionCourse
from mm_edge.zoo.worlds.tabletop.curriculum.image_course import CropPlan, ImageCourse, taught
from mm_edge.zoo.worlds.tabletop.curriculum.metrics import target_figures
from mm_edge.zoo.worlds.tabletop.curriculum.targets import OUTSIDE

ALL = np.arange(60)
STAGES = ("image_encoder", "audio_encoder", "fusion")
CLOSE, WHOLE = CropPlan(1, side=48, pieces=2, phrases=1), CropPlan(2, side=None, pieces=1, phrases=2)


@pytest.fixture(scope="module")
def world():
    """Sixty pictures, and a distinct tone for every word."""
    views = [view_of(1, index, "tune", CLEAN) for index in ALL]
    labels = [labels_of(scene, view) for scene, view in views]
    words = np.arange(28) % (NONE + 1)
    time = np.arange(16_000) / 16_000
    tones = 8000 * np.sin(2 * np.pi * 300 * (words[:, None] + 1) * time) * (time > 0.3)
    return World(
        split="tune",
        pictures=np.stack([view.picture for _, view in views]),
        ids=np.stack([view.ids for _, view in views]),
        things=np.stack([things for things, _ in labels]),
        signs=np.array([sign for _, sign in labels], np.int8),
        sounds=tones.astype(np.int16),
        words=words.astype(np.int8),
    )


@pytest.fixture(scope="module")
def curriculum(world):
    made = TabletopCurriculum(QUICK)
    made.world = made.tune = world
    return made


@pytest.fixture
def model():
    torch.manual_seed(0)
    return entry("scout").build()


def test_bands_are_the_input_of_the_audio_encoder(world, model):
    bands = Bands(world, model.encoders["audio"].front)
    sounds = torch.from_numpy(world.sounds.astype(np.float32) / 32768)
    with torch.inference_mode():
        levels = model.encoders["audio"].front(sounds)
    assert torch.allclose(bands.plain(torch.arange(28)), levels, atol=0.02)


def test_varied_sounds_follow_from_their_seed_and_differ_from_the_plain_ones(world, model):
    bands = Bands(world, model.encoders["audio"].front)
    course = AudioCourse(bands, bands)
    one, two, other = (course.batch(step, 14, 0) for step in (0, 0, 1))
    assert torch.equal(one["levels"], two["levels"])
    assert torch.equal(one["word"], two["word"])
    assert not torch.equal(one["levels"], other["levels"])
    assert one["levels"].shape == (14, *bands.levels.shape[1:])
    assert torch.isfinite(one["levels"]).all()
    assert sorted([*one["word"].tolist(), *other["word"].tolist()]) == sorted(world.words.tolist())


def test_the_audio_course_learns_words_and_does_not_change_the_image_encoder(world, model, tmp_path):
    bands = Bands(world, model.encoders["audio"].front)
    before = {name: value.clone() for name, value in model.encoders["image"].state_dict().items()}
    plan = Plan(steps=40, batch=14, warm_up=5, averaging=0.8, evaluate_every=20, threads=1)
    trained, run = learn(model, AudioCourse(bands, bands), plan, tmp_path)
    assert run.best > 0.7
    assert all(torch.equal(value, before[name]) for name, value in trained.encoders["image"].state_dict().items())


def test_crops_and_whole_pictures_give_the_same_losses(world, model):
    course = ImageCourse(world, world, (CLOSE, WHOLE))
    tutor = course.tutor(model)
    shown = []
    for step in (0, 1):
        batch = course.batch(step, 8, 0)
        loss, figures = course.loss(model, tutor, batch)
        loss.backward()
        assert torch.isfinite(loss)
        shown.append(figures)
        assert batch["image"].shape[:2] == ((16, 48) if step == 0 else (8, 160))
    assert set(shown[0]) == set(shown[1])
    for part in ("image", "text"):
        assert all(value.grad is not None for value in model.encoders[part].parameters())
    assert all(value.grad is None for value in model.encoders["audio"].parameters())


@pytest.mark.parametrize("plan", [CLOSE, WHOLE], ids=["pieces", "whole"])
def test_what_is_not_visible_is_labelled_nowhere(world, plan):
    batch = taught(world, np.random.default_rng(3), ALL, plan)
    assert batch["text"].shape == (60 * plan.pieces, plan.phrases, 16)
    assert torch.allclose(batch["cells"].sum(2), torch.ones(60 * plan.pieces, plan.phrases))
    missing = batch["presence"][..., [IMAGE, TEXT]].min(2).values == 0
    assert 0 < missing.sum() < 30
    assert (batch["cells"][missing][:, -1] == 1).all()
    assert (batch["cells"][~missing][:, -1] == 0).any()
    assert (batch["card"][batch["sign"] == NONE] == OUTSIDE).all()
    assert bool((batch["sign"] == OUTSIDE).any()) == (plan is CLOSE)


def test_the_command_follows_from_what_is_there(world, monkeypatch):
    """The embeddings are their own labels, without noise, so a batch shows what was paired."""
    monkeypatch.setattr(fusion_course, "EMBEDDING_NOISE", {"image": 0.0, "audio": 0.0})
    sign, word = (torch.from_numpy(labels.astype(np.int64)) for labels in (world.signs, world.words))
    known = Embeddings(sign[None, :, None].float(), sign, word[None, :, None].float(), word)
    batch = FusionCourse(known, known, DEFAULT_MIX).batch(0, 400, 0)
    seen = torch.where(batch["presence"][:, IMAGE] > 0, batch["image"][:, 0], NONE)
    heard = torch.where(batch["presence"][:, AUDIO] > 0, batch["audio"][:, 0], NONE)
    assert torch.equal(batch["command"], torch.where(heard != NONE, heard, seen).long())
    both = (seen != NONE) & (heard != NONE)
    assert both.any()
    assert torch.equal(seen[both], heard[both])
    for name, column in (("image", AUDIO), ("audio", IMAGE)):
        alone = FusionCourse(known, known, ONLY[name]).batch(0, 100, 0)
        assert (alone["presence"][:, column] == 0).all()


def test_embedding_noise_scales_with_the_spread_and_is_reproducible(world):
    sign, word = (torch.from_numpy(labels.astype(np.int64)) for labels in (world.signs, world.words))
    wide = torch.stack([torch.randn(len(sign)), torch.zeros(len(sign))], 1)
    known = Embeddings(wide[None], sign, torch.randn(1, len(word), 2), word)
    course = FusionCourse(known, known, DEFAULT_MIX)
    batch = course.batch(3, 400, 0)
    still = np.isin(batch["image"].numpy(), wide.numpy())
    assert still[:, 1].all()
    assert not still[:, 0].any()
    assert torch.equal(course.batch(3, 400, 0)["image"], batch["image"])
    assert not torch.equal(course.batch(4, 400, 0)["image"], batch["image"])


def test_model_and_rivals_decide_from_the_same_encoders(curriculum, model, monkeypatch):
    requested = []
    monkeypatch.setattr(curricula, "known", lambda *args: requested.append(args[3]) or "known")
    courses = [stage.course(model) for stage in (curriculum.stages()[-1], *curriculum.baselines().values())]
    assert requested == [QUICK.takes, 0]
    assert [course.mix for course in courses] == [FUSION_MIX, ONLY["image"], ONLY["audio"]]


def test_recorded_embeddings_are_those_of_the_encoders(world, model):
    bands = Bands(world, model.encoders["audio"].front)
    found = curricula.known(world, bands, model, 0)
    with torch.inference_mode():
        shown = model.eval().encoders["image"](torch.from_numpy(world.pictures[:4]))["embedding"]
    assert torch.allclose(found.image[0, :4], shown, atol=1e-5)
    varied = curricula.known(world, bands, model, 2)
    assert varied.image.shape == (2, *found.image.shape[1:])
    assert not torch.allclose(varied.image[0], varied.image[1])


def test_calibration_lowers_a_score_that_is_too_high_and_moves_no_point(curriculum, model):
    action = curriculum._evaluation_batch(60)
    there = np.array([len(outline) > 0 for outline in action.hulls])
    middles = np.array([outline.mean(0) if len(outline) else np.zeros(2) for outline in action.hulls]) / 160
    told = {"target": middles, "target_score": np.where(there, 4.0, 2.0)[:, None]}
    assert target_figures(told, action)["target_absent"] == 0
    before = model.heads["target"].heat.bias.item()
    shift = curriculum.calibrate(model, lambda _: told)["score_shift"]
    assert -4 <= shift <= -2
    assert model.heads["target"].heat.bias.item() == pytest.approx(before + shift)
    after = {**told, "target_score": told["target_score"] + shift}
    assert target_figures(after, action) == {"target_inside": 1, "target_placed": 1, "target_absent": 1}


def test_the_shift_of_the_bias_is_that_of_the_score(curriculum, model):
    feeds = {name: value[:4] for name, value in curriculum._evaluation_batch(60).feeds.items()}
    before = predictor(model)(feeds)
    model.heads["target"].shift_score(1.25)
    after = predictor(model)(feeds)
    assert np.allclose(after["target_score"] - before["target_score"], 1.25, atol=1e-4)
    assert np.allclose(after["target"], before["target"], atol=1e-5)


class Small(TabletopCurriculum):
    """The curriculum with the little world of these tests, for a few steps."""

    def __init__(self, world):
        plan = Plan(steps=3, batch=8, warm_up=1, evaluate_every=3, averaging=0.5, threads=1)
        super().__init__(
            QUICK._replace(audio=plan, image=plan, fusion=plan, crop_plans=(CLOSE, WHOLE._replace(until=3)))
        )
        fewer = {name: getattr(world, name)[:24] for name in ("pictures", "ids", "things", "signs")}
        self.world = self.tune = replace(world, **fewer)

    def prepare(self, cache, *, progress=None):
        pass


@pytest.mark.timeout(400)
def test_the_last_stage_starts_from_the_weights_of_the_others(world, tmp_path, monkeypatch):
    monkeypatch.setattr(Entry, "recipe", lambda _: Recipe(full=lambda: Small(world), quick=lambda: Small(world)))
    watched = []
    report = train("scout", tmp_path, quick=True, on_step=lambda what, *_: watched.append(what))
    assert {stage: told["steps"] for stage, told in report["stages"].items()} == dict.fromkeys(STAGES, 3)
    assert set(report["alone"]) == {"image", "audio"}
    assert len(watched) == 3 * (len(STAGES) + 2)
    shipped = load_file(tmp_path / "weights.safetensors")
    for stage, parts in {"image_encoder": IMAGE_STAGE_PARTS, "audio_encoder": ("encoders.audio",)}.items():
        kept = load_file(tmp_path / stage / "checkpoint.safetensors")
        for part in parts:
            own = {name: value for name, value in shipped.items() if name.startswith(part)}
            settled = {name for name in own if name.endswith("heat.bias") or "missing.embedding" in name}
            assert own
            assert all(torch.equal(value, kept[f"best/{name}"]) for name, value in own.items() if name not in settled)
    monkeypatch.setattr(training, "draw_curves", lambda *_: None)  # the same curves: seconds of Matplotlib
    again = train("scout", tmp_path, quick=True, on_step=lambda what, *_: watched.append(what))
    assert len(watched) == 3 * (len(STAGES) + 2)  # finished stages are not trained again
    assert again["tuning"] == report["tuning"]


def test_an_interrupted_stage_resumes_where_it_stopped(world, tmp_path):
    """Training is resumable because every stage is."""
    plan = Plan(steps=6, batch=8, warm_up=2, evaluate_every=6, save_every=2, threads=1)
    built, crop_plans = entry("scout").build, (CLOSE._replace(until=4), WHOLE._replace(until=6))

    def run(folder, steps):
        torch.manual_seed(0)
        return learn(built(), ImageCourse(world, world, crop_plans), replace(plan, steps=steps), folder)

    whole, _ = run(tmp_path / "whole", 6)
    torch.manual_seed(0)
    student = built()
    with pytest.raises(InterruptedError):
        learn(student, ImageCourse(world, world, crop_plans), plan, tmp_path / "torn", _stop_at_four)
    resumed, _ = run(tmp_path / "torn", 6)
    for (name, one), other in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(one, other), name


def _stop_at_four(run, _shown):
    if run.step == 4:
        raise InterruptedError

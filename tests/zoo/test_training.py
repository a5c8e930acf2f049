"""Training learns, stops early without improvement, and gives the same weights after an interruption."""

import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from mm_edge.spec import ClassesOutput, ModelSpec, Sync, VectorInput, VectorPrepare
from mm_edge.zoo.compose import FusionModel
from mm_edge.zoo.encoders import VectorMlp
from mm_edge.zoo.fusions import Concatenation
from mm_edge.zoo.heads import ClassesHead
from mm_edge.zoo.training import checkpoint
from mm_edge.zoo.training.loop import CHECKPOINT, Run, TrainingState, class_weights, learn, predictor
from mm_edge.zoo.training.optimizer import evened
from mm_edge.zoo.training.pictures import draw_confusion, draw_curves
from mm_edge.zoo.training.plan import Plan

SPEC = ModelSpec(
    name="sides",
    inputs=(VectorInput("a", VectorPrepare(3)), VectorInput("b", VectorPrepare(3))),
    outputs=(ClassesOutput("side", {"logits": "side"}, ("left", "right")),),
    sync=Sync("a"),
    presence="presence",
)


class Sides:
    """The label is the sign of the sum of both inputs: neither input alone determines it."""

    main = "right"

    def tutor(self, model):
        return nn.Linear(1, 1)

    def batch(self, step, size, seed):
        rng = np.random.default_rng((seed, step))
        a, b = rng.normal(size=(2, size, 3)).astype(np.float32)
        made = {"a": a, "b": b, "presence": np.ones((size, 2), np.float32), "y": (a.sum(1) + b.sum(1) > 0).astype(int)}
        return {name: torch.from_numpy(value) for name, value in made.items()}

    def loss(self, model, tutor, batch):
        loss = cross_entropy(model(batch["a"], batch["b"], batch["presence"])["side"], batch["y"])
        return loss, {"seen": float(loss.detach())}

    def examine(self, model):
        batch = {name: value.numpy() for name, value in self.batch(10_000, 400, 9).items()}
        return {"right": float((predictor(model)(batch)["side"].argmax(1) == batch["y"]).mean())}


def model():
    torch.manual_seed(3)
    encoders = {"a": VectorMlp(3, width=8, hidden=8), "b": VectorMlp(3, width=8, hidden=8)}
    fusion = Concatenation(encoders, of=("a", "b"), width=8)
    return FusionModel(SPEC, encoders, fusion, {"side": ClassesHead(8, 2)})


PLAN = Plan(steps=60, batch=64, plain_rate=0.5, warm_up=5, averaging=0.8, evaluate_every=20, save_every=20, threads=1)


def test_it_learns_what_needs_both_inputs(tmp_path):
    trained, run = learn(model(), Sides(), PLAN, tmp_path)
    assert run.step == 60
    assert [each["step"] for each in run.evaluations] == [20, 40, 60]
    assert Sides().examine(trained)["right"] == pytest.approx(run.best)
    assert run.best > 0.9
    assert run.losses[-1]["loss"] < 0.6 * run.losses[0]["loss"]


class BrokenOffError(Exception):
    pass


def test_an_interrupted_run_ends_with_the_same_weights(tmp_path):
    whole, _ = learn(model(), Sides(), PLAN, tmp_path / "..")

    def interrupt(run, _shown):
        if run.step == 33:
            raise BrokenOffError

    folder = tmp_path / "broken"
    folder.mkdir()
    with pytest.raises(BrokenOffError):
        learn(model(), Sides(), PLAN, folder, interrupt)
    resumed, run = learn(model(), Sides(), PLAN, folder)
    assert run.step == 60
    for (name, one), other in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(one, other), name


def test_a_finished_run_is_not_run_again(tmp_path):
    learn(model(), Sides(), PLAN, tmp_path)
    steps = []
    learn(model(), Sides(), PLAN, tmp_path, lambda run, _: steps.append(run.step))
    assert steps == []


class Hopeless(Sides):
    def examine(self, model):
        return {"right": 0.5}


def test_training_stops_early_without_improvement(tmp_path):
    plan = Plan(steps=500, batch=8, warm_up=5, evaluate_every=5, patience=3, save_every=100, threads=1)
    _, run = learn(model(), Hopeless(), plan, tmp_path)
    assert run.step == 20
    assert "right has not improved in 3 evaluations" in run.stopped


def test_a_checkpoint_restores_everything(tmp_path):
    state = TrainingState.of(model(), nn.Linear(32, 32), PLAN)
    state.tutor(torch.randn(4, 32)).sum().backward()  # a matrix, for which both optimizers take steps
    state.step(Sides(), PLAN, 0, Sides().batch(0, 32, 0))
    run = Run(step=1, losses=[{"step": 1.0, "loss": 0.5}])
    checkpoint.save(tmp_path / CHECKPOINT, state.modules(), state.optimizer.kinds, dict(vars(run)))
    other = TrainingState.of(model(), nn.Linear(32, 32), PLAN)
    found = checkpoint.load(tmp_path / CHECKPOINT, other.modules(), other.optimizer.kinds)
    assert Run(**found) == run
    assert [*state.optimizer.kinds] == ["rest", "matrices"]
    for kind, optimizer in state.optimizer.kinds.items():
        before, after = optimizer.state_dict()["state"], other.optimizer.kinds[kind].state_dict()["state"]
        assert before
        assert before.keys() == after.keys()
        for key, entry in before.items():
            assert all(torch.equal(value, after[key][name]) for name, value in entry.items())
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]


def test_a_step_goes_equally_far_in_every_direction():
    evened_out = evened(torch.diag(torch.tensor([5.0, 1.0, 0.2])) @ torch.linalg.qr(torch.randn(3, 3)).Q)
    sizes = torch.linalg.svdvals(evened_out)
    assert sizes.min() > 0.5
    assert sizes.max() < 1.3


def test_rare_classes_weigh_more():
    weights = class_weights(torch.tensor([10.0, 40.0]))
    assert weights[0] == pytest.approx(2 * weights[1].item())
    assert weights.mean().item() == pytest.approx(1)
    assert torch.allclose(class_weights(torch.tensor([3.0, 30.0]), 0), torch.ones(2))


def test_curves_and_confusion_are_drawn(tmp_path):
    """A row for each stage; a loss that only one phase of a course reports is drawn where it was reported."""
    losses = [{"step": 10.0, "loss": 2.0, "regions_loss": 2.0}, {"step": 20.0, "loss": 1.0, "command_loss": 0.4}]
    run = Run(losses=losses, evaluations=[{"step": 20.0, "right": 0.7}])
    draw_curves({"image_encoder": run, "fusion": Run()}, tmp_path / "curves.png")
    draw_confusion(np.array([[3, 1], [0, 4]]), ("left", "right"), tmp_path / "confusion.png")
    for name in ("curves.png", "confusion.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert json.dumps(vars(run))

"""Composition: every fusion does without a missing input, and heads say what they are to say."""

import pytest
import torch

from mm_edge.spec import ClassesOutput, ImageInput, ImagePrepare, ModelSpec, Sync, VectorInput, VectorPrepare
from mm_edge.zoo.compose import FusionModel
from mm_edge.zoo.encoders import ImageCnn, VectorMlp
from mm_edge.zoo.fusions import Concatenation, CrossAttention, LearnedWeights, SharedEncoder
from mm_edge.zoo.heads import BoxesHead, ClassesHead, Fused, PointHead, ScoreHead

SPEC = ModelSpec(
    name="small",
    inputs=(ImageInput("image", ImagePrepare((32, 32))), VectorInput("arm", VectorPrepare(5))),
    outputs=(ClassesOutput("action", {"logits": "action"}, ("push", "pull", "wait")),),
    sync=Sync("image"),
    presence="presence",
)
PICTURES = torch.randint(0, 255, (4, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
NUMBERS = torch.randn(4, 5, generator=torch.Generator().manual_seed(1))


def small(fusion):
    torch.manual_seed(0)
    encoders = {"image": ImageCnn((4, 6, 8), map_width=6, width=12), "arm": VectorMlp(5, width=7)}
    joint = fusion(encoders, of=("image", "arm"), width=16)
    heads = {"action": ClassesHead(16, 3), "effort": ScoreHead(16, 2)}
    return FusionModel(SPEC, encoders, joint, heads).eval()


@pytest.mark.parametrize("fusion", [Concatenation, LearnedWeights, CrossAttention, SharedEncoder])
def test_what_is_missing_is_not_heard_and_what_is_there_is(fusion):
    model = small(fusion)
    both, no_arm = torch.ones(4, 2), torch.tensor([[1.0, 0.0]] * 4)
    with torch.inference_mode():
        usual, changed = (model(PICTURES, x, both)["action"] for x in (NUMBERS, -3 * NUMBERS))
        blind, still_blind = (model(PICTURES, x, no_arm)["action"] for x in (NUMBERS, -3 * NUMBERS))
    assert usual.shape == (4, 3)
    assert not torch.allclose(usual, changed)
    assert torch.allclose(blind, still_blind)
    assert not torch.allclose(usual, blind)


def test_a_missing_input_is_replaced_by_what_training_learned():
    model = small(Concatenation)
    no_arm = torch.tensor([[1.0, 0.0]] * 4)
    with torch.inference_mode():
        before = model(PICTURES, NUMBERS, no_arm)["action"]
        model.gates["arm"].missing["embedding"] += 1.0
        after = model(PICTURES, NUMBERS, no_arm)["action"]
    assert not torch.allclose(before, after)


def test_inputs_may_be_given_by_name_and_outputs_have_names():
    model = small(Concatenation)
    with torch.inference_mode():
        outputs = model(arm=NUMBERS, presence=torch.ones(4, 2), image=PICTURES)
        again = model(PICTURES, NUMBERS, torch.ones(4, 2))
    assert set(outputs) == {"action", "effort"}
    assert torch.equal(outputs["action"], again["action"])


def test_encoders_and_spec_must_name_the_same_inputs():
    encoders = {"image": ImageCnn((4, 6, 8))}
    with pytest.raises(ValueError, match=r"'arm'.*\['image'\]"):
        FusionModel(SPEC, encoders, Concatenation(encoders, of=("image",)), {})


def test_a_point_head_points_where_its_heat_is_and_its_score_counts_the_heat():
    torch.manual_seed(0)
    encoders = {"image": ImageCnn((4, 6, 8), map_width=6), "arm": VectorMlp(5)}
    head = PointHead("image", "arm", encoders, side=4).eval()
    head.heat.weight.data.zero_()
    plane = torch.zeros(1, 6, 4, 4)
    fused = Fused(torch.zeros(1, 1), {"image": {"map": plane}, "arm": {"embedding": torch.zeros(1, 32)}})
    found = head(fused)
    assert torch.allclose(found["point"], torch.tensor([[0.5, 0.5]]))  # heat everywhere alike: the middle
    assert torch.allclose(found["score"], found["heatmap"].flatten(1).logsumexp(1, keepdim=True))
    head.heat.bias.data.fill_(9.0)
    assert head(fused)["score"].item() == pytest.approx(9 + torch.log(torch.tensor(16.0)).item(), abs=1e-4)
    heat = torch.full((1, 4, 4), -5.0)
    heat[0, 1, 3] = 5.0
    head.heat.forward = lambda _: heat[:, None]
    assert torch.allclose(head(fused)["point"], torch.tensor([[0.875, 0.375]]), atol=1e-3)


def test_boxes_lie_around_their_cells():
    torch.manual_seed(0)
    encoders = {"image": ImageCnn((4, 6, 8), map_width=6)}
    head = BoxesHead("image", encoders, labels=3, side=4).eval()
    found = head(Fused(torch.zeros(2, 1), {"image": {"map": torch.randn(2, 6, 4, 4)}}))
    assert found["boxes"].shape == (2, 16, 4)
    assert found["scores"].shape == (2, 16, 3)
    assert (found["boxes"][:, :, :2] < head.places).all()
    assert (found["boxes"][:, :, 2:] > head.places).all()
    assert found["scores"].min() > 0
    assert found["scores"].max() < 1


@pytest.mark.parametrize("head", [PointHead, BoxesHead])
def test_a_head_that_needs_a_map_says_so(head):
    encoders = {"arm": VectorMlp(5)}
    with pytest.raises(ValueError, match="reads a map"):
        head("arm", "arm", encoders) if head is PointHead else head("arm", encoders, labels=2, side=4)

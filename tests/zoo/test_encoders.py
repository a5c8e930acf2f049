"""Encoders: what they promise about their features, and that the log-mel front end hears what it should."""

import numpy as np
import pytest
import torch

from mm_edge.zoo.encoders import (
    AudioCnn,
    AudioRnn,
    AudioTransformer,
    ImageCnn,
    ImageResNet,
    ImageViT,
    LogMel,
    MobileNetV3,
    TextLstm,
    TextTransformer,
    VectorMlp,
    mobilenet_v3_large,
)
from mm_edge.zoo.encoders.audio import mel_edges

PICTURE = torch.randint(0, 255, (2, 96, 96, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
SOUND = torch.randn(2, 16_000, generator=torch.Generator().manual_seed(2)) * 0.1
IDS = torch.tensor([[5, 6, 7, 0, 0, 0], [9, 8, 7, 6, 5, 4]])

ENCODERS = {
    "small cnn": (ImageCnn, PICTURE),
    "mobilenet": (lambda: MobileNetV3(scale=0.5), PICTURE),
    "resnet": (lambda: ImageResNet((1, 1, 1, 1), first=16), PICTURE),
    "vit": (lambda: ImageViT(96, layers=1), PICTURE),
    "audio cnn": (AudioCnn, SOUND),
    "audio gru": (AudioRnn, SOUND),
    "audio lstm": (lambda: AudioRnn(cell="lstm"), SOUND),
    "audio transformer": (lambda: AudioTransformer(layers=1), SOUND),
    "text transformer": (lambda: TextTransformer(12, 6), IDS),
    "text lstm": (lambda: TextLstm(12), IDS),
    "vector": (lambda: VectorMlp(6), IDS.float()),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_features_are_as_wide_as_the_encoder_says(name):
    torch.manual_seed(0)
    build, x = ENCODERS[name]
    encoder = build().eval()
    with torch.inference_mode():
        features = encoder(x)
    assert features["embedding"].shape == (2, encoder.width)
    assert ("map" in features) == (encoder.map_width is not None)
    assert ("tokens" in features) == (encoder.token_width is not None)
    if "map" in features:
        assert features["map"].shape[:2] == (2, encoder.map_width)
    if "tokens" in features:
        assert features["tokens"].shape[::2] == (2, encoder.token_width)
    assert not torch.equal(features["embedding"][0], features["embedding"][1])


def test_mobilenet_v3_large_is_that_of_the_paper():
    model = mobilenet_v3_large()
    assert sum(p.numel() for p in model.parameters()) == 5_483_032  # as torchvision counts it
    with torch.inference_mode():
        features = model.eval()(torch.zeros(1, 224, 224, 3, dtype=torch.uint8))
    assert features["map"].shape == (1, 960, 7, 7)
    assert features["embedding"].shape == (1, 1000)


@pytest.mark.parametrize("hertz", [200, 440, 1000, 2500, 6000])
def test_a_tone_is_loudest_in_its_own_band(hertz):
    front = LogMel()
    tone = torch.sin(2 * torch.pi * hertz * torch.arange(16_000) / 16_000)[None] * 0.3
    loudest = int(front(tone).mean(2)[0].argmax())
    edges = mel_edges(40, 80, 7600)
    assert edges[loudest] <= hertz <= edges[loudest + 2]


def test_log_mel_agrees_with_a_transform_and_a_filter_bank():
    """The classic recipe, energies of a windowed transform summed by mel triangles, follows the same course."""
    front = LogMel()
    rng = np.random.default_rng(0)
    swell = np.repeat(rng.uniform(0.02, 0.5, 20), 800)
    sound = (rng.standard_normal(16_000) * swell).astype(np.float32)
    ours = front(torch.from_numpy(sound)[None])[0].numpy()
    frames = np.stack([sound[i * 160 : i * 160 + 256] * np.hanning(256) for i in range(ours.shape[1])])
    power = np.abs(np.fft.rfft(frames, 2048)) ** 2
    edges, bins = mel_edges(40, 80, 7600), np.fft.rfftfreq(2048, 1 / 16_000)
    triangles = [
        np.clip(np.minimum((bins - a) / (b - a), (c - bins) / (c - b)), 0, None)
        for a, b, c in zip(edges[:-2], edges[1:-1], edges[2:], strict=True)
    ]
    theirs = np.log(power @ np.array(triangles).T + 1e-9).T
    assert np.corrcoef(ours.mean(0), theirs.mean(0))[0, 1] > 0.97


def test_loudness_says_nothing():
    front = LogMel()
    quiet, loud = front(SOUND * 30), front(SOUND * 90)  # well above the floor
    assert torch.allclose(quiet, loud, atol=0.02)


def test_padding_says_nothing():
    torch.manual_seed(0)
    encoder = TextTransformer(12, 6).eval()
    longer = torch.tensor([[5, 6, 7, 0, 0, 0]])
    with torch.inference_mode():
        encoder.words.weight[0] += 3  # whatever stands for padding must not be heard
        changed = encoder(longer)["embedding"]
        encoder.words.weight[0] -= 3
        assert torch.allclose(encoder(longer)["embedding"], changed, atol=1e-5)

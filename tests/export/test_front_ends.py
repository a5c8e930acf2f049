"""What stands in the graph in place of a processor gives what the processor gives, within 1e-3."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from mm_edge.export.sources.huggingface.picture_and_text import normalize_of  # noqa: E402
from mm_edge.export.sources.huggingface.sound import whisper_mel  # noqa: E402
from mm_edge.front_ends.picture import Normalize  # noqa: E402
from mm_edge.front_ends.sound import LogMel, UnitVariance, WhisperMel  # noqa: E402

TOLERANCE = 1e-3


def sounds(samples: int) -> np.ndarray:
    """Noise, a tone, a click and near silence."""
    random, time = np.random.default_rng(0), np.arange(samples) / 16_000
    click = np.zeros(samples)
    click[samples // 3] = 1.0
    return np.stack(
        [random.normal(0, 0.1, samples), 0.5 * np.sin(2 * np.pi * 440 * time), click, random.normal(0, 1e-4, samples)]
    ).astype(np.float32)


@pytest.mark.parametrize("kind", ["CLIPImageProcessorPil", "SiglipImageProcessorPil", "ViltImageProcessorPil"])
def test_pixels(kind):
    processor = getattr(transformers, kind)(
        **(
            {"size": {"shortest_edge": 64}, "crop_size": {"height": 64, "width": 64}} if kind.startswith("CLIP") else {}
        ),
        **({"size": {"height": 64, "width": 64}} if kind.startswith("Siglip") else {}),
        **({"size": {"shortest_edge": 64}} if kind.startswith("Vilt") else {}),
    )
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    own = processor(picture, return_tensors="np")["pixel_values"]
    ours = normalize_of(processor)(torch.from_numpy(picture)[None]).numpy()
    np.testing.assert_allclose(ours, own, atol=TOLERANCE)


def test_a_wrong_mean_is_seen():
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    processor = transformers.CLIPImageProcessorPil(do_resize=False, do_center_crop=False)
    own = processor(picture, return_tensors="np")["pixel_values"]
    ours = Normalize((0.5, 0.5, 0.5), processor.image_std)(torch.from_numpy(picture)[None]).numpy()
    assert np.abs(ours - own).max() > 10 * TOLERANCE


def test_whisper():
    extractor = transformers.WhisperFeatureExtractor(feature_size=80, chunk_length=3)
    batch = sounds(48_000)
    own = extractor(list(batch), sampling_rate=16_000, return_tensors="np")["input_features"]
    ours = WhisperMel(whisper_mel(extractor))(torch.from_numpy(batch)).numpy()
    np.testing.assert_allclose(ours, own, atol=TOLERANCE)


def test_clap():
    extractor = transformers.ClapFeatureExtractor(
        truncation="rand_trunc", max_length_s=1, sampling_rate=16_000, frequency_max=8000, hop_length=160
    )
    batch = sounds(16_000)[:2]
    own = extractor(list(batch), sampling_rate=16_000, return_tensors="np")["input_features"]
    mel = LogMel(extractor.mel_filters_slaney, extractor.fft_window_size, extractor.hop_length, "dB")
    ours = mel(torch.from_numpy(batch)).numpy()[:, None]
    # In decibels, where the loudest is about 0 and the floor -100.
    assert np.abs(ours - own).max() / np.abs(own).max() < TOLERANCE


def test_wav2vec2():
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
    batch = sounds(16_000)
    own = extractor(list(batch), sampling_rate=16_000, return_tensors="np")["input_values"]
    np.testing.assert_allclose(UnitVariance()(torch.from_numpy(batch)).numpy(), own, atol=TOLERANCE)

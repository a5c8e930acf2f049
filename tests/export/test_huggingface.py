"""The families of Hugging Face, small and with random weights, from what save_pretrained writes to a bundle."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from pretrained_models import SAVERS, save_vilt  # noqa: E402

from mm_edge.bundle.bundle import Bundle  # noqa: E402
from mm_edge.errors import UsageError, WorkFailedError  # noqa: E402
from mm_edge.export.pipeline import export, load_source  # noqa: E402
from mm_edge.export.recipe import Recipe  # noqa: E402

PARTS = {
    "clip": ["encode_image", "encode_text", "fuse"],
    "siglip": ["encode_image", "encode_text", "fuse"],
    "clap": ["encode_audio", "encode_text", "fuse"],
    "vilt": ["encode_image", "encode_text", "fuse"],
    "whisper": ["fuse"],
    "wav2vec2": ["fuse"],
}

pytestmark = pytest.mark.filterwarnings("ignore")  # the library's own, about its own


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted(SAVERS))
def test_a_family_becomes_a_bundle(family, tmp_path):
    folder = SAVERS[family](tmp_path / "model")
    exported = export(f"hf:{folder}", tmp_path / "x.mmb", Recipe(split="always", precisions=("fp16",)))
    assert [part.name for part in exported.manifest.parts] == PARTS[family]
    assert exported.manifest.made["source"] == "hf:model"
    assert max(row.relative_error for row in exported.manifest.parity if row.precision == "fp32") < 1e-4
    with Bundle.open(tmp_path / "x.mmb") as bundle:
        assert ("tokenizer.json" in bundle.manifest.digests) == (family not in {"whisper", "wav2vec2"})


def test_code_of_a_tokenizer_is_refused_without_a_question_on_standard_input(tmp_path, monkeypatch):
    from mm_edge.export.sources.huggingface.pretrained import load_pretrained

    monkeypatch.setattr("builtins.input", lambda *words: pytest.fail(f"it asks: {words}"))
    (tmp_path / "config.json").write_text("{}")
    code = {"tokenizer_class": "Nobody", "auto_map": {"AutoTokenizer": ["code.Nobody", "code.Nobody"]}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(code))
    with pytest.raises(UsageError, match=r"custom code.*--trust-remote-code"):
        load_pretrained(transformers.AutoTokenizer, str(tmp_path), Recipe())


def test_vilt_on_pictures_of_one_size_is_the_original_on_a_full_mask(tmp_path):
    from mm_edge.export.sources.huggingface.picture_and_text import normalize_of
    from mm_edge.export.sources.huggingface.vilt import PictureAndQuestion

    folder = save_vilt(tmp_path)
    model = transformers.ViltForQuestionAnswering.from_pretrained(folder).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    ours = PictureAndQuestion(model, normalize_of(processor), (48, 64))
    random = np.random.default_rng(0)
    picture = torch.from_numpy(random.integers(0, 256, (2, 48, 64, 3), dtype=np.uint8))
    text, mask = torch.from_numpy(random.integers(4, 40, (2, 12))), torch.ones(2, 12, dtype=torch.long)
    mask[1, 7:] = 0
    with torch.inference_mode():
        pixels = ours.normalize(picture)
        original = model(
            input_ids=text, attention_mask=mask, pixel_values=pixels, pixel_mask=torch.ones(2, 48, 64, dtype=torch.long)
        ).logits
        fixed = ours(picture, text, mask)["logits"]
    np.testing.assert_allclose(fixed.numpy(), original.numpy(), atol=1e-5)


def test_a_kind_that_is_not_known_is_told(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(UsageError, match=r"its model type is 'bert'.*clap, clip"):
        load_source(f"hf:{tmp_path}", Recipe())


def test_code_that_comes_with_a_model_is_not_run(tmp_path):
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "theirs", "auto_map": {"AutoConfig": "theirs.Config"}})
    )
    (tmp_path / "theirs.py").write_text("raise SystemExit('ran')\n")
    with pytest.raises(UsageError, match=r"it requires running its own code.*--trust-remote-code"):
        load_source(f"hf:{tmp_path}", Recipe())


def test_a_folder_that_is_not_there_is_told():
    with pytest.raises(UsageError, match=r"reading hf:\./nowhere: there is no such folder"):
        load_source("hf:./nowhere", Recipe())


def test_a_folder_that_is_no_model_is_told(tmp_path):
    with pytest.raises(UsageError, match=r"reading hf:"):
        load_source(f"hf:{tmp_path}", Recipe())


@pytest.mark.parametrize("fault", ["mean", "deviation", "scale", "order"])
def test_pixels_that_are_not_the_processor_s_are_refused(tmp_path, monkeypatch, fault):
    from mm_edge.export.sources.huggingface import picture_and_text
    from mm_edge.front_ends.picture import Normalize

    def wrong(processor):
        mean, deviation, scale = processor.image_mean, processor.image_std, 1 / processor.rescale_factor
        return {
            "mean": lambda: Normalize([0.5] * 3, deviation, scale),
            "deviation": lambda: Normalize(mean, [0.5] * 3, scale),
            "scale": lambda: Normalize(mean, deviation, 127.5),
            "order": lambda: Normalize(mean[::-1], deviation[::-1], scale),
        }[fault]()

    folder = SAVERS["clip"](tmp_path)
    monkeypatch.setattr(picture_and_text, "normalize_of", wrong)
    with pytest.raises(
        WorkFailedError, match=r"verifying the image preprocessing.*differs from the model.s own processor by [\d.]+ of"
    ):
        load_source(f"hf:{folder}", Recipe())


@pytest.mark.parametrize("family", ["whisper", "clap", "wav2vec2"])
def test_sound_that_is_not_the_processor_s_is_refused(tmp_path, monkeypatch, family):
    from mm_edge.front_ends.sound import LogMel, UnitVariance

    real = UnitVariance.forward if family == "wav2vec2" else LogMel.forward
    owner = UnitVariance if family == "wav2vec2" else LogMel
    folder = SAVERS[family](tmp_path)
    monkeypatch.setattr(owner, "forward", lambda self, sound: 1.01 * real(self, sound))
    with pytest.raises(
        WorkFailedError, match=r"verifying the audio preprocessing.*differs from the model.s own processor by [\d.]+ of"
    ):
        load_source(f"hf:{folder}", Recipe())


def test_weights_that_would_run_code_are_not_loaded(tmp_path):
    """A pickle that calls os.system when it is read."""
    import os
    import pickle

    folder = SAVERS["wav2vec2"](tmp_path / "model")
    (folder / "model.safetensors").unlink()

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"x": Evil()}))
    with pytest.raises(UsageError, match=r"a pickle that holds more than tensors.*Take its safetensors"):
        load_source(f"hf:{folder}", Recipe())
    assert not (tmp_path / "ran").exists()

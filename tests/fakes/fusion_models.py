"""Small models with random weights for the tests of the exporter: every fusion over every kind of input."""

from __future__ import annotations

import json

import torch
from torch import nn

from mm_edge.spec import (
    AudioInput,
    AudioPrepare,
    ClassesOutput,
    EmbeddingOutput,
    ImageInput,
    ImagePrepare,
    InputSync,
    ModelSpec,
    State,
    Sync,
    TextInput,
    TextPrepare,
    VectorInput,
    VectorPrepare,
    VideoInput,
    VideoPrepare,
)

WIDTH, VOCABULARY = 32, 64
LABELS = ("stop", "go", "left", "right")


def tokenizer_json() -> bytes:
    """A whitespace tokenizer of single letters, in the format of the `tokenizers` library."""
    vocabulary = {"[PAD]": 0, "[UNK]": 1, **{f"w{n}": n for n in range(2, VOCABULARY)}}
    return json.dumps(
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [],
            "normalizer": None,
            "pre_tokenizer": {"type": "Whitespace"},
            "post_processor": None,
            "decoder": None,
            "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
        }
    ).encode()


class ImageEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, WIDTH, 3, 2, 1), nn.ReLU()
        )

    def tokens(self, image: torch.Tensor) -> torch.Tensor:
        picture = (image.float().permute(0, 3, 1, 2) / 255.0 - 0.5) / 0.25
        return self.layers(picture).flatten(2).transpose(1, 2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.tokens(image).mean(1)


class VideoEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.frame = ImageEncoder()
        self.over_time = nn.Linear(WIDTH, WIDTH)

    def tokens(self, video: torch.Tensor) -> torch.Tensor:
        frames = [self.frame(video[:, number]) for number in range(video.shape[1])]
        return torch.tanh(self.over_time(torch.stack(frames, 1)))

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        return self.tokens(video).mean(1)


class AudioEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv1d(1, 16, 64, 16), nn.ReLU(), nn.Conv1d(16, WIDTH, 8, 4), nn.ReLU())

    def tokens(self, audio: torch.Tensor) -> torch.Tensor:
        return self.layers(audio[:, None]).transpose(1, 2)

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        return self.tokens(audio).mean(1)


class TextEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.layer = nn.TransformerEncoderLayer(WIDTH, 4, 64, batch_first=True, dropout=0.0)

    def tokens(self, text: torch.Tensor) -> torch.Tensor:
        return self.layer(self.embedding(text))

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        return self.tokens(text).mean(1)


class VectorEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(12, 64), nn.GELU(), nn.Linear(64, WIDTH), nn.LayerNorm(WIDTH))

    def tokens(self, vector: torch.Tensor) -> torch.Tensor:
        return self(vector)[:, None]

    def forward(self, vector: torch.Tensor) -> torch.Tensor:
        return self.layers(vector)


INPUTS = {
    "image": lambda name: ImageInput(name, ImagePrepare((32, 48))),
    "video": lambda name: VideoInput(name, VideoPrepare((16, 16), frames=3)),
    "audio": lambda name: AudioInput(name, AudioPrepare(16_000, 1600, 800)),
    "text": lambda name: TextInput(name, TextPrepare("tokenizer.json", 8)),
    "vector": lambda name: VectorInput(name, VectorPrepare(12)),
}
ENCODERS = {
    "image": ImageEncoder,
    "video": VideoEncoder,
    "audio": AudioEncoder,
    "text": TextEncoder,
    "vector": VectorEncoder,
}


class Fused(nn.Module):
    """Two or more inputs under one of five fusions."""

    def __init__(self, modalities: tuple[str, ...], fusion: str, *, presence: bool = False) -> None:
        super().__init__()
        names = [
            f"{modality}{number}" if modalities.count(modality) > 1 else modality
            for number, modality in enumerate(modalities)
        ]
        self.names, self.fusion, self.masked = names, fusion, presence
        if fusion == "shared":
            shared = {modality: ENCODERS[modality]() for modality in dict.fromkeys(modalities)}
            self.encoders = nn.ModuleDict(
                {name: shared[modality] for name, modality in zip(names, modalities, strict=True)}
            )
        else:
            self.encoders = nn.ModuleDict(
                {name: ENCODERS[modality]() for name, modality in zip(names, modalities, strict=True)}
            )
        count = len(names)
        self.mix: nn.Module = nn.Identity()
        if fusion == "attention":
            self.mix = nn.TransformerEncoderLayer(WIDTH, 4, 64, batch_first=True, dropout=0.0)
        elif fusion == "interaction":
            self.mix = nn.Bilinear(WIDTH, WIDTH, WIDTH)
        elif fusion == "recurrent":
            self.mix = nn.GRUCell(count * WIDTH, WIDTH)
        self.head = nn.Linear(
            WIDTH if fusion in {"attention", "interaction", "recurrent"} else count * WIDTH, len(LABELS)
        )
        needs_text = "text" in modalities
        self.files = {"tokenizer.json": tokenizer_json()} if needs_text else {}
        self.spec = ModelSpec(
            name=f"{fusion}_model",
            inputs=tuple(INPUTS[modality](name) for name, modality in zip(names, modalities, strict=True)),
            outputs=(
                ClassesOutput("command", {"logits": "logits"}, LABELS),
                EmbeddingOutput("fused", {"values": "fused"}),
            ),
            sync=Sync(
                driver=names[0], inputs={name: InputSync(missing="mask") for name in names[1:]} if presence else {}
            ),
            presence="presence" if presence else None,
            states=(State("memory", "memory_out", ("batch", WIDTH)),) if fusion == "recurrent" else (),
        )

    def forward(self, **given: torch.Tensor) -> dict[str, torch.Tensor]:
        values = []
        for place, name in enumerate(self.names):
            encoder = self.encoders[name]
            value = encoder.tokens(given[name]) if self.fusion == "attention" else encoder(given[name])
            if self.masked:
                seen = given["presence"][:, place]
                value = value * seen.reshape(-1, *[1] * (value.ndim - 1))
            values.append(value)
        if self.fusion == "attention":
            fused = self.mix(torch.cat(values, 1)).mean(1)
        elif self.fusion == "interaction":
            fused = torch.tanh(values[0])
            for value in values[1:]:
                fused = torch.tanh(self.mix(fused, value))
        elif self.fusion == "recurrent":
            fused = self.mix(torch.cat(values, 1), given["memory"])
        else:
            fused = torch.cat(values, 1)
        result = {"logits": self.head(fused), "fused": fused}
        if self.fusion == "recurrent":
            result["memory_out"] = fused
        return result


def make(modalities: tuple[str, ...], fusion: str, *, presence: bool = False, seed: int = 0) -> Fused:
    torch.manual_seed(seed)
    return Fused(modalities, fusion, presence=presence).eval()

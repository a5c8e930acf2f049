"""Small real bundles, made with onnx: a model that tells the mean colour, the loudness and the words it is given.

Its outputs are plain enough to be checked by hand, so that a test (or a real camera and microphone) can tell whether
the model saw the very picture and heard the very sound. `layers` adds convolutions that cost time and change nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save

from mm_edge.bundle.bundle import digest
from mm_edge.bundle.manifest import Artefact, Golden, Manifest, Part, Read
from mm_edge.bundle.writer import write_bundle
from mm_edge.spec import (
    AudioInput,
    AudioPrepare,
    ImageInput,
    ImagePrepare,
    InputSync,
    ScoresOutput,
    Sync,
    TensorSpec,
    TextInput,
    TextPrepare,
)

if TYPE_CHECKING:
    from pathlib import Path

OPSET, IR_VERSION = 20, 10
WORDS = ("[PAD]", "[UNK]", "the", "a", "red", "green", "blue", "ball", "cube", "stop", "go", "find")
RATE, HOP, LENGTH = 16_000, 1_600, 8


def senses_bundle(
    path: Path,
    *,
    size: int = 32,
    layers: int = 0,
    channels: int = 64,
    version: int = 1,
    sync: Sync | None = None,
    private_key: Path | None = None,
    golden: bool = False,
) -> Path:
    """image + audio + text + presence -> colour (r, g, b in 0..1), loudness (RMS), words (mean token id), senses (the
    mask). `golden`: with one sample of random inputs, for engines that have to prove themselves.
    """
    files = {
        "parts/encode_image.fp32.onnx": _image_part(size, layers, channels),
        "parts/encode_audio.fp32.onnx": _audio_part(),
        "parts/encode_text.fp32.onnx": _text_part(),
        "parts/fuse.fp32.onnx": _fuse_part(),
        "tokenizer.json": tokenizer(),
    }
    if golden:
        files["golden.safetensors"] = _golden(size)
    image = ImageInput(name="image", prepare=ImagePrepare(size=(size, size)))
    audio = AudioInput(name="audio", prepare=AudioPrepare(sample_rate=RATE, window=RATE, hop=HOP))
    text = TextInput(name="text", prepare=TextPrepare(tokenizer="tokenizer.json", length=LENGTH, lowercase=True))
    one = ("batch", 1)
    parts = (
        _part(
            "encode_image",
            {"image": "input:image"},
            [TensorSpec(name="image", dtype="uint8", shape=image.shape)],
            [TensorSpec(name="colour", dtype="float32", shape=("batch", 3))],
            files,
        ),
        _part(
            "encode_audio",
            {"audio": "input:audio"},
            [TensorSpec(name="audio", dtype="float32", shape=audio.shape)],
            [TensorSpec(name="loudness", dtype="float32", shape=one)],
            files,
        ),
        _part(
            "encode_text",
            {"text": "input:text"},
            [TensorSpec(name="text", dtype="int64", shape=text.shape)],
            [TensorSpec(name="words", dtype="float32", shape=one)],
            files,
        ),
        _part(
            "fuse",
            {
                "colour": "part:encode_image.colour",
                "loudness": "part:encode_audio.loudness",
                "words": "part:encode_text.words",
                "presence": "presence",
            },
            [
                TensorSpec(name="colour", dtype="float32", shape=("batch", 3)),
                TensorSpec(name="loudness", dtype="float32", shape=one),
                TensorSpec(name="words", dtype="float32", shape=one),
                TensorSpec(name="presence", dtype="float32", shape=("batch", 3)),
            ],
            [
                TensorSpec(name="all", dtype="float32", shape=("batch", 5)),
                TensorSpec(name="senses", dtype="float32", shape=("batch", 3)),
            ],
            files,
            kind="fuse",
        ),
    )
    manifest = Manifest(
        format=1,
        name="senses",
        version=version,
        inputs=(image, audio, text),
        parts=parts,
        outputs=(
            ScoresOutput(
                name="seen", reads={"values": "part:fuse.all"}, labels=("red", "green", "blue", "loudness", "words")
            ),
            ScoresOutput(name="senses", reads={"values": "part:fuse.senses"}, labels=("image", "audio", "text")),
        ),
        sync=sync
        or Sync(
            driver="image",
            inputs={"audio": InputSync(max_age_ms=500, missing="mask"), "text": InputSync(missing="mask")},
        ),
        golden=Golden("golden.safetensors", 1) if golden else None,
        parity=(),
        calibration=None,
        digests={name: digest(content) for name, content in files.items()},
    )
    write_bundle(path, manifest, files, private_key)
    return path


def _golden(size: int) -> bytes:
    """What the parts must give for random inputs, by numpy alone."""
    generator = np.random.default_rng(0)
    image = generator.integers(0, 255, (1, size, size, 3), np.uint8)
    audio = generator.uniform(-1, 1, (1, RATE)).astype(np.float32)
    text = generator.integers(0, len(WORDS), (1, LENGTH))
    colour = (image / 255).mean((1, 2)).astype(np.float32)
    loudness = np.sqrt((audio**2).mean(1, keepdims=True))
    words = text.mean(1, keepdims=True).astype(np.float32)
    presence = np.ones((1, 3), np.float32)
    values = {
        "input:image": image,
        "input:audio": audio,
        "input:text": text,
        "presence": presence,
        "part:encode_image.colour": colour,
        "part:encode_audio.loudness": loudness,
        "part:encode_text.words": words,
        "part:fuse.all": np.concatenate([colour, loudness, words], axis=1),
        "part:fuse.senses": presence,
    }
    return save({f"0/{name}": np.ascontiguousarray(value) for name, value in values.items()})


def tokenizer() -> bytes:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.normalizers import Lowercase
    from tokenizers.pre_tokenizers import Whitespace

    made = Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.normalizer = Lowercase()
    made.pre_tokenizer = Whitespace()
    return made.to_str().encode()


def _part(
    name: str,
    reads: dict[str, str],
    takes: list[TensorSpec],
    gives: list[TensorSpec],
    files: dict[str, bytes],
    kind: str = "encode",
) -> Part:
    file = f"parts/{name}.fp32.onnx"
    return Part(
        name=name,
        kind=kind,
        reads={tensor: Read(source=source) for tensor, source in reads.items()},
        takes=tuple(takes),
        gives=tuple(gives),
        artefacts={"fp32": Artefact(file=file, sha256=digest(files[file]).sha256)},
    )


def graph(name: str, nodes: list, inputs: list, outputs: list, constants: dict[str, np.ndarray] | None = None) -> bytes:
    weights = [numpy_helper.from_array(value, key) for key, value in (constants or {}).items()]
    model = helper.make_model(
        helper.make_graph(nodes, name, inputs, outputs, weights),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model)
    return model.SerializeToString()


def tensor(name: str, kind: int, *shape: int | str):
    return helper.make_tensor_value_info(name, kind, shape)


def _image_part(size: int, layers: int, channels: int) -> bytes:
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Div", ["planes", "white"], ["unit"]),
        helper.make_node("ReduceMean", ["unit", "axes"], ["mean"], keepdims=0),
    ]
    constants = {"white": np.float32(255).reshape(()), "axes": np.array([2, 3], np.int64)}
    if layers:
        generator = np.random.default_rng(0)
        constants["first"] = generator.standard_normal((channels, 3, 3, 3), np.float32) * np.float32(0.1)
        constants["again"] = generator.standard_normal((channels, channels, 3, 3), np.float32) * np.float32(0.05)
        constants["nothing"] = np.zeros((channels, 3), np.float32)
        nodes.append(helper.make_node("Conv", ["unit", "first"], ["work0"], pads=[1, 1, 1, 1]))
        for index in range(layers):
            nodes.append(helper.make_node("Conv", [f"work{index}", "again"], [f"raw{index}"], pads=[1, 1, 1, 1]))
            nodes.append(helper.make_node("Tanh", [f"raw{index}"], [f"work{index + 1}"]))
        nodes.append(helper.make_node("ReduceMean", [f"work{layers}", "axes"], ["pooled"], keepdims=0))
        nodes.append(helper.make_node("MatMul", ["pooled", "nothing"], ["zero"]))
        nodes.append(helper.make_node("Add", ["mean", "zero"], ["colour"]))
    else:
        nodes.append(helper.make_node("Identity", ["mean"], ["colour"]))
    return graph(
        "encode_image",
        nodes,
        [tensor("image", TensorProto.UINT8, "batch", size, size, 3)],
        [tensor("colour", TensorProto.FLOAT, "batch", 3)],
        constants,
    )


def _audio_part() -> bytes:
    nodes = [
        helper.make_node("Mul", ["audio", "audio"], ["power"]),
        helper.make_node("ReduceMean", ["power", "axes"], ["mean"], keepdims=1),
        helper.make_node("Sqrt", ["mean"], ["loudness"]),
    ]
    return graph(
        "encode_audio",
        nodes,
        [tensor("audio", TensorProto.FLOAT, "batch", RATE)],
        [tensor("loudness", TensorProto.FLOAT, "batch", 1)],
        {"axes": np.array([1], np.int64)},
    )


def _text_part() -> bytes:
    nodes = [
        helper.make_node("Cast", ["text"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["words"], keepdims=1),
    ]
    return graph(
        "encode_text",
        nodes,
        [tensor("text", TensorProto.INT64, "batch", LENGTH)],
        [tensor("words", TensorProto.FLOAT, "batch", 1)],
        {"axes": np.array([1], np.int64)},
    )


def _fuse_part() -> bytes:
    nodes = [
        helper.make_node("Concat", ["colour", "loudness", "words"], ["all"], axis=1),
        helper.make_node("Identity", ["presence"], ["senses"]),
    ]
    inputs = [
        tensor("colour", TensorProto.FLOAT, "batch", 3),
        *(tensor(name, TensorProto.FLOAT, "batch", 1) for name in ("loudness", "words")),
        tensor("presence", TensorProto.FLOAT, "batch", 3),
    ]
    return graph(
        "fuse",
        nodes,
        inputs,
        [tensor("all", TensorProto.FLOAT, "batch", 5), tensor("senses", TensorProto.FLOAT, "batch", 3)],
    )

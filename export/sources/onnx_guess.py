"""Guesses the spec of an ONNX graph from names, types and shapes; every guess is reported as a note."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from onnx import ModelProto, TensorProto

from mm_edge.errors import UsageError
from mm_edge.export.graphs.graph import dims_of, rename_values
from mm_edge.spec import (
    AudioInput,
    AudioPrepare,
    EmbeddingOutput,
    ImageInput,
    ImagePrepare,
    ModelSpec,
    ScoresOutput,
    Sync,
    TextInput,
    TextPrepare,
    VectorInput,
    VectorPrepare,
)

from .onnx_spec import ForeignSpec, FrontEnd

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from onnx import ValueInfoProto

    from mm_edge.spec import InputSpec

LEAST_SOUND_SAMPLES = 4000  # a quarter of a second; a shorter vector is taken for sensor values
SOUND_RATE = 16_000
MASK_WORDS = ("mask",)
MOST_SCORES = 64


def tidy(model: ModelProto, rename: Mapping[str, str]) -> None:
    """Renames inputs and outputs to the names of the spec."""
    rename_values(model, {old: new for old, new in rename.items() if old != new})


def guess_spec(model: ModelProto, path: Path) -> tuple[ForeignSpec, list[str]]:
    """A spec to correct, and notes about what is uncertain."""
    weights = {item.name for item in model.graph.initializer}
    inputs = [item for item in model.graph.input if item.name not in weights]
    rename: dict[str, str] = {}
    specs: list[InputSpec] = []
    front_ends: dict[str, FrontEnd] = {}
    notes: list[str] = []
    masks = [item for item in inputs if _is_integer(item) and any(word in item.name.lower() for word in MASK_WORDS)]
    for item in inputs:
        if item in masks:
            continue
        name = rename[item.name] = _name(item.name)
        spec = _guess_input(item, name, path, masked=bool(masks))
        specs.append(spec)
        if isinstance(spec, ImageInput) and item.type.tensor_type.elem_type != TensorProto.UINT8:
            dims = dims_of(item) or []
            front_ends[name] = FrontEnd(layout="nchw" if dims[1] == 3 else "nhwc")
            notes.append(
                f"'{name}' is assumed to take pixels from 0 to 1 without mean subtraction; "
                f"give [front_end.{name}] if it was trained differently"
            )
        if isinstance(spec, AudioInput):
            notes.append(f"'{name}' is assumed to be audio at {SOUND_RATE} Hz")
    texts = [spec.name for spec in specs if isinstance(spec, TextInput)]
    for item in masks:
        if not texts:
            raise UsageError(
                f"'{item.name}' looks like a mask and there is no text",
                action=f"guessing the spec of {path.name}",
                hint="Write one and give it with --spec",
            )
        rename[item.name] = f"{texts[0]}.mask"
    outputs: list[EmbeddingOutput | ScoresOutput] = []
    for item in model.graph.output:
        name = rename[item.name] = _name(item.name)
        dims = dims_of(item) or []
        few = len(dims) == 2 and isinstance(dims[1], int) and dims[1] <= MOST_SCORES
        outputs.append(ScoresOutput(name, {"values": name}) if few else EmbeddingOutput(name, {"values": name}))
    spec_model = ModelSpec(
        name=_name(path.stem), inputs=tuple(specs), outputs=tuple(outputs), sync=Sync(driver=specs[0].name)
    )
    tokenizers = {"tokenizer.json": "tokenizer.json"} if texts else {}
    return ForeignSpec(spec_model, rename, front_ends, tokenizers), notes


def _guess_input(item: ValueInfoProto, name: str, path: Path, *, masked: bool) -> InputSpec:
    dims = dims_of(item) or []
    rest = dims[1:]
    if all(isinstance(dim, int) for dim in rest):
        sizes = [int(dim) for dim in rest]
        if len(sizes) == 3 and sizes[0] == 3:
            return ImageInput(name, ImagePrepare((sizes[1], sizes[2])))
        if len(sizes) == 3 and sizes[2] == 3:
            return ImageInput(name, ImagePrepare((sizes[0], sizes[1])))
        if len(sizes) == 1 and _is_integer(item):
            if not (path.parent / "tokenizer.json").is_file():
                raise UsageError(
                    f"'{item.name}' looks like text, and there is no tokenizer.json beside {path.name}",
                    action=f"guessing the spec of {path.name}",
                    hint="Put it there, or write the spec and give it with --spec",
                )
            kind = "int32" if item.type.tensor_type.elem_type == TensorProto.INT32 else "int64"
            return TextInput(name, TextPrepare("tokenizer.json", sizes[0], mask=masked), dtype=kind)  # type: ignore[arg-type]  # one of the two
        if len(sizes) == 1 and sizes[0] >= LEAST_SOUND_SAMPLES:
            return AudioInput(name, AudioPrepare(SOUND_RATE, sizes[0], max(1, sizes[0] // 10)))
        if len(sizes) == 1:
            return VectorInput(name, VectorPrepare(sizes[0]))
    kind_name = TensorProto.DataType.Name(item.type.tensor_type.elem_type).lower()
    raise UsageError(
        f"the input '{item.name}' is {kind_name} {dims}, which matches no modality",
        action=f"guessing the spec of {path.name}",
        hint="Write the spec and give it with --spec; a size that varies must be fixed there",
    )


def _is_integer(item: ValueInfoProto) -> bool:
    return item.type.tensor_type.elem_type in {TensorProto.INT32, TensorProto.INT64}


def _name(text: str) -> str:
    """A valid name for a spec: letters, digits and underscores."""
    name = re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_")[:64] or "value"
    return name if not name[0].isdigit() else f"n{name}"[:64]

"""Compares the bundle's tokenizer with the model's own: a wrong one gives plausible but wrong answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mm_edge.errors import WorkFailedError

if TYPE_CHECKING:
    from mm_edge.export.model import SourceModel

SENTENCES = (
    "a photo of a cat",
    "The red cube, please!",
    "stop",
    "",
    "Turn LEFT at the 2nd door; don't hit the wall.",
    "café über naïve 東京",
    "word " * 400,
)


def prove_tokenizer(model: SourceModel, name: str, tokenizer: Any) -> None:
    """The same ids, and the same mask, as the tokenizer that the model was trained with."""
    from mm_edge.runtime.prepare import preparer
    from mm_edge.spec import TextInput

    spec = next(item for item in model.spec.inputs if item.name == name)
    if not isinstance(spec, TextInput):
        raise TypeError(f"'{name}' is no text")
    content = model.files[spec.prepare.tokenizer]
    prepare = preparer(spec, lambda _: content if isinstance(content, bytes) else Path(content).read_bytes())
    length = spec.prepare.length
    for sentence in SENTENCES:
        arrays = {key: np.zeros((1, length), np.dtype(field.dtype)) for key, field in prepare.fields.items()}
        prepare.write(sentence, arrays)
        own = tokenizer(sentence, padding="max_length", truncation=True, max_length=length)
        wanted = {"": own["input_ids"], "mask": own.get("attention_mask")}
        for key, array in arrays.items():
            if list(array[0]) != list(wanted[key]):
                place = next(number for number, (a, b) in enumerate(zip(array[0], wanted[key], strict=True)) if a != b)
                raise WorkFailedError(
                    f"{sentence[:40]!r} has id {array[0][place]} at position {place}, "
                    f"the model's own tokenizer {wanted[key][place]}",
                    action=f"verifying the tokenizer of '{name}'",
                    hint="Give the tokenizer that the model was trained with",
                )

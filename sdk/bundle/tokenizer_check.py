"""Refuses a tokenizer that could multiply its text without bound: the library would use all memory, and cannot be
interrupted.
"""

from __future__ import annotations

import base64
from math import ceil, prod
from typing import TYPE_CHECKING, Any

import msgspec

from mm_edge.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_GROWTH = 256  # of a text by all steps together; those of published models have at most 32
MOST_ADDED = 1024  # characters or tokens that all steps add to each text
MOST_STEPS = 256
MOST_WORD = 1000  # characters that WordPiece reads as one word, in a time that grows with their cube; usual are 100
MOST_LENGTH = 1 << 16
MEMBERS = ("normalizers", "pretokenizers", "decoders", "processors")
# How much longer these make a text at most; steps that are not listed and not handled below do not.
GROWTH = {"ByteLevel": 2, "Metaspace": 2, "BertNormalizer": 3, "NFKC": 2, "NFKD": 2, "NFD": 2}


class Model(msgspec.Struct):
    """The limit of WordPiece."""

    max_input_chars_per_word: int = 0


class Steps(msgspec.Struct):
    """The parts of the file that are checked here; the vocabulary, which may be large, is skipped."""

    normalizer: dict[str, Any] | None = None
    pre_tokenizer: dict[str, Any] | None = None
    post_processor: dict[str, Any] | None = None
    decoder: dict[str, Any] | None = None
    padding: dict[str, Any] | None = None
    model: Model | None = None


def check_tokenizer(file: str, content: bytes) -> None:
    """Raises a BundleError. The rest of the file is checked by the library that loads it."""
    action = f"checking '{file}' of the bundle"
    try:
        steps = msgspec.json.decode(content, type=Steps)
        for name in ("normalizer", "pre_tokenizer", "decoder"):
            if (growth := _growth(getattr(steps, name))) > MOST_GROWTH:
                raise ValueError(f"its {name} may make a text {growth:,} times as long, the limit is {MOST_GROWTH}")
            _check_added(name, getattr(steps, name))
        _check_processor(steps.post_processor)
        if steps.model and steps.model.max_input_chars_per_word > MOST_WORD:
            longest = steps.model.max_input_chars_per_word
            raise ValueError(f"its model reads words of {longest:,} characters, the limit is {MOST_WORD:,}")
        _check_padding(steps.padding)
    except (msgspec.MsgspecError, ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        raise BundleError(
            f"not an acceptable tokenizer: {error}", action=action, hint="Export the bundle again"
        ) from None


def _members(step: dict[str, Any]) -> list[Any]:
    return [member for key in MEMBERS for member in step.get(key) or ()]


def _growth(step: dict[str, Any] | None) -> int:
    if step is None:
        return 1
    kind = step.get("type")
    if kind == "Sequence":
        return prod(map(_growth, _members(step)))
    if kind == "Replace":
        content, pattern = len(step["content"]), step["pattern"]
        if "Regex" in pattern:
            return 1 + content  # it may match the empty text between any two characters
        if not pattern["String"]:
            raise ValueError("it replaces the empty text")
        return max(1, ceil(content / len(pattern["String"])))
    if kind == "Precompiled":
        return _longest_replacement(base64.b64decode(step["precompiled_charsmap"], validate=True))
    return GROWTH.get(str(kind), 1)


def _longest_replacement(charsmap: bytes) -> int:
    """In characters. The file: the size of a table in bytes, the table, and the replacements, each with a zero byte."""
    table_bytes = int.from_bytes(charsmap[:4], "little")
    if 4 + table_bytes > len(charsmap):
        raise ValueError("its charsmap breaks off")
    return max(1, *(len(each.decode("utf-8", "replace")) for each in charsmap[4 + table_bytes :].split(b"\0")))


def _check_added(name: str, step: dict[str, Any] | None) -> None:
    steps = list(_flat(step))
    added = sum(len(each["prepend"]) for each in steps if each.get("type") == "Prepend")
    if added > MOST_ADDED:
        raise ValueError(f"its {name} prepends {added} characters, the limit is {MOST_ADDED}")
    if len(steps) > MOST_STEPS:
        raise ValueError(f"its {name} has {len(steps)} steps, the limit is {MOST_STEPS}")


def _flat(step: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    if step is not None:
        yield step
        for member in _members(step):
            yield from _flat(member)


def _check_processor(step: dict[str, Any] | None) -> None:
    """A template may repeat the text, and a special token may stand for many ids."""
    if step is None:
        return
    members = _members(step)
    if len(members) > MOST_ADDED:
        raise ValueError(f"it has {len(members)} post-processors, the limit is {MOST_ADDED}")
    for member in members:
        _check_processor(member)
    if step.get("type") == "TemplateProcessing":
        ids = {name: len(token["ids"]) for name, token in step["special_tokens"].items()}
        if sum("Sequence" in piece for piece in step["single"]) > 1:
            raise ValueError("its template repeats the text")
        added = sum(ids[piece["SpecialToken"]["id"]] for piece in step["single"] if "SpecialToken" in piece)
        if added > MOST_ADDED:
            raise ValueError(f"its template adds {added} tokens, the limit is {MOST_ADDED}")


def _check_padding(padding: dict[str, Any] | None) -> None:
    if padding is None:
        return
    strategy = padding.get("strategy")
    fixed = strategy.get("Fixed", 0) if isinstance(strategy, dict) else 0
    if max(fixed, padding.get("pad_to_multiple_of") or 0) > MOST_LENGTH:
        raise ValueError(f"it pads to {fixed:,} tokens, the limit is {MOST_LENGTH:,}")

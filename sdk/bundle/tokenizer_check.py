"""Refuses a tokenizer that could multiply its text without bound: the library would use all memory, and cannot be
interrupted.
"""

from __future__ import annotations

from math import ceil, prod
from typing import Any

import msgspec

from mm_edge.errors import BundleError

MOST_GROWTH = 256  # of a text by all steps together; those of published models have at most 32
MOST_ADDED = 1024  # characters or tokens that a step adds to each text
MOST_LENGTH = 1 << 16
MEMBERS = ("normalizers", "pretokenizers", "decoders", "processors")
# How much longer these make a text at most; steps that are not listed and not handled below do not.
GROWTH = {"ByteLevel": 2, "Metaspace": 2, "Precompiled": 16, "BertNormalizer": 3, "NFKC": 2, "NFKD": 2, "NFD": 2}


class Steps(msgspec.Struct):
    """The parts of the file that are checked here; the vocabulary, which may be large, is skipped."""

    normalizer: dict[str, Any] | None = None
    pre_tokenizer: dict[str, Any] | None = None
    post_processor: dict[str, Any] | None = None
    decoder: dict[str, Any] | None = None
    padding: dict[str, Any] | None = None


def check_tokenizer(file: str, content: bytes) -> None:
    """Raises a BundleError. The rest of the file is checked by the library that loads it."""
    action = f"checking '{file}' of the bundle"
    try:
        steps = msgspec.json.decode(content, type=Steps)
        for name in ("normalizer", "pre_tokenizer", "decoder"):
            if (growth := _growth(getattr(steps, name))) > MOST_GROWTH:
                raise ValueError(f"its {name} may make a text {growth:,} times as long, the limit is {MOST_GROWTH}")
        _check_processor(steps.post_processor)
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
    if kind == "Prepend" and len(step["prepend"]) > MOST_ADDED:
        raise ValueError(f"it prepends {len(step['prepend'])} characters, the limit is {MOST_ADDED}")
    return GROWTH.get(str(kind), 1)


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

"""Several prompts in one text."""

from __future__ import annotations

PROMPT_MARK = "|"


def prompts_of(text: str) -> list[str]:
    """The prompts of a text, split at "|"; empty ones are dropped unless there is no other."""
    return [prompt for prompt in map(str.strip, text.split(PROMPT_MARK)) if prompt] or [""]

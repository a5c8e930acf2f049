"""Converts text to token ids of a fixed length, and their attention mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mm_edge.errors import BundleError, InputError
from mm_edge.runtime.tokenizer import load_tokenizer, panic_as_error
from mm_edge.spec import TensorSpec

from .prompts import PROMPT_MARK, prompts_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from tokenizers import Encoding

    from mm_edge.spec import TextInput

MOST_CHARACTERS = 10_000  # tokenizing a longer text would stall the run; no model reads that much
SHOWN_CHARACTERS = 60


# Of a longer prompt, the end is not read: it would not reach the tokens that the model takes.
LEAST_CHARACTERS, CHARACTERS_PER_TOKEN = 4096, 64


class TextPreparer:
    """Writes [rows, length]: one row, or one per prompt if the input accepts several."""

    in_order = False

    def __init__(self, spec: TextInput, tokenizer: bytes) -> None:
        self.fields = {"": TensorSpec(spec.name, spec.dtype, spec.shape)}
        if spec.prepare.mask:
            self.fields["mask"] = TensorSpec(f"{spec.name}.mask", spec.dtype, spec.shape)
        self._name, self._prepare = spec.name, spec.prepare
        action = f"reading the tokenizer {spec.prepare.tokenizer} of input '{spec.name}'"
        self._tokenizer = load_tokenizer(tokenizer, action)
        self._most_characters = max(LEAST_CHARACTERS, CHARACTERS_PER_TOKEN * spec.prepare.length)
        # Both override the file: padding to the longest would give rows of different length.
        self._tokenizer.enable_truncation(max_length=spec.prepare.length)
        self._tokenizer.enable_padding(length=spec.prepare.length, pad_id=spec.prepare.pad_id)

    def check(self, payload: Any, rows: int) -> None:
        """Also tries the tokenizer, which may have no token for a word or a pattern that gives up on this text."""
        self._check(payload, rows)
        for prompt in self._prompts(payload):
            self._encode(prompt)

    def _check(self, payload: Any, rows: int) -> None:
        action = f"preparing input '{self._name}'"
        if not isinstance(payload, str):
            raise InputError(f"expected a str, got {type(payload).__name__}", action=action)
        if len(payload) > MOST_CHARACTERS:
            raise InputError(
                f"the text has {len(payload)} characters", action=action, hint=f"The limit is {MOST_CHARACTERS}"
            )
        shown = repr(payload[:SHOWN_CHARACTERS])  # which escapes what cannot be printed or encoded
        try:
            payload.encode()
        except UnicodeEncodeError:
            raise InputError(
                f"the text {shown} contains bytes that are not UTF-8", action=action, hint="Encode it as UTF-8"
            ) from None
        if len(prompts := self._prompts(payload)) != rows:
            raise InputError(
                f"expected {rows} prompts, got {len(prompts)} in {shown}",
                action=action,
                hint=f"Separate prompts with '{PROMPT_MARK}'; their number is fixed while a session runs",
            )

    def _prompts(self, text: str) -> list[str]:
        return prompts_of(text) if self._prepare.prompts > 1 else [text]

    def write(self, payload: Any, arrays: Mapping[str, NDArray[Any]]) -> None:
        ids, mask = arrays[""], arrays.get("mask")
        self._check(payload, len(ids))
        prompts = self._prompts(payload)
        for row, prompt in enumerate(prompts):
            encoding = self._encode(prompt)
            ids[row] = encoding.ids
            if mask is not None:
                mask[row] = encoding.attention_mask

    def _encode(self, prompt: str) -> Encoding:
        prompt = prompt[: self._most_characters]  # the tokens are cut off as well
        action = f"preparing input '{self._name}'"
        try:
            with panic_as_error(action):
                return self._tokenizer.encode(prompt.lower() if self._prepare.lowercase else prompt)
        except Exception as error:  # noqa: BLE001  # the library raises bare Exception
            found = error.found if isinstance(error, BundleError) else str(error)
            raise InputError(
                f"the tokenizer cannot read {prompt[:SHOWN_CHARACTERS]!r}: {found}",
                action=action,
                hint="Use other words",
            ) from None

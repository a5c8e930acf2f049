"""Generated text: runs a decode part token by token until the end token, and converts the ids to a string."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .activation import finite

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from mm_edge.spec import TextOutput

    from .context import DecodeContext


def generate(output: TextOutput, step: Callable[[int], NDArray[Any]]) -> NDArray[np.int64]:
    """Greedy decoding. `step(token)` runs the part once and returns its logits [1, vocabulary].

    Stops at the end token, which is not returned, or after `most` tokens.
    """
    tokens: list[int] = []
    token = output.start
    while len(tokens) < output.most:
        token = int(finite(step(token)[0], output.name).argmax())
        if token == output.end:
            break
        tokens.append(token)
    return np.array(tokens, np.int64)


class TextDecoder:
    """The string of the token ids in the role `tokens` [n], as returned by `generate`."""

    def __init__(self, output: TextOutput, tokenizer: bytes) -> None:
        from mm_edge.runtime.tokenizer import load_tokenizer

        self.name = output.name
        self._tokenizer = load_tokenizer(tokenizer, f"reading the bundle's {output.tokenizer}")

    def decode(self, arrays: Mapping[str, NDArray[Any]], _context: DecodeContext) -> str:
        from mm_edge.runtime.tokenizer import panic_as_error

        with panic_as_error(f"decoding the output '{self.name}'"):
            text: str = self._tokenizer.decode(arrays["tokens"].tolist())
        return text

"""Plain numbers (`embedding`, `scores`) and the score of each prompt (`similarity`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mm_edge.errors import InputError

from .activation import activate, finite

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mm_edge.spec import EmbeddingOutput, ScoresOutput, SimilarityOutput

    from .context import DecodeContext


class EmbeddingDecoder:
    """The vector as a list."""

    def __init__(self, output: EmbeddingOutput) -> None:
        self.name = output.name

    def decode(self, arrays: Mapping[str, NDArray[Any]], _context: DecodeContext) -> list[float]:
        values: list[float] = finite(arrays["values"][0], self.name).ravel().tolist()
        return values


class ScoresDecoder:
    """Numbers by label; a list if there are no labels."""

    def __init__(self, output: ScoresOutput) -> None:
        self.name = output.name
        self._labels = output.labels

    def decode(self, arrays: Mapping[str, NDArray[Any]], _context: DecodeContext) -> dict[str, float] | list[float]:
        values: list[float] = finite(arrays["values"][0], self.name).ravel().tolist()
        return dict(zip(self._labels, values, strict=True)) if self._labels else values


class SimilarityDecoder:
    """`[{"prompt": "a red ball", "score": 0.8}, …]` in the order of the prompts.

    Rows beyond the current prompts are padding: they are removed before the softmax.
    """

    def __init__(self, output: SimilarityOutput) -> None:
        self.name = output.name
        self._input, self._activation = output.input, output.activation

    def decode(self, arrays: Mapping[str, NDArray[Any]], context: DecodeContext) -> list[dict[str, Any]]:
        prompts = context.prompts.get(self._input, ())
        logits = arrays["scores"][0]
        if len(prompts) > len(logits):
            raise InputError(
                f"got {len(prompts)} prompts, but the model returns scores for {len(logits)}",
                action=f"decoding the output '{self.name}'",
                hint=f"Give at most {len(logits)} prompts, separated by |",
            )
        if not prompts:
            return []
        scores = activate(finite(logits[: len(prompts)], self.name), self._activation).tolist()
        return [{"prompt": prompt, "score": score} for prompt, score in zip(prompts, scores, strict=True)]

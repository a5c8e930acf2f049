"""A small WordPiece tokenizer for models with random weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

LETTERS = [*"abcdefghijklmnopqrstuvwxyz0123456789.,!;'"]


def save_tokenizer(folder: Path) -> None:
    """Letters and word pieces: every text has ids, and the embedding tables keep their real size."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    table = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(table, unk_token="[UNK]"))  # noqa: S106  # a word, no password
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    special = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    made: Any = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)
    made.save_pretrained(folder)

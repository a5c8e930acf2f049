"""Loads pretrained models and their tokenizers as one file, and verifies the tokenizer."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import torch

from mm_edge.errors import UsageError
from mm_edge.export.sources.torch_module import from_module
from mm_edge.spec import TextInput, TextPrepare

if TYPE_CHECKING:
    from torch import nn

    from mm_edge.export.model import SourceModel
    from mm_edge.export.recipe import Recipe
    from mm_edge.spec import ModelSpec

TOKENIZER_FILE = "tokenizer.json"


def load_pretrained(kind: Any, name: str, recipe: Recipe, **options: Any) -> Any:
    """`kind.from_pretrained`: a local folder is read offline; weights are safetensors or plain tensors, never code."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    options = {"local_files_only": Path(name).is_dir(), **options}
    options["trust_remote_code"] = recipe.trust_remote_code  # without it, the library asks on standard input
    try:
        return kind.from_pretrained(name, **options)
    except (OSError, ValueError, KeyError) as error:
        found = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UsageError(
            found,
            action=f"loading {kind.__name__} from {name}",
            hint="Review that code; if you trust it, add --trust-remote-code"
            if "trust_remote_code" in str(error)
            else "The folder must hold what `save_pretrained` writes, the processor's files too",
        ) from None
    except UnpicklingError:
        raise UsageError(
            "its weights are a pickle that holds more than tensors, which could run anything",
            action=f"loading {kind.__name__} from {name}",
            hint="Take its safetensors, or convert it where nothing can be harmed",
        ) from None


def load_model(kind: Any, name: str, recipe: Recipe) -> nn.Module:
    model: nn.Module = load_pretrained(kind, name, recipe, dtype=torch.float32, weights_only=True)
    return model.eval()


def tokenizer_file(tokenizer: Any, name: str) -> bytes:
    """The fast tokenizer as one file, without the padding and truncation that were used last."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise UsageError(
            "its tokenizer has no fast form",
            action=f"reading hf:{name}",
            hint="Save it once with AutoTokenizer(..., use_fast=True)",
        )
    plain = type(backend).from_str(backend.to_str())
    plain.no_padding()
    plain.no_truncation()
    content: str = plain.to_str()
    return content.encode()


def text_input(tokenizer: Any, length: int, *, mask: bool, prompts: int) -> TextInput:
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    return TextInput("text", TextPrepare(TOKENIZER_FILE, length, pad_id=int(pad), mask=mask, prompts=prompts))


def finish(module: nn.Module, spec: ModelSpec, name: str, tokenizer: Any = None) -> SourceModel:
    """The wrapped module as a source; the bundle's tokenizer is compared with the model's own first."""
    origin = f"hf:{Path(name).name if Path(name).is_dir() else name}"
    if tokenizer is not None:
        module.files = {TOKENIZER_FILE: tokenizer_file(tokenizer, name)}  # type: ignore[assignment]  # a plain attribute
        module.vocabulary = {"text": len(tokenizer)}  # type: ignore[assignment]
    model = from_module(module, spec, origin)
    if tokenizer is not None:
        from mm_edge.export.data.tokens import prove_tokenizer

        prove_tokenizer(model, "text", tokenizer)
    return model

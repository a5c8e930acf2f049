"""Models of Hugging Face: hf:PATH_OR_ID, with their preprocessing in the graph and in the spec of the inputs."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from mm_edge.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from mm_edge.export.model import SourceModel
    from mm_edge.export.recipe import Recipe

# The file of this folder for each family, by the name of its configuration.
FAMILIES = {
    "clip": "picture_and_text",
    "siglip": "picture_and_text",
    "clap": "sound_and_text",
    "vilt": "vilt",
    "whisper": "sound",
    "wav2vec2": "sound",
}


def from_huggingface(name: str, recipe: Recipe) -> SourceModel:
    try:
        from transformers import AutoConfig
    except ImportError:
        raise MissingExtraError("transformers", "hf") from None
    action = f"reading hf:{name}"
    if name.startswith(("/", ".", "~")) and not Path(name).is_dir():
        raise UsageError("there is no such folder", action=action, hint="Give a folder that `save_pretrained` wrote")
    try:
        config = AutoConfig.from_pretrained(
            name, trust_remote_code=recipe.trust_remote_code, local_files_only=Path(name).is_dir()
        )
    except ValueError as error:
        if "trust_remote_code" in str(error):
            raise UsageError(
                "it requires running its own code",
                action=action,
                hint="Review that code; if you trust it, add --trust-remote-code",
            ) from None
        raise UsageError(_first_sentence(error), action=action) from None
    except (OSError, KeyError) as error:
        raise UsageError(
            _first_sentence(error),
            action=action,
            hint="Give a folder that `save_pretrained` wrote, or the name of a model on the hub",
        ) from None
    family = FAMILIES.get(config.model_type)
    if family is None:
        raise UsageError(
            f"its model type is '{config.model_type}'",
            action=action,
            hint=f"Supported types: {', '.join(sorted(FAMILIES))}. Wrap others in a factory (docs/exporting.md)",
        )
    model: SourceModel = import_module(f".{family}", __package__).load(name, config, recipe)
    return model


def _first_sentence(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__

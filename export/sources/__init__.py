"""Where models come from: torch factories, the zoo, ONNX files, Hugging Face; each gives one verified fp32 graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mm_edge.errors import UsageError

if TYPE_CHECKING:
    from mm_edge.export.model import SourceModel
    from mm_edge.export.recipe import Recipe

FORMS = "zoo:NAME, package.module:factory, model.onnx or hf:PATH_OR_ID"


def load_source(source: str, recipe: Recipe) -> SourceModel:
    """Reads SOURCE as the command line names it."""
    if source.startswith("zoo:"):
        from .zoo import from_zoo

        return from_zoo(source.removeprefix("zoo:"), recipe)
    if source.startswith("hf:"):
        from .huggingface import from_huggingface

        return from_huggingface(source.removeprefix("hf:"), recipe)
    if source.endswith(".onnx"):
        from .onnx_file import from_onnx_file

        return from_onnx_file(source, recipe)
    if ":" in source:
        from .factory import from_factory

        return from_factory(source, recipe)
    raise UsageError(f"'{source}' is not a source", action="exporting", hint=f"Use one of: {FORMS}")

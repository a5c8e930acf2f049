"""Decodes output tensors to plain Python values that JSON can represent: one decoder per kind of output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mm_edge.errors import BundleError
from mm_edge.spec import (
    BoxesOutput,
    ClassesOutput,
    EmbeddingOutput,
    HeatmapOutput,
    ImageInput,
    LabelsOutput,
    PointOutput,
    ScoresOutput,
    SimilarityOutput,
    TextOutput,
    VideoInput,
)

from .boxes import BoxesDecoder
from .classes import ClassesDecoder, LabelsDecoder
from .context import DecodeContext, Decoder, Geometry
from .numbers import EmbeddingDecoder, ScoresDecoder, SimilarityDecoder
from .place import HeatmapDecoder, PointDecoder
from .text import TextDecoder, generate

if TYPE_CHECKING:
    from collections.abc import Callable

    from mm_edge.bundle.manifest import Manifest
    from mm_edge.spec import OutputSpec

__all__ = ["DecodeContext", "Decoder", "Geometry", "decoder", "generate"]


def decoder(output: OutputSpec, manifest: Manifest, read_file: Callable[[str], bytes]) -> Decoder:
    """The decoder of an output. `read_file` returns a file of the bundle (`bundle.read`); only text outputs need it."""
    if isinstance(output, TextOutput):
        return TextDecoder(output, read_file(output.tokenizer))
    if isinstance(output, (BoxesOutput, HeatmapOutput, PointOutput)):
        return _PLACED[type(output)](output, _picture_size(output.name, output.input, manifest))
    return _PLAIN[type(output)](output)


_PLACED: dict[type[OutputSpec], Callable[..., Decoder]] = {
    BoxesOutput: BoxesDecoder,
    HeatmapOutput: HeatmapDecoder,
    PointOutput: PointDecoder,
}
_PLAIN: dict[type[OutputSpec], Callable[..., Decoder]] = {
    ClassesOutput: ClassesDecoder,
    LabelsOutput: LabelsDecoder,
    EmbeddingOutput: EmbeddingDecoder,
    ScoresOutput: ScoresDecoder,
    SimilarityOutput: SimilarityDecoder,
}


def _picture_size(output: str, input_name: str, manifest: Manifest) -> tuple[int, int]:
    spec = manifest.input(input_name)
    if not isinstance(spec, (ImageInput, VideoInput)):
        raise BundleError(
            f"its positions refer to '{input_name}', which is not an image or video input",
            action=f"decoding the output '{output}'",
            hint="Set the output's `input` to an image or video input",
        )
    return spec.prepare.size

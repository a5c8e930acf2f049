"""What every preparer is, and which one an input has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from mm_edge.spec import AudioInput, ImageInput, TextInput, VideoInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

    from mm_edge.spec import InputSpec, TensorSpec

    from .geometry import Geometry


class Preparer(Protocol):
    """Fills an input's tensors. `fields` says which there are: the main one under "", others by their suffix."""

    @property
    def fields(self) -> Mapping[str, TensorSpec]: ...

    @property
    def in_order(self) -> bool:
        """Whether its payloads must be written one after the other, in the order of their capture."""

    def write(self, payload: Any, arrays: Mapping[str, NDArray[Any]]) -> Geometry | None: ...


def preparer(spec: InputSpec, read_file: Callable[[str], bytes]) -> Preparer:
    """`read_file` gives the bytes of a file of the bundle, by its name there."""
    if isinstance(spec, ImageInput):
        from .image import ImagePreparer

        return ImagePreparer(spec)
    if isinstance(spec, VideoInput):
        from .video import VideoPreparer

        return VideoPreparer(spec)
    if isinstance(spec, AudioInput):
        from .audio import AudioPreparer

        return AudioPreparer(spec)
    if isinstance(spec, TextInput):
        from .text import TextPreparer

        return TextPreparer(spec, read_file(spec.prepare.tokenizer))
    from .vector import VectorPreparer

    return VectorPreparer(spec)


def preparers(specs: Iterable[InputSpec], read_file: Callable[[str], bytes]) -> dict[str, Preparer]:
    """One an input, by its name."""
    return {spec.name: preparer(spec, read_file) for spec in specs}

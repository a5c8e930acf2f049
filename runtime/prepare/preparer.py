"""The interface of preparers, and the choice of one for an input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from mm_edge.spec import AudioInput, ImageInput, TextInput, VideoInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

    from mm_edge.spec import InputSpec, TensorSpec

    from .geometry import Geometry


class Preparer(Protocol):
    """Fills an input's tensors. `fields` lists them: the main one under "", others by their suffix."""

    @property
    def fields(self) -> Mapping[str, TensorSpec]: ...

    @property
    def in_order(self) -> bool:
        """Whether payloads must be written one at a time, in capture order."""

    def check(self, payload: Any, rows: int) -> None:
        """Raises an InputError if `write` cannot make `rows` rows of it, or if a model could not use the result."""

    def write(self, payload: Any, arrays: Mapping[str, NDArray[Any]]) -> Geometry | None: ...


def preparer(spec: InputSpec, read_file: Callable[[str], bytes]) -> Preparer:
    """`read_file` returns the bytes of a file of the bundle, by name."""
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
    """One per input, by name."""
    return {spec.name: preparer(spec, read_file) for spec in specs}

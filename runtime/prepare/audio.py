"""Copies the model's window out of the ring of sound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mm_edge.errors import InputError
from mm_edge.runtime.sound import OverrunError, SoundBlock
from mm_edge.spec import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mm_edge.spec import AudioInput


class AudioPreparer:
    """Writes [1, window]: the sound up to the block's end. What lies before the first sample is silence."""

    in_order = False

    def __init__(self, spec: AudioInput) -> None:
        self.fields = {"": TensorSpec(spec.name, spec.dtype, spec.shape)}
        self._name, self._window = spec.name, spec.prepare.window

    def write(self, payload: Any, arrays: Mapping[str, NDArray[Any]]) -> None:
        if not isinstance(payload, SoundBlock):
            raise InputError(f"{type(payload).__name__}", action=f"taking sound for '{self._name}': a SoundBlock")
        ring, end = payload.ring, payload.end
        if self._window > ring.capacity:
            raise InputError(
                f"a ring of {ring.capacity} samples", action=f"taking a window of {self._window} for '{self._name}'"
            )
        arrays[""][0] = ring.window(end, self._window)
        if not ring.holds(end, self._window):  # asked after the copy: only then does a yes hold for all of it
            raise OverrunError(
                f"the ring of {ring.capacity} samples is past it",
                action=f"hearing the window of '{self._name}' that ends at sample {end}",
            )

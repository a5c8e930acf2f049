"""Copies the model's window out of the audio ring buffer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mm_edge.errors import InputError
from mm_edge.runtime.sound import OverrunError, SoundBlock
from mm_edge.spec import TensorSpec

LOUDEST = 1000.0  # 60 dB above full scale: a fault, or integers that were not divided

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mm_edge.spec import AudioInput


class AudioPreparer:
    """Writes [1, window]: the audio up to the block's end. Before the first sample it is silence."""

    in_order = False

    def __init__(self, spec: AudioInput) -> None:
        self.fields = {"": TensorSpec(spec.name, spec.dtype, spec.shape)}
        self._name, self._window = spec.name, spec.prepare.window

    def check(self, payload: Any, rows: int) -> None:
        del rows
        action = f"preparing input '{self._name}'"
        if not isinstance(payload, SoundBlock):
            raise InputError(f"expected a SoundBlock, got {type(payload).__name__}", action=action)
        ring = payload.ring
        if self._window > ring.capacity:
            raise InputError(
                f"the ring buffer of {ring.capacity} samples is smaller than the window of {self._window}",
                action=action,
            )
        window = ring.window(payload.end, self._window)
        least, most = float(window.min()), float(window.max())
        if not (least >= -LOUDEST and most <= LOUDEST):  # false for NaN
            raise InputError(
                f"expected audio in [-1, 1], got samples that are not finite or beyond {LOUDEST:g}",
                action=action,
                hint="Divide 16-bit integers by 32768; check the recording or the microphone",
            )

    def write(self, payload: Any, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.check(payload, 1)
        ring, end = payload.ring, payload.end
        arrays[""][0] = ring.window(end, self._window)
        if not ring.holds(end, self._window):  # checked after the copy, so that it covers all of it
            raise OverrunError(
                f"the ring buffer of {ring.capacity} samples has overwritten it",
                action=f"reading the window of '{self._name}' that ends at sample {end}",
            )

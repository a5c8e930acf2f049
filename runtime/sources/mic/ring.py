"""The size of the audio ring buffer that readers read from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mm_edge.runtime.sound import SoundRing

if TYPE_CHECKING:
    from mm_edge.spec import AudioPrepare

KEPT_S, KEPT_HOPS = 4, 8  # beyond the window, whichever is more: how far a reader may lag


def ring_for(prepare: AudioPrepare) -> SoundRing:
    """At the model's rate."""
    return SoundRing(prepare.window + max(KEPT_S * prepare.sample_rate, KEPT_HOPS * prepare.hop))

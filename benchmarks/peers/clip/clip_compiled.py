"""The same through torch.compile; compiling counts as starting."""

from __future__ import annotations

from typing import Any

import torch

from . import clip_kept


class Peer(clip_kept.Peer):
    """Everything else is the eager one's."""

    def _made_ready(self, tower: Any) -> Any:
        return torch.compile(tower)

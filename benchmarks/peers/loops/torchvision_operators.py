"""Names torchvision's operators where it was built beside another build of torch and cannot bring them itself.

Classifying needs none of them, but importing torchvision does not go without their names. To be imported first.
"""

from __future__ import annotations

import torch

SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_OPERATORS = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]  # torch's
for _name in ("nms", "qnms"):
    if not hasattr(torch.ops.torchvision, _name):
        _OPERATORS.define(f"{_name}{SIGNATURE}")  # type: ignore[no-untyped-call]  # torch's

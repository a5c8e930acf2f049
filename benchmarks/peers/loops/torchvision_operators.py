"""Declares torchvision's operators if its build does not match the installed torch and cannot register them.

Classification uses none of them, but torchvision cannot be imported without their declarations. Import this first.
"""

from __future__ import annotations

import torch

SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_OPERATORS = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]  # torch's
for _name in ("nms", "qnms"):
    if not hasattr(torch.ops.torchvision, _name):
        _OPERATORS.define(f"{_name}{SIGNATURE}")  # type: ignore[no-untyped-call]  # torch's

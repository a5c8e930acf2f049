"""The ways to run a bundle on this CPU besides the safe one: installed engines, with what the processor has."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from .choice import Choice
from .choose import choose_precisions

if TYPE_CHECKING:
    from mm_edge.bundle.manifest import Manifest, Precision

SAFE = Choice("onnxruntime")


def engines(depth: int) -> list[Choice]:
    """The engines besides ONNX Runtime, the one that is usually the fastest first."""
    if find_spec("openvino") is None:
        return []
    from mm_edge.runtime.engines.openvino import computes_in_bf16

    compute = ["bf16", "f32"] if computes_in_bf16() else ["f32"]
    # As many streams as moments in flight: each of them may run the same part.
    return [Choice("openvino", options={"precision": each, "streams": depth}, depth=depth) for each in compute]


def precisions(manifest: Manifest, choice: Choice) -> list[Choice]:
    """The choice in every precision of the bundle that differs from `auto`."""
    found = [choice]
    seen = [choose_precisions(manifest, "cpu", "auto")]
    for requested in ("int8", "fp32"):
        wide: Precision = "int8-cpu" if requested == "int8" else "fp32"
        if not any(wide in part.artefacts for part in manifest.parts):
            continue
        of_parts = choose_precisions(manifest, "cpu", requested)
        if of_parts not in seen:
            seen.append(of_parts)
            found.append(with_changes(choice, precision=requested))
    return found


def with_changes(choice: Choice, **changes: Any) -> Choice:
    from msgspec.structs import replace

    changed = replace(choice, **changes)
    if "streams" in changed.options:
        return replace(changed, options={**changed.options, "streams": changed.depth})
    return changed

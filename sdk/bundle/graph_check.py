"""Compares the ONNX files of a bundle with its manifest: what they take and give, and that they need no other file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mm_edge.errors import BundleError

from .onnx_graph import read_onnx

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mm_edge.spec import TensorSpec

    from .manifest import Manifest, Part
    from .onnx_graph import Declared


def check_graph(manifest: Manifest, part: Part, file: str, content: bytes) -> None:
    """Raises a BundleError where a file is not what the manifest says of the part."""
    action = f"checking '{file}' of the bundle"
    graph = read_onnx(content, action)
    if graph.outside:
        raise BundleError(
            f"{graph.outside[0]} is read from another file, which no digest covers",
            action=action,
            hint="Export the bundle again: its weights must be inside its ONNX files",
        )
    _check_tensors(manifest, "takes", part.takes, graph.inputs, action)
    _check_tensors(manifest, "gives", part.gives, graph.outputs, action)


def _check_tensors(
    manifest: Manifest, what: str, wanted: Sequence[TensorSpec], found: Sequence[Declared], action: str
) -> None:
    declared = {each.name: each for each in found}
    if sorted(declared) != sorted(tensor.name for tensor in wanted):
        names = ", ".join(tensor.name for tensor in wanted) or "nothing"
        raise BundleError(
            f"the manifest {what} {names}; the graph {what} {', '.join(sorted(declared)) or 'nothing'}",
            action=action,
            hint="Export the bundle again",
        )
    for tensor in wanted:
        there = declared[tensor.name]
        if there.dtype != tensor.dtype or not _fits(manifest, tensor, there):
            raise BundleError(
                f"the manifest says that '{tensor.name}' is {tensor.dtype} {list(tensor.shape)}; "
                f"in the graph it is {there.dtype} {_shown(there)}",
                action=action,
                hint="Export the bundle again",
            )


def _fits(manifest: Manifest, tensor: TensorSpec, there: Declared) -> bool:
    """A dimension that the graph leaves open takes any size; one that it fixes must be the size that is run."""
    if there.shape is None:
        return True
    return len(there.shape) == len(tensor.shape) and all(
        size is None or size == dim for size, dim in zip(there.shape, manifest.fixed(tensor.shape), strict=True)
    )


def _shown(there: Declared) -> str:
    if there.shape is None:
        return "of any shape"
    return str(["any" if dim is None else dim for dim in there.shape]).replace("'any'", "any")

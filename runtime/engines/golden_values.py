"""The golden values of a bundle: inputs and reference outputs of its parts, as the export stored them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mm_edge.errors import BundleError

from .chain import is_plain
from .tensors import fixed_shapes, numpy_dtype

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mm_edge.bundle.bundle import Bundle
    from mm_edge.bundle.manifest import Golden


def load_golden(bundle: Bundle, golden: Golden) -> dict[str, NDArray[Any]]:
    """Every value that the check reads is there, with the shape and type of its tensor."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    action, hint = f"reading '{golden.file}' of the bundle", "Export the bundle again"
    try:
        tensors = load(bundle.read(golden.file))
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"not readable golden values: {error}", action=action, hint=hint) from None
    for part in filter(is_plain, bundle.manifest.parts):
        shapes = fixed_shapes(bundle.manifest, part)
        wanted = {part.reads[tensor.name].source: tensor for tensor in part.takes}
        wanted |= {f"part:{part.name}.{tensor.name}": tensor for tensor in part.gives}
        for sample in range(golden.samples):
            for source, tensor in wanted.items():
                given = tensors.get(f"{sample}/{source}")
                if source.startswith("state:"):
                    continue
                if given is None or given.shape != shapes[tensor.name] or given.dtype != numpy_dtype(tensor.dtype):
                    found = "is missing" if given is None else f"is {given.dtype} {list(given.shape)}"
                    raise BundleError(
                        f"the golden value '{sample}/{source}' {found}; "
                        f"expected {tensor.dtype} {list(shapes[tensor.name])}",
                        action=action,
                        hint=hint,
                    )
    return tensors

"""Opens the GPU for an engine, or reports what is missing or does not load."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mm_edge.errors import DeviceError, EngineError
from mm_edge.runtime.engines.available import missing

if TYPE_CHECKING:
    from .device import Device


def open_gpu(engine: str, title: str) -> Device:
    """`engine`: its name, as for `--engine`. Raises a DeviceError or an EngineError (exit code 3) with the reason."""
    action = f"running on {title}"
    if lacks := list(missing(engine)):
        raise DeviceError(
            "; ".join(lacks), action=action, hint="mm-edge doctor; --engine onnxruntime runs on every machine"
        )
    try:
        from .device import open_device
    except (ImportError, OSError) as error:  # OSError: a library beside the package does not load
        raise EngineError(
            f"the package 'pycuda' is installed but does not load: {' '.join(str(error).split())}",
            action=action,
            hint="Compile it for this machine's driver: pip install --force-reinstall --no-binary pycuda pycuda",
        ) from error
    return open_device()

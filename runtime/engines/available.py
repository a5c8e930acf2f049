"""What an engine needs and this machine lacks, checked without loading it: for `auto` and for `doctor`."""

from __future__ import annotations

import ctypes
from importlib.util import find_spec
from typing import TYPE_CHECKING

from mm_edge.onnx_runtime import import_onnxruntime

if TYPE_CHECKING:
    from collections.abc import Iterator

# In the order in which `auto` tries them; if none runs, it uses ONNX Runtime on the CPU, which always does.
ON_A_GPU = ("tensorrt", "tensorrt-rtx", "onnxruntime:cuda")
DRIVER = "libcuda.so.1"
_PACKAGES = {
    "tensorrt": ("tensorrt", "pycuda"),
    "tensorrt-rtx": ("tensorrt_rtx", "pycuda"),
    "onnxruntime:cuda": ("onnxruntime", "pycuda"),
}


def missing(engine: str) -> Iterator[str]:
    """What is missing, the quickest check first: without a driver the others are not needed."""
    try:
        ctypes.CDLL(DRIVER)
    except OSError:
        yield f"no NVIDIA driver is installed ({DRIVER})"
    for package in _PACKAGES[engine]:
        if not _installed(package):
            yield f"the package '{package}' is not installed"
    if engine == "onnxruntime:cuda":
        onnxruntime = import_onnxruntime()
        if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            yield f"this ONNX Runtime ({onnxruntime.__version__}) was built without CUDA"


def why_not(engine: str) -> str:
    """The first thing that is missing; empty if the engine can be tried."""
    return next(missing(engine), "")


def _installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):
        return False

"""Why an engine cannot run here, as far as can be told without loading it: what `auto` asks first, and `doctor`."""

from __future__ import annotations

import ctypes
from importlib.util import find_spec

# In the order in which `auto` tries them; where none of them runs, it is ONNX Runtime on the CPU, which always does.
ON_A_GPU = ("tensorrt", "tensorrt-rtx", "onnxruntime:cuda")
_PACKAGES = {
    "tensorrt": ("tensorrt", "pycuda"),
    "tensorrt-rtx": ("tensorrt_rtx", "pycuda"),
    "onnxruntime:cuda": ("onnxruntime", "pycuda"),
}
DRIVER = "libcuda.so.1"


def why_not(engine: str) -> str:
    """Empty where nothing speaks against trying it."""
    try:
        ctypes.CDLL(DRIVER)
    except OSError:
        return f"there is no NVIDIA driver here ({DRIVER})"
    missing = [package for package in _PACKAGES[engine] if not _installed(package)]
    if missing:
        return f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed"
    if engine == "onnxruntime:cuda":
        import onnxruntime

        if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            return f"this ONNX Runtime ({onnxruntime.__version__}) was built without CUDA"
    return ""


def _installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):
        return False

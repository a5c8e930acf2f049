"""Maps a failed CUDA call to an error: out of memory, a lost device, or another one, each with its CUDA name."""

from __future__ import annotations

import ctypes
from functools import cache

from mm_edge.errors import DeviceError, EngineError
from mm_edge.runtime.engine import DeviceMemoryError
from mm_edge.runtime.engines.available import DRIVER

OUT_OF_MEMORY = "CUDA_ERROR_OUT_OF_MEMORY"
FREE_MEMORY = "Close other programs that use the GPU, try --set loop.depth=1, or use a smaller precision"
# After these the context is unusable: every later call fails too, and only a new process can use the device again.
LOST = frozenset(
    {
        "CUDA_ERROR_ASSERT",
        "CUDA_ERROR_CONTAINED",
        "CUDA_ERROR_CONTEXT_IS_DESTROYED",
        "CUDA_ERROR_DEINITIALIZED",
        "CUDA_ERROR_DEVICE_UNAVAILABLE",
        "CUDA_ERROR_ECC_UNCORRECTABLE",
        "CUDA_ERROR_EXTERNAL_DEVICE",
        "CUDA_ERROR_HARDWARE_STACK_ERROR",
        "CUDA_ERROR_ILLEGAL_ADDRESS",
        "CUDA_ERROR_ILLEGAL_INSTRUCTION",
        "CUDA_ERROR_INVALID_ADDRESS_SPACE",
        "CUDA_ERROR_INVALID_PC",
        "CUDA_ERROR_LAUNCH_FAILED",
        "CUDA_ERROR_LAUNCH_TIMEOUT",
        "CUDA_ERROR_MISALIGNED_ADDRESS",
        "CUDA_ERROR_MPS_CLIENT_TERMINATED",
        "CUDA_ERROR_NVLINK_UNCORRECTABLE",
        "CUDA_ERROR_TENSOR_MEMORY_LEAK",
        "CUDA_ERROR_UNKNOWN",  # what drivers report for a GPU that has fallen off the bus
    }
)
_MOST_CODES = 1000


class DeviceLostError(DeviceError):
    """The device stopped responding, or a kernel corrupted its context. Nothing more runs on it in this process."""


def explain(error: Exception, action: str) -> EngineError | DeviceError:
    """The typed error for what pycuda raised ("cuMemAlloc failed: out of memory")."""
    call, _, text = str(error).partition(" failed: ")
    return fault(code_names().get(text.partition(" - ")[0].strip(), text), call, action)


def fault(name: str, call: str, action: str, detail: str = "") -> EngineError | DeviceError:
    """`name`: of the error in CUDA; `call`: the function that failed; `detail`: the rest of its message."""
    found = f"{call} failed with {name}" + (f" ({detail})" if detail else "")
    if name == OUT_OF_MEMORY:
        return DeviceMemoryError(found, action=action, hint=FREE_MEMORY)
    if name in LOST:
        return DeviceLostError(
            f"the GPU is lost: {found}",
            action=action,
            hint="Restart the program; if it recurs, see mm-edge doctor and the kernel log (dmesg | grep -i xid)",
        )
    return EngineError(found, action=action, hint="mm-edge doctor; --engine onnxruntime runs on every machine")


def abandon(*things: object) -> None:
    """Keeps objects of a lost device until the process ends: destroying them calls the driver, whose answer would end
    the process before the error is reported.
    """
    for thing in things:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def name_of(code: int) -> str:
    """CUDA's name of an error."""
    name = ctypes.c_char_p()
    found = ctypes.CDLL(DRIVER).cuGetErrorName(code, ctypes.byref(name)) == 0 and name.value
    return found.decode() if found else f"error {code}"


@cache
def code_names() -> dict[str, str]:
    """CUDA's error names by their texts in the driver: pycuda raises only the text."""
    library = ctypes.CDLL(DRIVER)
    names: dict[str, str] = {}
    text = ctypes.c_char_p()
    for code in range(_MOST_CODES):
        if library.cuGetErrorString(code, ctypes.byref(text)) == 0 and text.value:
            names.setdefault(text.value.decode(), name_of(code))
    return names

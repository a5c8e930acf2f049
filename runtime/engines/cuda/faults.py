"""What a CUDA call that failed means: out of memory, a device that is lost, or anything else, each by its CUDA name."""

from __future__ import annotations

import ctypes
from functools import cache

from mm_edge.errors import DeviceError, EngineError
from mm_edge.runtime.engine import DeviceMemoryError
from mm_edge.runtime.engines.available import DRIVER

OUT_OF_MEMORY = "CUDA_ERROR_OUT_OF_MEMORY"
MORE_ROOM = "Close what else uses the GPU, try --set loop.depth=1, or take a smaller precision"
# After these the context is dead: every later call fails too, and only a new process gets the device back.
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
        "CUDA_ERROR_UNKNOWN",  # what drivers say of a GPU that has fallen off its bus
    }
)
_MOST_CODES = 1000


class DeviceLostError(DeviceError):
    """The device stopped answering, or a kernel broke its context. Nothing more runs on it in this process."""


def explain(error: Exception, action: str) -> EngineError | DeviceError:
    """The typed error for what pycuda raised ("cuMemAlloc failed: out of memory")."""
    call, _, text = str(error).partition(" failed: ")
    return fault(code_names().get(text.partition(" - ")[0].strip(), text), call, action)


def fault(name: str, call: str, action: str, told: str = "") -> EngineError | DeviceError:
    """`name`: as CUDA calls it; `call`: the function that said so; `told`: what it said beside that."""
    found = f"{call} says {name}" + (f" ({told})" if told else "")
    if name == OUT_OF_MEMORY:
        return DeviceMemoryError(found, action=action, hint=MORE_ROOM)
    if name in LOST:
        return DeviceLostError(
            f"the GPU is lost: {found}",
            action=action,
            hint="Start again; if it stays, see mm-edge doctor and the kernel's log (dmesg | grep -i xid)",
        )
    return EngineError(found, action=action, hint="mm-edge doctor; --engine onnxruntime runs everywhere")


def abandon(*things: object) -> None:
    """Keeps what a lost device still owns to the very end of the process: letting go of it calls the driver, and what
    that answers there ends the process before its error is told.
    """
    for thing in things:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def name_of(code: int) -> str:
    """CUDA's name of an error."""
    told = ctypes.c_char_p()
    found = ctypes.CDLL(DRIVER).cuGetErrorName(code, ctypes.byref(told)) == 0 and told.value
    return found.decode() if found else f"error {code}"


@cache
def code_names() -> dict[str, str]:
    """CUDA's names by the texts that the driver has for them: pycuda tells only the text."""
    library = ctypes.CDLL(DRIVER)
    names: dict[str, str] = {}
    told = ctypes.c_char_p()
    for code in range(_MOST_CODES):
        if library.cuGetErrorString(code, ctypes.byref(told)) == 0 and told.value:
            names.setdefault(told.value.decode(), name_of(code))
    return names

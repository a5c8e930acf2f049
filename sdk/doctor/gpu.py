"""The NVIDIA driver and its GPUs, queried through the driver's own library."""

from __future__ import annotations

import re

from .finding import Finding
from .system import ROOT, Probe, read

# Queried in a separate process: a driver that does not match its kernel module may crash the caller.
DRIVER = """
import ctypes, json
cuda = ctypes.CDLL("libcuda.so.1")
def call(name, *arguments):
    code = getattr(cuda, name)(*arguments)
    if code:
        raise SystemExit(f"{name} failed with error {code}")
def query(name, *arguments):
    value = ctypes.c_int()
    call(name, ctypes.byref(value), *arguments)
    return value.value
call("cuInit", 0)
result = {"cuda": query("cuDriverGetVersion"), "gpus": []}
MAJOR, MINOR, INTEGRATED = 75, 76, 18
for index in range(query("cuDeviceGetCount")):
    device, name, size = query("cuDeviceGet", index), ctypes.create_string_buffer(256), ctypes.c_size_t()
    call("cuDeviceGetName", name, 256, device)
    call("cuDeviceTotalMem_v2", ctypes.byref(size), device)
    attribute = lambda which: query("cuDeviceGetAttribute", which, device)
    result["gpus"].append({
        "name": name.value.decode(errors="replace"), "bytes": size.value,
        "capability": [attribute(MAJOR), attribute(MINOR)], "integrated": bool(attribute(INTEGRATED)),
    })
print(json.dumps(result))
"""
CUDA_VISIBLE = "CUDA_VISIBLE_DEVICES"


def has_nvidia_hardware() -> bool:
    """From the kernel's device list, to distinguish a missing driver from a missing GPU."""
    if (ROOT / "dev/nvidiactl").exists() or (ROOT / "dev/nvhost-gpu").exists() or (ROOT / "dev/nvgpu").exists():
        return True
    vendors = [read(str(path.relative_to(ROOT))) for path in ROOT.glob("sys/bus/pci/devices/*/vendor")]
    classes = [read(str(path.relative_to(ROOT))) for path in ROOT.glob("sys/bus/pci/devices/*/class")]
    return any(
        vendor == "0x10de" and (kind or "").startswith("0x03") for vendor, kind in zip(vendors, classes, strict=False)
    )


def gpu() -> list[Finding]:
    probe = Probe(DRIVER)
    if not probe:
        return [_no_driver(probe.failed)]
    cuda = probe.result["cuda"]
    module = re.search(r"Kernel Module(?: for \S+)?\s+([\d.]+)", read("proc/driver/nvidia/version") or "")
    version = f"{module[1]}, " if module else ""
    found = f"{version}CUDA {cuda // 1000}.{cuda % 1000 // 10}"
    findings = [Finding("NVIDIA driver", "ok", found, facts={"cuda": cuda, "version": module[1] if module else None})]
    for index, each in enumerate(probe.result["gpus"]):
        major, minor = each["capability"]
        kind = "memory shared with the CPU" if each["integrated"] else f"{each['bytes'] / (1 << 30):.0f} GiB"
        findings.append(
            Finding(f"GPU {index}", "ok", f"{each['name']}, compute capability {major}.{minor}, {kind}", facts=each)
        )
    if not probe.result["gpus"]:
        findings.append(Finding("GPU", "missing", "the driver finds no GPU", f"Check that {CUDA_VISIBLE} is not empty"))
    return findings


def _no_driver(failed: str) -> Finding:
    if not has_nvidia_hardware():
        return Finding("NVIDIA GPU", "missing", "none found; bundles run on the CPU")
    if "libcuda" in failed:
        hint = "Install the driver: sudo ubuntu-drivers install (start a container with --gpus all)"
        return Finding("NVIDIA driver", "error", "a GPU is present but its driver is not installed", hint)
    hint = "The driver and its kernel module may have different versions: reboot, then check dmesg"
    return Finding("NVIDIA driver", "error", f"does not start: {failed}", hint)

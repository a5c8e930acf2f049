"""The NVIDIA driver and its GPUs, asked through the driver's own library."""

from __future__ import annotations

import re

from .finding import Finding
from .system import ROOT, Probe, read

# Asked in a process of its own: a driver that does not fit its kernel module may take its caller along.
DRIVER = """
import ctypes, json
cuda = ctypes.CDLL("libcuda.so.1")
def call(name, *arguments):
    code = getattr(cuda, name)(*arguments)
    if code:
        raise SystemExit(f"{name} gave the error {code}")
def ask(name, *arguments):
    value = ctypes.c_int()
    call(name, ctypes.byref(value), *arguments)
    return value.value
call("cuInit", 0)
told = {"cuda": ask("cuDriverGetVersion"), "gpus": []}
MAJOR, MINOR, INTEGRATED = 75, 76, 18
for index in range(ask("cuDeviceGetCount")):
    device, name, size = ask("cuDeviceGet", index), ctypes.create_string_buffer(256), ctypes.c_size_t()
    call("cuDeviceGetName", name, 256, device)
    call("cuDeviceTotalMem_v2", ctypes.byref(size), device)
    attribute = lambda which: ask("cuDeviceGetAttribute", which, device)
    told["gpus"].append({
        "name": name.value.decode(errors="replace"), "bytes": size.value,
        "capability": [attribute(MAJOR), attribute(MINOR)], "integrated": bool(attribute(INTEGRATED)),
    })
print(json.dumps(told))
"""
CUDA_VISIBLE = "CUDA_VISIBLE_DEVICES"


def has_nvidia_hardware() -> bool:
    """By the kernel's own listing, so that a missing driver can be told from a missing GPU."""
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
    cuda = probe.told["cuda"]
    module = re.search(r"Kernel Module(?: for \S+)?\s+([\d.]+)", read("proc/driver/nvidia/version") or "")
    version = f"{module[1]}, " if module else ""
    told = f"{version}CUDA {cuda // 1000}.{cuda % 1000 // 10}"
    findings = [Finding("NVIDIA driver", "good", told, facts={"cuda": cuda, "version": module[1] if module else None})]
    for index, each in enumerate(probe.told["gpus"]):
        major, minor = each["capability"]
        kind = "shares the memory of the CPU" if each["integrated"] else f"{each['bytes'] / (1 << 30):.0f} GiB"
        findings.append(
            Finding(f"GPU {index}", "good", f"{each['name']}, compute capability {major}.{minor}, {kind}", facts=each)
        )
    if not probe.told["gpus"]:
        findings.append(Finding("GPU", "missing", "the driver sees none", f"Is {CUDA_VISIBLE} set to nothing?"))
    return findings


def _no_driver(failed: str) -> Finding:
    if not has_nvidia_hardware():
        return Finding("NVIDIA GPU", "missing", "none here; bundles run on the CPU")
    if "libcuda" in failed:
        hint = "Install the driver: sudo ubuntu-drivers install (in a container: start it with --gpus all)"
        return Finding("NVIDIA driver", "broken", "a GPU is here and no driver for it", hint)
    hint = "The driver and its kernel module may differ in version: restart the machine, then see dmesg"
    return Finding("NVIDIA driver", "broken", f"it does not start: {failed}", hint)

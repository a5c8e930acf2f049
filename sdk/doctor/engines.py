"""The engines: what is installed, and what of it really loads and computes here."""

from __future__ import annotations

from importlib.util import find_spec

from .finding import Finding
from .gpu import has_nvidia_hardware
from .system import Probe

# An ONNX model of one Identity node (tests/sdk/test_doctor.py reads it with onnx).
IDENTITY = (
    "08083a3e0a100a01781201792208"
    "4964656e7469747912086964656e746974795a0f0a0178120a0a08080112040a020801620f0a0179120a0a08080112040a02080142040a00100d"
)
# A provider that is listed may still fall back without an error, so each runs something and is asked what it ran on.
ONNXRUNTIME = """
import json, sys
import numpy
from mm_edge.onnx_runtime import import_onnxruntime
onnxruntime = import_onnxruntime()
onnxruntime.set_default_logger_severity(4)
told = {"version": onnxruntime.__version__, "loads": [], "fails": {}}
for provider in onnxruntime.get_available_providers():
    if provider == "AzureExecutionProvider":  # in every wheel; it computes nothing here
        continue
    try:
        session = onnxruntime.InferenceSession(bytes.fromhex(sys.argv[1]), providers=[provider])
        if session.get_providers()[0] != provider:
            raise RuntimeError("it fell back to " + session.get_providers()[0])
        session.run(None, {"x": numpy.ones(1, numpy.float32)})
        told["loads"].append(provider)
    except Exception as error:
        told["fails"][provider] = str(error).strip().splitlines()[0][:200]
print(json.dumps(told))
"""
OPENVINO = """
import json, openvino
core = openvino.Core()
print(json.dumps({"version": openvino.__version__.split("-")[0], "devices": core.available_devices}))
"""
# Building and loading an engine of one layer shows whether TensorRT and the driver fit each other.
TENSORRT = """
import importlib, json, sys
trt = importlib.import_module(sys.argv[1])
told = {"version": trt.__version__, "pairing": ""}
if sys.argv[2] == "gpu":
    words = []
    class Logger(trt.ILogger):
        def __init__(self):
            trt.ILogger.__init__(self)
        def log(self, severity, message):
            if severity <= trt.ILogger.ERROR:
                words.append(message)
    try:
        logger = Logger()
        builder = trt.Builder(logger)
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        layer = network.add_identity(network.add_input("x", trt.float32, (1,)))
        network.mark_output(layer.get_output(0))
        plan = builder.build_serialized_network(network, builder.create_builder_config())
        engine = plan and trt.Runtime(logger).deserialize_cuda_engine(plan)
        told["pairing"] = "works" if engine and engine.create_execution_context() else "fails: " + "; ".join(words[:2])
    except Exception as error:
        told["pairing"] = "fails: " + "; ".join([*words[:2], str(error)])
print(json.dumps(told))
"""
PYCUDA = """
import json, pycuda
told = {"version": pycuda.VERSION_TEXT, "works": False}
import pycuda.driver as driver
driver.init()
if driver.Device.count():
    context = driver.Device(0).retain_primary_context()
    context.push()
    driver.Stream().synchronize()
    driver.Context.pop()
    told["works"] = True
print(json.dumps(told))
"""


def onnxruntime() -> list[Finding]:
    probe = Probe(ONNXRUNTIME, IDENTITY)
    if not probe:
        hint = "Install it again: pip install --force-reinstall onnxruntime"
        return [Finding("ONNX Runtime", "broken", f"it does not load: {probe.failed}", hint)]
    loads, fails = probe.told["loads"], probe.told["fails"]
    short = ", ".join(name.removesuffix("ExecutionProvider") for name in loads)
    good = "CPUExecutionProvider" in loads
    findings = [
        Finding(
            "ONNX Runtime",
            "good" if good else "broken",
            f"{probe.told['version']}; really runs: {short}",
            facts=probe.told,
        )
    ]
    for name, why in fails.items():
        hint = "Its libraries are missing or do not fit: see the versions that the provider's page names"
        findings.append(
            Finding(
                f"ONNX Runtime {name.removesuffix('ExecutionProvider')}",
                "broken",
                f"listed, yet does not run: {why}",
                hint,
            )
        )
    return findings


def openvino() -> list[Finding]:
    if not _installed("openvino"):
        return [
            Finding(
                "OpenVINO",
                "missing",
                "not installed; an engine for Intel CPUs",
                "If wanted: pip install 'mm-edge[openvino]'",
            )
        ]
    probe = Probe(OPENVINO)
    if not probe:
        return [
            Finding("OpenVINO", "broken", f"it does not load: {probe.failed}", "pip install --force-reinstall openvino")
        ]
    return [
        Finding("OpenVINO", "good", f"{probe.told['version']}, {', '.join(probe.told['devices'])}", facts=probe.told)
    ]


def tensorrt() -> list[Finding]:
    on_jetson = (
        "On Jetson it belongs to JetPack: sudo apt-get install tensorrt, and make .venv with --system-site-packages"
    )
    return [
        _tensorrt("TensorRT", "tensorrt", on_jetson),
        _tensorrt("TensorRT-RTX", "tensorrt_rtx", "For GeForce and RTX: pip install 'mm-edge[tensorrt-rtx]'"),
        _pycuda(),
    ]


def _tensorrt(name: str, module: str, hint: str) -> Finding:
    gpu = has_nvidia_hardware()
    if not _installed(module):
        return Finding(
            name,
            "missing",
            "not installed" if gpu else "not installed; of no use without an NVIDIA GPU",
            hint if gpu else "",
        )
    probe = Probe(TENSORRT, module, "gpu" if gpu else "no gpu")
    if not probe:
        return Finding(
            name, "broken", f"it does not load: {probe.failed}", f"{hint}; see docs/gpu-status.md for versions that fit"
        )
    version, pairing = probe.told["version"], probe.told["pairing"]
    major = int(version.partition(".")[0])
    if module == "tensorrt" and major < 10:
        return Finding(
            name,
            "broken",
            f"{version}, too old: 10 or later is needed",
            "On Jetson: update to JetPack 6.1 or later",
            probe.told,
        )
    if not gpu:
        return Finding(
            name,
            "note",
            f"{version} loads; it can build for other machines, and run nothing without a GPU",
            facts=probe.told,
        )
    if pairing != "works":
        hint = "TensorRT and the driver do not fit: update the driver, or take the TensorRT made for its CUDA version"
        return Finding(name, "broken", f"{version}, {pairing}", hint, probe.told)
    return Finding(name, "good", f"{version}, built and loaded an engine with this driver", facts=probe.told)


def _pycuda() -> Finding:
    """What the engines for GPUs need on our side."""
    gpu = has_nvidia_hardware()
    hint = "pip install 'mm-edge[tensorrt]' (pycuda is built here and needs the CUDA headers)"
    if not _installed("pycuda"):
        found = "not installed" if gpu else "not installed; of no use without an NVIDIA GPU"
        return Finding("pycuda", "missing", found, hint if gpu else "")
    probe = Probe(PYCUDA)
    if not probe:
        return Finding("pycuda", "broken" if gpu else "note", f"it does not start: {probe.failed}", hint if gpu else "")
    return Finding("pycuda", "good", str(probe.told["version"]), facts=probe.told)


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ImportError:
        return False

"""The engines: which are installed, load and run on this machine."""

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
# A listed provider may fall back silently, so each one runs a model and the provider in use is checked.
ONNXRUNTIME = """
import json, sys
import numpy
from mm_edge.onnx_runtime import import_onnxruntime
onnxruntime = import_onnxruntime()
onnxruntime.set_default_logger_severity(4)
result = {"version": onnxruntime.__version__, "loads": [], "fails": {}}
for provider in onnxruntime.get_available_providers():
    if provider == "AzureExecutionProvider":  # in every wheel; it runs remotely
        continue
    try:
        session = onnxruntime.InferenceSession(bytes.fromhex(sys.argv[1]), providers=[provider])
        if session.get_providers()[0] != provider:
            raise RuntimeError("it fell back to " + session.get_providers()[0])
        session.run(None, {"x": numpy.ones(1, numpy.float32)})
        result["loads"].append(provider)
    except Exception as error:
        result["fails"][provider] = str(error).strip().splitlines()[0][:200]
print(json.dumps(result))
"""
OPENVINO = """
import json, openvino
core = openvino.Core()
print(json.dumps({"version": openvino.__version__.split("-")[0], "devices": core.available_devices}))
"""
# Building and loading an engine of one layer shows whether TensorRT and the driver are compatible.
TENSORRT = """
import importlib, json, sys
trt = importlib.import_module(sys.argv[1])
result = {"version": trt.__version__, "pairing": ""}
if sys.argv[2] == "gpu":
    messages = []
    class Logger(trt.ILogger):
        def __init__(self):
            trt.ILogger.__init__(self)
        def log(self, severity, message):
            if severity <= trt.ILogger.ERROR:
                messages.append(message)
    try:
        logger = Logger()
        builder = trt.Builder(logger)
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        layer = network.add_identity(network.add_input("x", trt.float32, (1,)))
        network.mark_output(layer.get_output(0))
        plan = builder.build_serialized_network(network, builder.create_builder_config())
        engine = plan and trt.Runtime(logger).deserialize_cuda_engine(plan)
        works = engine and engine.create_execution_context()
        result["pairing"] = "works" if works else "fails: " + "; ".join(messages[:2])
    except Exception as error:
        result["pairing"] = "fails: " + "; ".join([*messages[:2], str(error)])
print(json.dumps(result))
"""
PYCUDA = """
import json, pycuda
result = {"version": pycuda.VERSION_TEXT, "works": False}
import pycuda.driver as driver
driver.init()
if driver.Device.count():
    context = driver.Device(0).retain_primary_context()
    context.push()
    driver.Stream().synchronize()
    driver.Context.pop()
    result["works"] = True
print(json.dumps(result))
"""


def onnxruntime() -> list[Finding]:
    probe = Probe(ONNXRUNTIME, IDENTITY)
    if not probe:
        hint = "Reinstall it: pip install --force-reinstall onnxruntime"
        return [Finding("ONNX Runtime", "error", f"does not load: {probe.failed}", hint)]
    loads, fails = probe.result["loads"], probe.result["fails"]
    short = ", ".join(name.removesuffix("ExecutionProvider") for name in loads)
    usable = "CPUExecutionProvider" in loads
    findings = [
        Finding(
            "ONNX Runtime",
            "ok" if usable else "error",
            f"{probe.result['version']}; runs on: {short}",
            facts=probe.result,
        )
    ]
    for name, why in fails.items():
        hint = "Its libraries are missing or incompatible: check the versions required by the provider's documentation"
        findings.append(
            Finding(
                f"ONNX Runtime {name.removesuffix('ExecutionProvider')}",
                "error",
                f"listed, but does not run: {why}",
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
                "not installed; optional engine for Intel CPUs",
                "To use it: pip install 'mm-edge[openvino]'",
            )
        ]
    probe = Probe(OPENVINO)
    if not probe:
        return [
            Finding("OpenVINO", "error", f"does not load: {probe.failed}", "pip install --force-reinstall openvino")
        ]
    return [
        Finding(
            "OpenVINO", "ok", f"{probe.result['version']}, {', '.join(probe.result['devices'])}", facts=probe.result
        )
    ]


def tensorrt() -> list[Finding]:
    on_jetson = (
        "On Jetson it is part of JetPack: sudo apt-get install tensorrt, and create .venv with --system-site-packages"
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
            "not installed" if gpu else "not installed; requires an NVIDIA GPU",
            hint if gpu else "",
        )
    probe = Probe(TENSORRT, module, "gpu" if gpu else "no gpu")
    if not probe:
        return Finding(
            name, "error", f"does not load: {probe.failed}", f"{hint}; see docs/gpu-status.md for tested versions"
        )
    version, pairing = probe.result["version"], probe.result["pairing"]
    major = int(version.partition(".")[0])
    if module == "tensorrt" and major < 10:
        return Finding(
            name,
            "error",
            f"{version} is too old: version 10 or later is required",
            "On Jetson: update to JetPack 6.1 or later",
            probe.result,
        )
    if not gpu:
        return Finding(
            name,
            "warning",
            f"{version} loads; without a GPU it can build for other machines but not run",
            facts=probe.result,
        )
    if pairing != "works":
        hint = "TensorRT and the driver are incompatible: update the driver, or install TensorRT for its CUDA version"
        return Finding(name, "error", f"{version}, {pairing}", hint, probe.result)
    return Finding(name, "ok", f"{version}, built and loaded an engine with this driver", facts=probe.result)


def _pycuda() -> Finding:
    """pycuda, which the GPU engines require."""
    gpu = has_nvidia_hardware()
    hint = "pip install 'mm-edge[tensorrt]' (pycuda is compiled locally and needs the CUDA headers)"
    if not _installed("pycuda"):
        found = "not installed" if gpu else "not installed; requires an NVIDIA GPU"
        return Finding("pycuda", "missing", found, hint if gpu else "")
    probe = Probe(PYCUDA)
    if not probe:
        return Finding("pycuda", "error" if gpu else "warning", f"does not start: {probe.failed}", hint if gpu else "")
    return Finding("pycuda", "ok", str(probe.result["version"]), facts=probe.result)


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ImportError:
        return False

"""The real Python bindings of TensorRT, fetched into a cache and looked at over libraries that hold nothing.

The bindings come without TensorRT's own libraries, so nothing can be built or run; every class, value, signature and
docstring is there. They are the vendor's and are never committed.
"""

import json
import os
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from mm_edge.places import cache_folder

VERSIONS = ("10.3.0", "10.13.3.9.post1", "10.16.1.11", "11.4.0.106")
RTX = "tensorrt-rtx"
REQUIRED = "MM_EDGE_REQUIRE_TENSORRT_BINDINGS"  # set where a skip would hide that nothing was checked
# All that the bindings want of the libraries while they are imported.
C_SOURCE = """
void *createInferBuilder_INTERNAL(void) { return 0; }
void *createInferRefitter_INTERNAL(void) { return 0; }
void *createInferRuntime_INTERNAL(void) { return 0; }
void *createNvOnnxParserRefitter_INTERNAL(void) { return 0; }
void *createNvOnnxParser_INTERNAL(void) { return 0; }
void *getBuilderPluginRegistry(void) { return 0; }
void *getPluginRegistry(void) { return 0; }
int getNvOnnxParserVersion(void) { return 0; }
int getInferLibVersion(void) { return 0; }
int initLibNvInferPlugins(void) { return 1; }
"""
LIBRARIES = ("nvinfer", "nvinfer_plugin", "nvonnxparser")
# Runs in a process of its own: two versions cannot be imported into one.
DESCRIBE = """
import importlib, json, sys
sys.path[:0] = sys.argv[2:]
module = importlib.import_module(sys.argv[1])
DUNDERS = {"__init__", "__members__"}
told = {}
for name in dir(module):
    thing = getattr(module, name)
    if not isinstance(thing, type):
        told[name] = None
        continue
    members = {}
    for member in dir(thing):
        if member.startswith("__") and member not in DUNDERS:
            continue
        value = thing.__dict__.get(member) or getattr(thing, member, None)
        if isinstance(value, property):
            getter = (value.fget.__doc__ or "") if value.fget else ""
            members[member] = {"kind": "property", "doc": getter, "set": value.fset is not None}
        elif isinstance(value, thing):
            members[member] = {"kind": "value"}
        else:
            members[member] = {"kind": "call" if callable(value) else "other", "doc": value.__doc__ or ""}
    for base in thing.__mro__[1:]:
        for member, value in base.__dict__.items():
            if isinstance(value, property) and member not in thing.__dict__:
                getter = (value.fget.__doc__ or "") if value.fget else ""
                members[member] = {"kind": "property", "doc": getter, "set": value.fset is not None}
    told[name] = members
print(json.dumps({"version": module.__version__, "names": told}))
"""


def describe(version: str, folder: Path) -> dict:
    """Every name of one version, by class. Skips, with the reason, where the bindings cannot be had."""
    if version == RTX:
        if find_spec("tensorrt_rtx") is None:
            _unavailable("the package 'tensorrt_rtx' is not installed")
        return _described("tensorrt_rtx", {})
    libraries = _libraries(version.partition(".")[0], folder)
    return _described("tensorrt_bindings", {"LD_LIBRARY_PATH": str(libraries)}, _bindings(version))


def _described(module: str, environment: dict[str, str], *folders: Path) -> dict:
    command = [sys.executable, "-W", "ignore", "-c", DESCRIBE, module, *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _bindings(version: str) -> Path:
    """The unpacked wheel; fetched once."""
    tag = f"py{sys.version_info.major}{sys.version_info.minor}"
    unpacked = cache_folder("tensorrt-bindings") / f"{version}-{tag}"
    if unpacked.is_dir():
        return unpacked
    partial = unpacked.with_name(f"{unpacked.name}.partial-{os.getpid()}")
    partial.mkdir(parents=True, exist_ok=True)
    package = f"tensorrt-cu12-bindings=={version}"
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--dest", str(partial), "--retries", "1", "--timeout", "10", package]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    if done.returncode:
        _unavailable(f"{package} cannot be fetched: {(done.stderr.strip() or 'no reason').splitlines()[-1]}")
    (wheel,) = partial.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(partial)
    wheel.unlink()
    try:
        partial.rename(unpacked)
    except OSError:
        assert unpacked.is_dir()  # another run was first
    return unpacked


def _libraries(major: str, folder: Path) -> Path:
    made = folder / f"libraries-{major}"
    if made.is_dir():
        return made
    made.mkdir()
    (made / "nothing.c").write_text(C_SOURCE)
    for name in LIBRARIES:
        file = f"lib{name}.so.{major}"
        command = [
            "cc",
            "-w",
            "-shared",
            "-fPIC",
            f"-Wl,-soname,{file}",
            "-o",
            str(made / file),
            str(made / "nothing.c"),
        ]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except FileNotFoundError:
            _unavailable("there is no C compiler for the libraries that the bindings want")
    return made


def _unavailable(reason: str) -> None:
    if os.environ.get(REQUIRED):
        pytest.fail(reason)
    pytest.skip(reason)

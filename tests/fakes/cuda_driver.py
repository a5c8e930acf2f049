"""The test driver and, over it, the real pycuda and cuda.bindings: built once, into a cache, outside this environment.

`environment()` is what a process needs to see a GPU that is none: `TESTCUDA_DEVICES=0` in it takes the GPU away again.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from mm_edge.places import cache_folder

PYCUDA = "pycuda==2026.1"
BESIDE = ("cuda-bindings==13.0.3", "pytools", "platformdirs", "mako")
REQUIRED = "MM_EDGE_REQUIRE_CUDA_DRIVER"  # set where a skip would hide that nothing was checked
SOURCE = Path(__file__).parents[1] / "runtime/engines/cuda/driver/testcuda.c"
HEADERS = ("cuda.h", "cudaGL.h", "cudaProfiler.h")
SITECONF = """
CUDA_ROOT = {root!r}
CUDADRV_LIB_DIR = [{driver!r}]
CUDADRV_LIBNAME = ["cuda"]
CUDA_ENABLE_CURAND = False
CUDA_ENABLE_GL = False
"""


def environment() -> dict[str, str]:
    """Skips, with the reason, where a compiler, CUDA's headers or the packages cannot be had."""
    driver = _driver(toolkit())
    packages = _packages(driver)
    paths = [str(packages), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "LD_LIBRARY_PATH": str(driver), "PYTHONPATH": os.pathsep.join(paths)}


def toolkit() -> Path:
    nvcc = shutil.which("nvcc")
    guesses = [os.environ.get("CUDA_HOME"), "/usr/local/cuda", Path(nvcc).resolve().parents[1] if nvcc else None]
    for root in (Path(guess) for guess in guesses if guess):
        if (root / "include/cuda.h").is_file():
            return root
    return _unavailable("CUDA's headers are not here (CUDA_HOME/include/cuda.h)")


def _driver(toolkit: Path) -> Path:
    """libcuda.so.1, by the digest of what it is made from."""
    content = SOURCE.read_bytes() + Path(__file__).read_bytes() + (toolkit / "include/cuda.h").read_bytes()
    made = cache_folder("cuda-driver") / hashlib.sha256(content).hexdigest()[:16]
    if made.is_dir():
        return made
    partial = made.with_name(f"{made.name}.partial-{os.getpid()}")
    partial.mkdir(parents=True)
    (partial / "rest.c").write_text(_rest(toolkit / "include"))
    library = partial / "libcuda.so.1"
    _run(
        "cc",
        *("-O1", "-shared", "-fPIC", "-w", "-pthread", "-Wl,-soname,libcuda.so.1"),
        *("-o", str(library), str(SOURCE), str(partial / "rest.c"), "-ldl"),
        ours=True,
    )
    (partial / "libcuda.so").symlink_to(library.name)
    return _put(partial, made)


def _rest(include: Path) -> str:
    """In C: every function of the driver that testcuda.c leaves out, as not supported, and the newest name of each."""
    headers = [include / name for name in HEADERS]
    text = "".join(path.read_text() for path in headers)
    renamed = r"#define\s+(cu[A-Z]\w*)\s+(?:__CUDA_API_\w+\()?(cu[A-Z]\w*)\)?\s*$"
    newest = dict(re.findall(renamed, text, re.MULTILINE))
    declared = set()
    for flag in ("-DNONE", "-D__CUDA_API_VERSION_INTERNAL"):
        for path in headers:
            made = _run("cc", "-E", flag, f"-I{include}", "-x", "c", str(path))
            declared |= set(re.findall(r"\bCUresult\s+(?:CUDAAPI\s+)?(cu[A-Z]\w*)\s*\(", made))
    there = set(re.findall(r"^API\((\w+)", SOURCE.read_text(), re.MULTILINE))
    lines = [f"int {name}(void) {{ return 801; }}" for name in sorted(declared - there)]
    pairs = ", ".join(f'{{"{old}", "{new}"}}' for old, new in sorted(newest.items()))
    return "\n".join(
        [
            "#include <string.h>",
            *lines,
            f"static const struct {{ const char *old, *now; }} NAMES[] = {{{pairs}}};",
            "const char *newest_name(const char *name) {",
            "  for (unsigned i = 0; i < sizeof NAMES / sizeof *NAMES; i++)",
            "    if (!strcmp(NAMES[i].old, name)) return NAMES[i].now;",
            "  return name;",
            "}",
        ]
    )


def _packages(driver: Path) -> Path:
    """pycuda compiled against the test driver's library; the real driver would do as well, they have one interface."""
    version = f"{PYCUDA.replace('==', '-')}-py{sys.version_info.major}{sys.version_info.minor}"
    made = cache_folder("cuda-driver") / version
    if made.is_dir():
        return made
    partial = made.with_name(f"{made.name}.partial-{os.getpid()}")
    partial.mkdir(parents=True)
    sources = partial / "sources"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    _run(*pip, "install", "--quiet", "--target", str(partial), *BESIDE)
    _run(*pip, "download", "--quiet", "--no-deps", "--no-binary", "pycuda", "--dest", str(sources), PYCUDA)
    (archive,) = sources.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(sources, filter="data")
    (source,) = (path for path in sources.iterdir() if path.is_dir())
    (source / "siteconf.py").write_text(SITECONF.format(root=str(toolkit()), driver=str(driver)))
    _run(*pip, "install", "--quiet", "--no-deps", "--target", str(partial), str(source))
    shutil.rmtree(sources)
    return _put(partial, made)


def _put(partial: Path, made: Path) -> Path:
    try:
        partial.rename(made)
    except OSError:
        assert made.is_dir()  # another run was first
    return made


def _run(*command: str, ours: bool = False) -> str:
    """`ours`: what is refused is this project's own, and no machine is to blame."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    except FileNotFoundError:
        return _unavailable(f"'{command[0]}' is not installed")
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no reason").splitlines()[-1]
        reason = f"{' '.join(command[:6])} …: {last}"
        if ours:
            pytest.fail(reason)
        return _unavailable(reason)
    return done.stdout


def _unavailable(reason: str):
    if os.environ.get(REQUIRED):
        pytest.fail(reason)
    pytest.skip(reason)

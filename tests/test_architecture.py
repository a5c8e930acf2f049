"""The laws of the house, held by reading the files: who may name whom, how long a file may be, how it opens."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = {"sdk": "mm_edge", "export": "mm_edge.export", "runtime": "mm_edge.runtime"}
FOLDERS |= {"benchmarks": "mm_edge.benchmarks", "jetson": "mm_edge.jetson"}
# The law of arrows (docs/architecture.md): what each room may name besides itself.
MAY_NAME = {
    "roof": {"benchmarks", "export", "zoo", "runtime", "jetson", "ground"},
    "benchmarks": {"export", "zoo", "runtime", "jetson", "ground"},
    "export": {"zoo", "runtime", "ground"},
    "zoo": {"ground"},
    "runtime": {"ground"},
    "jetson": {"ground"},
    "ground": set(),
}
ROOMS_BELOW = {"export", "runtime", "benchmarks", "jetson", "zoo"}
NOT_BELOW_EXPORT = {"torch", "onnx", "onnxscript", "transformers"}
HEAVY = {
    "torch",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "tensorrt",
    "tensorrt_rtx",
    "pycuda",
    "cuda",
    "cv2",
    "sounddevice",
    "av",
}
HEAVY |= {"soxr", "aiohttp", "zenoh", "foxglove", "mcap", "transformers", "tokenizers", "safetensors", "matplotlib"}
MOST_LINES = 500
EMPTY_NAMES = {"utils", "util", "core", "common", "helpers", "helper", "manager", "misc"}

MODULES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
EVERY_FILE = [*MODULES, *TESTS, ROOT / "setup.py"]


def named(path):
    return str(path.relative_to(ROOT))


def module_of(path: Path) -> str:
    folder, *inner = path.relative_to(ROOT).with_suffix("").parts
    return ".".join([FOLDERS[folder], *inner]).removesuffix(".__init__")


def room_of(module: str) -> str:
    inner = module.split(".")[1:]
    if not inner or inner[0] == "cli":
        return "roof"
    return inner[0] if inner[0] in ROOMS_BELOW else "ground"


def imports_of(path: Path, *, at_head=False):
    """Every module that a file names in an import, with its line; at_head: only those that run when it is imported."""
    package = module_of(path) if path.name == "__init__.py" else module_of(path).rpartition(".")[0]
    for node in _nodes(ast.parse(path.read_text()), at_head=at_head):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base, node.lineno
            yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names if base.startswith("mm_edge"))


def _nodes(tree, *, at_head):
    for node in ast.iter_child_nodes(tree):
        is_checking = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if at_head and (is_checking or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)):
            continue
        yield node
        yield from _nodes(node, at_head=at_head)


def test_arrows_point_downward():
    faults = [
        f"{named(path)}:{line} ({room_of(module_of(path))}) names {module} ({room_of(module)})"
        for path in MODULES
        for module, line in imports_of(path)
        if module.startswith("mm_edge.")
        and room_of(module) not in {here := room_of(module_of(path)), *MAY_NAME[here]}
        and module != "mm_edge.__version__"
    ]
    assert not faults


def test_arrows_are_really_read():
    """The check above can fail: the command names the ground, in both ways of writing it."""
    seen = {module for module, _ in imports_of(ROOT / "sdk/cli/app.py")}
    assert {"mm_edge.errors", "mm_edge.cli.not_implemented"} <= seen
    assert room_of("mm_edge.runtime.session.session") == "runtime"
    assert room_of("mm_edge.cli.commands.run") == "roof"
    assert room_of("mm_edge.bundle.bundle") == "ground"


def test_no_torch_below_the_export():
    faults = [
        f"{named(path)}:{line} imports {module}"
        for path in MODULES
        if room_of(module_of(path)) in {"ground", "runtime", "jetson"}
        for module, line in imports_of(path)
        if module.split(".")[0] in NOT_BELOW_EXPORT
    ]
    assert not faults


def test_light_rooms_import_nothing_heavy_at_their_head():
    faults = [
        f"{named(path)}:{line} imports {module}"
        for path in MODULES
        if room_of(module_of(path)) in {"ground", "roof", "jetson"}
        for module, line in imports_of(path, at_head=True)
        if module.split(".")[0] in HEAVY
    ]
    assert not faults


def test_nobody_names_the_folders_instead_of_the_package():
    """With the root on sys.path `import runtime` works by accident, and makes a twin of every class."""
    faults = []
    for path in EVERY_FILE:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            else:
                continue
            faults += [f"{named(path)}:{node.lineno} imports {name}" for name in names if name.split(".")[0] in FOLDERS]
    assert not faults


def test_files_are_short():
    long = {named(path): lines for path in EVERY_FILE if (lines := path.read_text().count("\n")) > MOST_LINES}
    assert not long


def test_files_say_in_their_first_line_what_they_are():
    silent = []
    for path in EVERY_FILE:
        said = ast.get_docstring(ast.parse(path.read_text()), clean=False)
        if not said or not said.split("\n")[0].strip() or path.stem in EMPTY_NAMES:
            silent.append(named(path))
    assert not silent


def test_tests_are_no_package():
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_importing_mm_edge_loads_nothing_heavy():
    program = "import sys, mm_edge; mm_edge.MmEdgeError, mm_edge.Bundle, mm_edge.ModelSpec; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert "mm_edge" in loaded
    assert not loaded & (HEAVY | {"numpy", "typer", "rich", "cryptography"})


def test_names_of_the_package_are_all_there():
    import mm_edge

    for name in mm_edge.__all__:
        assert getattr(mm_edge, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        mm_edge.nonsense  # noqa: B018  # the access is what is tested

"""The architecture, verified by reading the files: who may import whom, and how many doors a folder has."""

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from imports import FOLDERS, Checkout, children, circle

ROOT = Path(__file__).parent.parent
HERE = Checkout(ROOT)
# What each layer may import besides itself (docs/architecture.md).
LAYERS = {
    "roof": {"benchmarks", "export", "zoo", "front_ends", "runtime", "jetson", "ground"},
    "benchmarks": {"export", "zoo", "front_ends", "runtime", "jetson", "ground"},
    "export": {"zoo", "front_ends", "runtime", "ground"},
    "zoo": {"front_ends", "ground"},
    "front_ends": {"ground"},
    "runtime": {"ground"},
    "jetson": {"ground"},
    "ground": set(),
}
# The rooms of a folder, and which other rooms each may import. Every room may use the ground of its folder: files at
# its top that hold hand-over types and small contracts, and import no room.
ROOMS = {
    "mm_edge.export": {
        "pipeline": {"sources", "data", "precision", "package", "verify", "split", "graphs"},
        "sources": {"data", "verify", "graphs"},
        "data": {"package", "verify", "split", "graphs"},
        "precision": {"package", "verify", "split", "graphs"},
        "package": {"verify", "split", "graphs"},
        "verify": {"split", "graphs"},
        "split": {"graphs"},
        "graphs": set(),
    },
    "mm_edge.runtime": {
        "session": {"loop", "sources", "sinks", "engines", "prepare", "decode"},
        "view": {"sinks"},
        "loop": {"prepare", "decode"},
        "sources": set(),
        "sinks": set(),
        "engines": set(),
        "prepare": set(),
        "decode": set(),
    },
    "mm_edge.benchmarks": {
        "studies": {"peers", "models", "tune", "bench"},
        "peers": {"models", "bench"},
        "models": {"bench"},
        "tune": {"bench"},
        "bench": set(),
    },
    "mm_edge.zoo": {
        "models": {"worlds", "training", "encoders"},
        "worlds": {"training", "encoders"},
        "training": set(),
        "encoders": set(),
    },
}
# The files at the top of the zoo compose models from encoders; elsewhere the ground of a folder imports no room.
GROUND = {"mm_edge.zoo": {"encoders"}}
MOST_DOORS = 8
MOST_FILES = 16
MOST_LINES = 500
LOWER = {"export", "runtime", "benchmarks", "jetson", "zoo", "front_ends"}
NOT_ON_A_ROBOT = {"torch", "onnx", "onnxscript", "transformers"}
HEAVY = {"torch", "onnx", "onnxruntime", "onnxscript", "tensorrt", "tensorrt_rtx", "pycuda", "cuda", "cv2"}
HEAVY |= {"sounddevice", "av", "soxr", "aiohttp", "zenoh", "foxglove", "mcap", "transformers", "tokenizers"}
HEAVY |= {"safetensors", "matplotlib"}
EMPTY_NAMES = {"utils", "util", "core", "common", "helpers", "helper", "manager", "misc"}

TESTS = sorted((ROOT / "tests").rglob("*.py"))
EVERY_FILE = [*HERE.files.values(), *TESTS, ROOT / "setup.py"]


def named(path):
    return str(path.relative_to(ROOT))


def layer_of(module: str) -> str:
    inner = module.split(".")[1:]
    if not inner or inner[0] == "cli":
        return "roof"
    return inner[0] if inner[0] in LOWER else "ground"


def forbidden_layers(checkout: Checkout) -> list[str]:
    """The package itself may be named by everyone: it holds the version, and finds its names on first use."""
    return [
        f"{module} ({layer_of(module)}) imports {other} ({layer_of(other)})"
        for module, named in checkout.arrows.items()
        for other in sorted(named)
        if layer_of(other) not in {layer_of(module), *LAYERS[layer_of(module)]} and other != "mm_edge"
    ]


def forbidden_rooms(checkout: Checkout) -> list[str]:
    faults = []
    for folder, rooms in ROOMS.items():
        for here, named in children(checkout.arrows, folder).items():
            allowed = rooms.get(here, GROUND.get(folder, set()))
            faults += [f"{folder}: {here} imports {there}" for there in named & set(rooms) if there not in allowed]
    return faults


def circles(checkout: Checkout) -> dict[str, list[str]]:
    """By package: a circle between the files and rooms that lie in it. Without any, no two files form one either."""
    arrows = checkout.arrows
    packages = [module for module, path in checkout.files.items() if path.name == "__init__.py"]
    packages.remove("mm_edge")  # its folders are the layers above
    return {package: found for package in packages if (found := circle(children(arrows, package)))}


def checkout_of(root: Path, files: dict[str, str]) -> Checkout:
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True)
        (root / folder / "__init__.py").touch()
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
        (root / name).with_name("__init__.py").touch()
    return Checkout(root)


def test_layers_import_only_what_is_below_them():
    assert forbidden_layers(HERE) == []


def test_a_seeded_forbidden_layer_is_found(tmp_path):
    files = {"runtime/clock.py": "from mm_edge.export import pipeline", "export/pipeline.py": ""}
    assert forbidden_layers(checkout_of(tmp_path, files)) == [
        "mm_edge.runtime.clock (runtime) imports mm_edge.export.pipeline (export)"
    ]


def test_rooms_import_only_what_the_table_allows():
    assert forbidden_rooms(HERE) == []


@pytest.mark.parametrize("imported", ["from mm_edge.export.package.pack import x", "from ..package import pack"])
def test_a_seeded_forbidden_room_is_found(tmp_path, imported):
    files = {"export/graphs/lint.py": imported, "export/package/pack.py": ""}
    assert forbidden_rooms(checkout_of(tmp_path, files)) == ["mm_edge.export: graphs imports package"]


def test_there_is_no_circle_between_files_or_rooms():
    assert circles(HERE) == {}


@pytest.mark.parametrize(
    ("first", "second"),
    [("runtime/loop/stage.py", "runtime/loop/task.py"), ("runtime/loop/a.py", "runtime/loop/deep/b.py")],
)
def test_a_seeded_circle_is_found(tmp_path, first, second):
    def module(name):
        return "mm_edge." + name.removesuffix(".py").replace("/", ".")

    files = {first: f"import {module(second)}", second: f"def f():\n    import {module(first)}"}
    assert circles(checkout_of(tmp_path, files)).keys() == {"mm_edge.runtime.loop"}


def test_the_table_names_every_room():
    for folder, rooms in ROOMS.items():
        inside = {module: path for module, path in HERE.files.items() if module.startswith(f"{folder}.")}
        subfolders = {
            module.split(".")[2] for module, path in inside.items() if path.parent.name != folder.split(".")[1]
        }
        assert subfolders <= set(rooms), folder
        assert set(rooms) <= {module.split(".")[2] for module in inside}, folder


def test_folders_have_few_doors():
    for folder in ("mm_edge.export", "mm_edge.runtime", "mm_edge.benchmarks"):
        assert len(ROOMS[folder]) <= MOST_DOORS


def test_folders_are_not_crowded():
    count = Counter(path.parent for path in HERE.files.values() if path.name != "__init__.py")
    assert {named(folder): files for folder, files in count.items() if files > MOST_FILES} == {}


def test_what_runs_on_a_robot_needs_neither_torch_nor_onnx():
    faults = [
        f"{module}:{line} imports {name}"
        for module in HERE.files
        if layer_of(module) in {"ground", "runtime", "jetson"}
        for name, line in HERE.imports_of(module)
        if name.split(".")[0] in NOT_ON_A_ROBOT
    ]
    assert not faults


def test_light_modules_import_nothing_heavy_at_their_head():
    faults = [
        f"{module}:{line} imports {name}"
        for module in HERE.files
        if layer_of(module) in {"ground", "roof", "jetson"}
        for name, line in HERE.imports_of(module, at_head=True)
        if name.split(".")[0] in HEAVY
    ]
    assert not faults


def test_modules_are_imported_from_the_package_never_from_the_folders():
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


def test_the_public_names_are_all_there():
    import mm_edge

    for name in mm_edge.__all__:
        assert getattr(mm_edge, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        mm_edge.nonsense  # noqa: B018  # the access is what is tested

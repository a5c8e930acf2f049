"""The wheel holds every module and nothing else, and all of it imports where only the base install is there."""

import json
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
FOLDERS = {"sdk": "mm_edge", "export": "mm_edge/export", "runtime": "mm_edge/runtime"}
FOLDERS |= {"benchmarks": "mm_edge/benchmarks", "jetson": "mm_edge/jetson"}
# What the extras bring, by import name; TensorRT is the system's own.
OF_EXTRAS = {"torch", "onnx", "onnxscript", "transformers", "matplotlib", "openvino", "tensorrt", "tensorrt_rtx"}
OF_EXTRAS |= {"pycuda", "cuda", "foxglove", "mcap", "av"}
OF_EXTRAS |= {"gi", "mediapipe", "litert_torch", "inference", "ultralytics"}  # of the peers' own environments
# Rooms that are of no use without one. A peer is driven in an environment of its own, by the module that imports it.
NEED_EXTRA = ("mm_edge.export", "mm_edge.zoo", "mm_edge.front_ends", "mm_edge.benchmarks.peers")
IMPORT_ALL = """
import importlib, json, sys, warnings
warnings.simplefilter("error")
failed = {}
for module in json.loads(sys.argv[1]):
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        failed[module] = error.name.split(".")[0]
    except Exception as error:
        failed[module] = repr(error)
print(json.dumps(failed))
"""


@pytest.fixture(scope="session")
def tree(tmp_path_factory):
    """What git would hold of the checkout, copied, so that nothing that lies around is taken for a part of it."""
    if not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout: it tells what belongs to the source")
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=True,
    )
    folder = tmp_path_factory.mktemp("tree")
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def wheel(tree):
    """The wheel as `make build` makes it."""
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tree / "dist", tree],
        check=True,
        capture_output=True,
    )
    (made,) = (tree / "dist").glob("*.whl")
    return made


@pytest.fixture(scope="session")
def members(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_wheel_holds_every_file_of_the_five_folders(tree, members):
    expected = {
        str(Path(package) / path.relative_to(tree / folder))
        for folder, package in FOLDERS.items()
        for path in (tree / folder).rglob("*")
        if path.is_file()
        and not path.is_relative_to(tree / "benchmarks/models")
        and not path.is_relative_to(tree / "benchmarks/studies")
        and not path.is_relative_to(tree / "benchmarks/peers")
    }
    assert len(expected) > 50
    assert expected - members == set(), "missing from the wheel"
    assert {name for name in members if name.startswith("mm_edge/")} - expected == set(), (
        "in the wheel and not in the tree"
    )


def test_nothing_leaks_to_the_top_level(members):
    assert {name.split("/")[0].split("-")[0] for name in members} == {"mm_edge"}


def test_wheel_names_its_command_and_license(wheel, members):
    with zipfile.ZipFile(wheel) as archive:
        (info,) = (name.split("/")[0] for name in members if name.endswith("/METADATA"))
        assert "mm-edge = mm_edge.cli.__main__:main" in archive.read(f"{info}/entry_points.txt").decode()
        assert f"{info}/licenses/LICENSE" in members
        told = archive.read(f"{info}/METADATA").decode()
    assert "Requires-Python: >=3.10" in told
    assert not re.search(r"^Requires-Dist: (torch|onnx|tensorrt)\b(?!.*extra ==)", told, re.MULTILINE)


def base_distributions():
    """The base install and all that it needs in turn, as far as it is installed here."""
    found, waiting = {}, ["mm-edge"]
    while waiting:
        distribution = metadata.distribution(waiting.pop())
        if distribution.name in found:
            continue
        found[distribution.name] = distribution
        for text in distribution.requires or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    del found["mm-edge"]
    return list(found.values())


@pytest.fixture(scope="session")
def bare_python(wheel, tmp_path_factory):
    """A virtual environment with the base install alone; its packages are links to those here: no network needed."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, symlinks=True)
    (packages,) = folder.glob("lib/python3*/site-packages")
    for distribution in base_distributions():
        for top in {Path(file).parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
            source = Path(str(distribution.locate_file(top)))
            if not (packages / top).exists():
                (packages / top).symlink_to(source)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    return folder / "bin" / "python"


def run_bare(python, *arguments):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [python, *arguments], capture_output=True, text=True, check=False, cwd="/", env=clean, timeout=110
    )


def test_bare_install_is_bare(bare_python):
    """Otherwise the next test would prove nothing."""
    done = run_bare(bare_python, "-c", "import importlib.util as u; print(u.find_spec('torch'), u.find_spec('onnx'))")
    assert done.stdout.split() == ["None", "None"], done.stderr


def drives(tree, module, package):
    """The module itself imports the package, so that it is no other module's fault that it cannot be imported."""
    _, room, *inner = module.split(".")
    place = tree.joinpath(room, *inner) if room in FOLDERS else tree.joinpath("sdk", room, *inner)
    return re.search(rf"^(import|from) {package}\b", place.with_suffix(".py").read_text(), re.MULTILINE) is not None


def test_every_module_imports_with_the_base_install(bare_python, members, tree):
    """Only an extra may be lacking: in export and the zoo anywhere, else in the one module that drives its package."""
    modules = sorted(
        name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for name in members
        if name.endswith(".py") and not name.endswith("__main__.py")
    )
    done = run_bare(bare_python, "-c", IMPORT_ALL, json.dumps(modules))
    assert done.returncode == 0, done.stderr
    failed = json.loads(done.stdout.splitlines()[-1])
    unexpected = {
        module: why
        for module, why in failed.items()
        if why not in OF_EXTRAS or not (module.startswith(NEED_EXTRA) or drives(tree, module, why))
    }
    assert not unexpected


def test_command_works_with_the_base_install(bare_python):
    done = run_bare(bare_python, "-m", "mm_edge.cli", "--help")
    assert done.returncode == 0, done.stderr
    assert "doctor" in done.stdout

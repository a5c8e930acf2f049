"""What many tests need: a small bundle that is whole, on disk in either shape."""

import functools
import gc
import logging
import os
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import settings
from page_examples import run_examples
from small_bundle import FILES, make_manifest

from mm_edge.bundle.manifest import Manifest
from mm_edge.bundle.writer import write_bundle
from mm_edge.places import cache_folder

# Tests start over a hundred Python processes, a dozen of them with pytest, which compile every module again where
# PYTHONDONTWRITEBYTECODE keeps bytecode out of the checkout; so it is cached outside of it.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
    sys.dont_write_bytecode = False
    sys.pycache_prefix = str(cache_folder("test-bytecode"))
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix

# The same cases every time, so that a failure is the change's; `--hypothesis-profile thorough` looks for new ones.
settings.register_profile("quick", max_examples=150, derandomize=True)
settings.register_profile("thorough", max_examples=5000, print_blob=True)
settings.load_profile("quick")


@pytest.fixture
def manifest() -> Manifest:
    return make_manifest()


@pytest.fixture(params=["folder", "zip"])
def bundle_path(request, tmp_path: Path, manifest: Manifest) -> Path:
    """A good bundle, once as a folder and once as a zip."""
    path = tmp_path / ("good.mmb" if request.param == "zip" else "good")
    write_bundle(path, manifest, FILES)
    return path


@pytest.fixture(scope="module", autouse=True)
def _collector_sees_what_tests_make():
    """And not the hundreds of thousands of objects of imported modules, with which a full collection takes 0.2 s."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _no_bytecode_of_temporary_files(tmp_path_factory):
    yield
    if sys.pycache_prefix:
        temporary = tmp_path_factory.getbasetemp().relative_to("/")
        shutil.rmtree(Path(sys.pycache_prefix) / temporary, ignore_errors=True)


@pytest.fixture(scope="session")
def examples_of(tmp_path_factory):
    """Runs the examples of a page, and returns the folder of what they wrote; once, however many tests use it."""

    @functools.cache
    def run(page: Path) -> Path:
        folder = tmp_path_factory.mktemp(page.stem)
        run_examples(page.read_text(), folder)
        return folder

    return run


@pytest.fixture(autouse=True)
def _logging_as_it_was():
    """The command sets up logging for its process; a test must not leave that to the next one."""
    logger = logging.getLogger("mm_edge")
    before = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], logger.level, logger.propagate = before

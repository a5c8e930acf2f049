"""What many tests need: a small bundle that is whole, on disk in either shape."""

import logging
from pathlib import Path

import pytest
from hypothesis import settings
from small_bundle import FILES, make_manifest

from mm_edge.bundle.manifest import Manifest
from mm_edge.bundle.writer import write_bundle

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


@pytest.fixture(autouse=True)
def _logging_as_it_was():
    """The command sets up logging for its process; a test must not leave that to the next one."""
    logger = logging.getLogger("mm_edge")
    before = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], logger.level, logger.propagate = before

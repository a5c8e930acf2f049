"""What many tests need: a small bundle that is whole, on disk in either shape."""

import logging
from pathlib import Path

import pytest
from small_bundle import FILES, make_manifest

from mm_edge.bundle_writer import write_bundle
from mm_edge.manifest import Manifest


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

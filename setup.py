"""Maps the five top-level folders onto the one import package mm_edge; the rest is in pyproject.toml."""

import sys

from setuptools import find_packages, setup

ROOMS = {
    "sdk": "mm_edge",
    "export": "mm_edge.export",
    "runtime": "mm_edge.runtime",
    "benchmarks": "mm_edge.benchmarks",
    "jetson": "mm_edge.jetson",
}
# What the project measures about itself is there for development and stays out of the wheel.
NOT_SHIPPED = ("mm_edge.benchmarks.models", "mm_edge.benchmarks.studies", "mm_edge.benchmarks.peers")


def packages() -> list[str]:
    """Every package of the wheel, found by walking: one that is missing from a list vanishes without a word."""
    found = []
    for folder, package in ROOMS.items():
        found.append(package)
        found += [f"{package}.{name}" for name in find_packages(folder)]
    if "editable_wheel" in sys.argv:
        return found
    return [name for name in found if not name.startswith(NOT_SHIPPED)]


setup(packages=packages(), package_dir={package: folder for folder, package in ROOMS.items()})

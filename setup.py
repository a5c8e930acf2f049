"""Maps the five top-level folders onto the one import package mm_edge; the rest is in pyproject.toml."""

from setuptools import find_packages, setup

ROOMS = {
    "sdk": "mm_edge",
    "export": "mm_edge.export",
    "runtime": "mm_edge.runtime",
    "benchmarks": "mm_edge.benchmarks",
    "jetson": "mm_edge.jetson",
}


def packages() -> list[str]:
    """Every package of the wheel, found by walking: one that is missing from a list vanishes without a word."""
    found = []
    for folder, package in ROOMS.items():
        found.append(package)
        found += [f"{package}.{name}" for name in find_packages(folder)]
    return found


setup(packages=packages(), package_dir={package: folder for folder, package in ROOMS.items()})

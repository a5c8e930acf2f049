"""Python, mm-edge and its declared dependencies."""

from __future__ import annotations

import platform
import re
import sys
from importlib import metadata

from mm_edge.bundle.bundle import Bundle, Trust
from mm_edge.errors import MmEdgeError
from mm_edge.shipped import default_bundle, default_key

from .finding import Finding

OLDEST_PYTHON, NEWEST_PYTHON = (3, 10), (3, 13)
PACKAGE = "mm-edge"
FULL_OPENCV = ("opencv-python", "opencv-contrib-python")
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[([a-z-]+)\])?[^;]*?(?:>=([0-9.]+))?\s*(?:;(.*))?")
_EXTRA = re.compile(r"extra == [\"']([a-z-]+)[\"']")


def software() -> list[Finding]:
    return [_python(), *_packages(), *_full_opencv(), shipped_model()]


def _python() -> Finding:
    version = sys.version_info[:2]
    supported = OLDEST_PYTHON <= version <= NEWEST_PYTHON
    oldest, newest = (".".join(map(str, each)) for each in (OLDEST_PYTHON, NEWEST_PYTHON))
    return Finding(
        "Python",
        "ok" if supported else "warning",
        f"{platform.python_version()} ({sys.executable})",
        "" if supported else f"mm-edge is tested on Python {oldest} to {newest}; create .venv with one of them",
    )


def _packages() -> list[Finding]:
    """mm-edge itself, its base dependencies, and the extras that are completely installed."""
    try:
        version, declared = metadata.version(PACKAGE), metadata.requires(PACKAGE) or []
    except metadata.PackageNotFoundError:
        return [Finding(PACKAGE, "error", "not installed as a package", "Install it: pip install mm-edge")]
    installed: dict[str, dict[str, str]] = {}
    lacking: dict[str, list[str]] = {}
    for text in declared:
        match = _REQUIREMENT.fullmatch(text)
        marker = (match and match[4]) or ""
        if match is None or match[1] == PACKAGE or not _applies(marker):
            continue
        extra = found[1] if (found := _EXTRA.search(marker)) else ""
        got = _version(match[1])
        if got is None:
            lacking.setdefault(extra, []).append(match[1])
        elif _numbers(got) < _numbers(match[3] or "0"):
            lacking.setdefault(extra, []).append(f"{match[1]} ({got} is older than {match[3]})")
        else:
            installed.setdefault(extra, {})[match[1]] = got
    base, short = installed.pop("", {}), lacking.pop("", [])
    listed = ", ".join(f"{package} {got}" for package, got in base.items())
    findings = [Finding(PACKAGE, "ok", version), Finding("packages", "ok", listed, facts=base)]
    if short:
        hint = "Reinstall: pip install --force-reinstall mm-edge"
        findings[1] = Finding("packages", "error", f"missing: {', '.join(short)}", hint, base)
    return [*findings, *_extras(installed, lacking)]


def _extras(installed: dict[str, dict[str, str]], lacking: dict[str, list[str]]) -> list[Finding]:
    whole = sorted(installed.keys() - lacking.keys())
    findings = (
        [Finding("extras", "ok", ", ".join(whole), facts={extra: installed[extra] for extra in whole})] if whole else []
    )
    if lacking:
        incomplete = "; ".join(f"{extra} requires {', '.join(packages)}" for extra, packages in sorted(lacking.items()))
        findings.append(
            Finding("extras", "missing", incomplete, "To install one: pip install 'mm-edge[NAME]'", dict(lacking))
        )
    return findings


def _full_opencv() -> list[Finding]:
    return [
        Finding(
            name,
            "error",
            "installed next to opencv-python-headless; the two conflict",
            f"It aborts without a display: pip uninstall {name}, then reinstall mm-edge",
        )
        for name in FULL_OPENCV
        if _version(name)
    ]


def shipped_model() -> Finding:
    """The default bundle: verifies every byte against the public key shipped with it."""
    name = "shipped model"
    try:
        with Bundle.open(default_bundle(), Trust(keys=(str(default_key()),))) as bundle:
            manifest, signer = bundle.manifest, bundle.signature.key if bundle.signature else ""
    except MmEdgeError as error:
        return Finding(name, "error", f"{error}", "Reinstall: pip install --force-reinstall mm-edge")
    return Finding(name, "ok", f"{manifest.name} version {manifest.version}, verified, signed by {signer}")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers; declared versions are never more precise."""
    return tuple(int(number) for number in re.findall(r"\d+", version.split("+", maxsplit=1)[0])[:3])


def _applies(marker: str) -> bool:
    match = re.search(r"python_version < [\"']3\.(\d+)[\"']", marker)
    return match is None or sys.version_info[1] < int(match[1])

"""Python, mm-edge and the packages it is declared to need."""

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
    good = OLDEST_PYTHON <= version <= NEWEST_PYTHON
    oldest, newest = (".".join(map(str, each)) for each in (OLDEST_PYTHON, NEWEST_PYTHON))
    return Finding(
        "Python",
        "good" if good else "note",
        f"{platform.python_version()} ({sys.executable})",
        "" if good else f"mm-edge is tested on Python {oldest} to {newest}; make the environment with one of them",
    )


def _packages() -> list[Finding]:
    """mm-edge itself, what its base install needs, and which of the optional parts are whole."""
    try:
        version, declared = metadata.version(PACKAGE), metadata.requires(PACKAGE) or []
    except metadata.PackageNotFoundError:
        return [Finding(PACKAGE, "broken", "it is not installed as a package", "Install it: pip install mm-edge")]
    there: dict[str, dict[str, str]] = {}
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
            there.setdefault(extra, {})[match[1]] = got
    base, short = there.pop("", {}), lacking.pop("", [])
    told = ", ".join(f"{package} {got}" for package, got in base.items())
    findings = [Finding(PACKAGE, "good", version), Finding("packages", "good", told, facts=base)]
    if short:
        hint = "Install it again: pip install --force-reinstall mm-edge"
        findings[1] = Finding("packages", "broken", f"lacking: {', '.join(short)}", hint, base)
    return [*findings, *_extras(there, lacking)]


def _extras(there: dict[str, dict[str, str]], lacking: dict[str, list[str]]) -> list[Finding]:
    whole = sorted(there.keys() - lacking.keys())
    findings = (
        [Finding("extras", "good", ", ".join(whole), facts={extra: there[extra] for extra in whole})] if whole else []
    )
    if lacking:
        told = "; ".join(f"{extra} lacks {', '.join(packages)}" for extra, packages in sorted(lacking.items()))
        findings.append(
            Finding("extras", "missing", told, "What is wanted: pip install 'mm-edge[NAME]'", dict(lacking))
        )
    return findings


def _full_opencv() -> list[Finding]:
    return [
        Finding(
            name,
            "broken",
            "the full OpenCV stands beside the headless one",
            f"It aborts without a display: pip uninstall {name}, then install mm-edge again",
        )
        for name in FULL_OPENCV
        if _version(name)
    ]


def shipped_model() -> Finding:
    """The bundle that a run takes by default: every byte of it, against the key that ships beside it."""
    name = "shipped model"
    try:
        with Bundle.open(default_bundle(), Trust(keys=(str(default_key()),))) as bundle:
            manifest, signer = bundle.manifest, bundle.signature.key if bundle.signature else ""
    except MmEdgeError as error:
        return Finding(name, "broken", f"{error}", "Install it again: pip install --force-reinstall mm-edge")
    return Finding(name, "good", f"{manifest.name} version {manifest.version}, whole, signed by {signer}")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers; what is declared is never more exact than that."""
    return tuple(int(number) for number in re.findall(r"\d+", version.split("+", maxsplit=1)[0])[:3])


def _applies(marker: str) -> bool:
    match = re.search(r"python_version < [\"']3\.(\d+)[\"']", marker)
    return match is None or sys.version_info[1] < int(match[1])

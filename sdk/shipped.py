"""Files included in the package: the default bundle, its public key, and the demo take."""

from __future__ import annotations

from pathlib import Path

from .errors import NotImplementedYetError

DATA = Path(__file__).parent / "data"


def default_bundle() -> Path:
    return _existing(DATA / "scout.mmb", "the default bundle", "Specify a bundle: mm-edge run BUNDLE …")


def default_key() -> Path:
    """The public key that signed the default bundle."""
    return _existing(DATA / "scout.pub", "the public key of the default bundle", "Specify a key: --key PUB")


def demo_take() -> Path:
    return _existing(DATA / "demo", "the demo take", "Specify a take: mm-edge run --take FOLDER")


def _existing(path: Path, what: str, hint: str) -> Path:
    if not path.exists():
        raise NotImplementedYetError("it is not part of this installation", action=f"opening {what}", hint=hint)
    return path


def schema_files() -> dict[str, Path]:
    """The JSON Schemas by name."""
    return {file.stem: file for file in sorted((DATA / "schemas").glob("*.json"))}

"""What ships inside the package: the default bundle, its public key, and the demo take."""

from __future__ import annotations

from pathlib import Path

from .errors import NotBuiltYetError

DATA = Path(__file__).parent / "data"


def default_bundle() -> Path:
    return _there(DATA / "scout.mmb", "the bundle that ships with mm-edge", "Give a bundle: mm-edge run BUNDLE …")


def default_key() -> Path:
    """The public key of whoever made the default bundle."""
    return _there(DATA / "scout.pub", "the key of the bundle that ships with mm-edge", "Check against a key of yours")


def demo_take() -> Path:
    return _there(DATA / "demo", "the take that ships with mm-edge", "Give your own: mm-edge run --take FOLDER")


def _there(path: Path, what: str, hint: str) -> Path:
    if not path.exists():
        raise NotBuiltYetError("it is not in this installation", action=f"opening {what}", hint=hint)
    return path

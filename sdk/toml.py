"""Reads TOML that may be hostile: nested too deeply for the parser, or with numbers too long for Python."""

from __future__ import annotations

import sys
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MOST_BYTES = 1 << 20


class TomlError(ValueError):
    """The text is not valid TOML; the message says why."""


def read_toml(text: str) -> dict[str, Any]:
    if len(text) > MOST_BYTES:
        raise TomlError(f"it has {len(text)} characters, the limit is {MOST_BYTES}")
    try:
        tree: dict[str, Any] = tomllib.loads(text)
    except RecursionError:
        raise TomlError("it is nested too deeply") from None
    except ValueError as error:  # of the parser, or of int() for thousands of digits
        raise TomlError(f"{error}" if isinstance(error, tomllib.TOMLDecodeError) else "a number is too long") from None
    return tree

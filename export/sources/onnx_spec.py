"""The spec of an ONNX file: the contents of the file for --spec, reading and writing it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from mm_edge.errors import UsageError
from mm_edge.spec import ImageInput, ModelSpec, Strict
from mm_edge.toml import TomlError, read_toml

if TYPE_CHECKING:
    from pathlib import Path


class FrontEnd(Strict, frozen=True):
    """The preprocessing of a float image input: x / scale, minus mean, divided by std; then its layout."""

    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[Annotated[float, Meta(gt=0)], ...] = (1.0, 1.0, 1.0)
    scale: Annotated[float, Meta(gt=0)] = 255.0
    layout: Literal["nchw", "nhwc"] = "nchw"


class ForeignSpec(Strict, frozen=True):
    """The file of --spec. `rename` maps the graph's names to the spec's, `tokenizers` the bundle's names to files."""

    model: ModelSpec
    rename: dict[str, str] = {}
    front_end: dict[str, FrontEnd] = {}
    tokenizers: dict[str, str] = {}

    def __post_init__(self) -> None:
        images = [spec.name for spec in self.model.inputs if isinstance(spec, ImageInput)]
        if unknown := sorted(set(self.front_end) - set(images)):
            raise ValueError(f"[front_end.{unknown[0]}] is not for an image input; the model has {images}")


def read_spec(path: Path) -> ForeignSpec:
    action = f"reading {path}"
    try:
        return msgspec.convert(read_toml(path.read_text(encoding="utf-8")), ForeignSpec)
    except OSError as error:
        raise UsageError(str(error.strerror), action=action) from None
    except (TomlError, msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(str(error), action=action, hint="docs/exporting.md shows one") from None


def spec_toml(foreign: ForeignSpec) -> str:
    """The spec as the file that --spec reads. Written here, because the standard library cannot write TOML."""
    plain: Any = msgspec.to_builtins(foreign)
    lines: list[str] = []
    _table(plain, "", lines)
    return "\n".join(lines)


def _table(table: dict[str, Any], path: str, lines: list[str]) -> None:
    nested = {
        key: value
        for key, value in table.items()
        if isinstance(value, dict) or (isinstance(value, (list, tuple)) and value and isinstance(value[0], dict))
    }
    for key, value in table.items():
        if key not in nested and value is not None:
            lines.append(f"{_key(key)} = {_value(value)}")
    for key, value in nested.items():
        name = f"{path}.{_key(key)}" if path else _key(key)
        for item in value if isinstance(value, (list, tuple)) else [value]:
            if item:
                lines.append(f"\n[[{name}]]" if isinstance(value, (list, tuple)) else f"\n[{name}]")
                _table(item, name, lines)


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _value(key)


def _value(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)  # strings, numbers and booleans are written alike in TOML and JSON

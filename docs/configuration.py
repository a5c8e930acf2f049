"""Writes docs/configuration.md from the types: python docs/configuration.py > docs/configuration.md."""

from __future__ import annotations

import inspect
import re
import sys
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import inspect as types

from mm_edge.config import RunConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = """# Configuration

<!-- Made by docs/configuration.py from the types; do not edit. -->

`mm-edge run --config FILE.toml` reads one TOML file; `--set a.b=c` puts a single key on top of it, as often as wanted.
A value of `--set` is read as TOML where it is TOML, else as text. A key that is not in this list is refused, with its
path. In code: `mm_edge.config.load_config(RunConfig, file, settings)`.

```toml
[sources.inputs]
image = "/dev/video0"
audio = "default"

[sync.audio]
max_age_ms = 500
missing = "mask"

[loop]
depth = 1
```
"""
BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def document() -> str:
    return HEAD + "\n".join(_section("", RunConfig))


def _section(path: str, record: type[msgspec.Struct]) -> Iterator[str]:
    """A table of the record's own keys, then a section for each record inside it."""
    about = inspect.getdoc(record) or ""
    fields = types.type_info(record).fields  # type: ignore[attr-defined]  # of a Struct there is always one
    yield f"\n## {f'`[{path}]`' if path else 'Top'}\n\n{about}\n"
    inner = {field.name: _record(field.type) for field in fields}
    rows = [field for field in fields if inner[field.name] is None]
    if rows:
        yield "| key | value | default | |\n|---|---|---|---|"
        notes = _notes(record)
        for field in rows:
            key = f"{path}.{field.name}".strip(".")
            yield f"| `{key}` | {_value(field.type)} | {_default(field)} | {notes.get(field.name, '')} |"
    for name, found in inner.items():
        if found is not None:
            kind, keyed = found
            yield from _section(f"{path}.{name}".strip(".") + (".NAME" if keyed else ""), kind)


def _record(kind: Any) -> tuple[type[msgspec.Struct], bool] | None:
    """The record that a key holds, and whether it holds one for each name."""
    if isinstance(kind, types.StructType):
        return kind.cls, False
    if isinstance(kind, types.DictType) and isinstance(kind.value_type, types.StructType):
        return kind.value_type.cls, True
    return None


def _value(kind: Any) -> str:
    if isinstance(kind, types.UnionType):
        return " or ".join(_value(each) for each in kind.types if not isinstance(each, types.NoneType))
    if isinstance(kind, types.LiteralType):
        return ", ".join(f'`"{each}"`' for each in kind.values)
    if isinstance(kind, types.DictType):
        return f"a table of names to {_value(kind.value_type)}"
    if isinstance(kind, types.VarTupleType):
        return f"a list of {_value(kind.item_type)}"
    name = {"int": "a whole number", "float": "a number", "str": "text", "bool": "`true`, `false`"}
    said = name[type(kind).__name__.removesuffix("Type").lower()]
    limits = {word: getattr(kind, each, None) for each, word in BOUNDS.items()}
    bounds = [f"{word} {limit:.10g}" for word, limit in limits.items() if limit is not None]
    return " ".join([said, ", ".join(bounds)]).strip()


def _default(field: Any) -> str:
    if field.default is None:
        return "none"
    default = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    if default in ({}, ()):
        return "empty"
    return f"`{msgspec.json.encode(default).decode()}`"


def _notes(record: type[msgspec.Struct]) -> dict[str, str]:
    """The comments that stand beside the fields in the source."""
    return dict(re.findall(r"^    (\w+): .*?  # (.+)$", inspect.getsource(record), re.MULTILINE))


if __name__ == "__main__":
    sys.stdout.write(document())

"""Writes docs/reference/schemas.md from sdk/data/schemas/*.json: python docs/schemas.py > docs/reference/schemas.md."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parent.parent / "sdk" / "data" / "schemas"
# What writes each document.
WRITTEN_BY = {
    "bench": "`mm-edge bench --json FILE` writes it.",
    "devices": "`mm-edge devices --json` prints it.",
    "doctor": "`mm-edge doctor --json` prints it.",
    "event": "A line of `mm-edge run --jsonl`: a source, a sink or the engine changed its state.",
    "manifest": "`manifest.json` in a bundle; `mm-edge inspect BUNDLE --json` prints it under the key `manifest`.",
    "prediction": "A line of `mm-edge run --jsonl`.",
    "summary": "The last line of `mm-edge run --jsonl`.",
}
HEAD = """# Schemas

<!-- Written by docs/schemas.py from sdk/data/schemas/; do not edit. -->

Every JSON document that mm-edge writes for other programs. A field is removed, or changes its meaning, only together
with the schema number in the document; new fields may appear at any time, so a reader should ignore unknown ones.
"""
SHIPPED = """
The JSON Schemas (draft 2020-12) ship with the package, in `mm_edge/data/schemas/`; `mm-edge schema NAME` prints one:

```python
from importlib.resources import files

for schema in sorted((files("mm_edge") / "data" / "schemas").iterdir(), key=str):
    print(schema)
```
"""


def document() -> str:
    files = sorted(FOLDER.glob("*.json"))
    sections = [line for file in files for line in _section(file)]
    return HEAD + SHIPPED + "".join(f"{line}\n" for line in sections)


def _section(file: Path) -> Iterator[str]:
    schema = json.loads(file.read_text(encoding="utf-8"))
    yield f"\n## {file.stem}\n"
    yield f"{WRITTEN_BY[file.stem]}\n"
    root = _resolve(schema, schema)
    yield from _fields(root, schema)
    for name, definition in schema.get("$defs", {}).items():
        if definition is not root and definition.get("properties"):
            about = _sentence(definition.get("description", ""))
            yield f"\n`{name}`{': ' if about else ''}{about}\n"
            yield from _fields(definition, schema)


def _fields(found: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    yield "| field | type | required | |\n|---|---|---|---|"
    for name, field in found["properties"].items():
        always = "yes" if name in found.get("required", []) else ""
        note = _sentence(field.get("description") or _resolve(field, schema).get("description", ""))
        yield f"| `{name}` | {_kind(field, schema)} | {always} | {_cell(note)} |"


def _resolve(found: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """A definition in the place of a reference to it."""
    while "$ref" in found:
        place: Any = schema
        for step in found["$ref"].removeprefix("#/").split("/"):
            place = place[step]
        found = place
    return found


def _kind(found: dict[str, Any], schema: dict[str, Any]) -> str:
    if "$ref" in found:
        inner = _resolve(found, schema)
        return f"`{inner['title']}`" if "title" in inner else "object"
    if "const" in found or "enum" in found:
        return _cell(", ".join(f"`{json.dumps(value)}`" for value in found.get("enum", [found.get("const")])))
    if kinds := found.get("anyOf") or found.get("oneOf"):
        return " or ".join(dict.fromkeys(_kind(kind, schema) for kind in kinds))
    if found.get("type") == "array":
        return f"array of {_kind(found['items'], schema)}" if found.get("items") else "array"
    if found.get("type") == "object" and isinstance(found.get("additionalProperties"), dict):
        return f"object of {_kind(found['additionalProperties'], schema)}"
    kind = found.get("type", "any")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _sentence(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(document())

"""Writes docs/reference/python.md from the public names: python docs/python_api.py > docs/reference/python.md."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING

import mm_edge

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = """# Python API

<!-- Written by docs/python_api.py from mm_edge.__all__; do not edit. -->

Everything that a program needs is in `mm_edge` itself and in the modules listed here. All other modules are internal
and may change without notice. Names are loaded on first use, so `import mm_edge` is quick.

```python
import mm_edge

print(mm_edge.__version__)
```
"""
# The order of the page; what `mm_edge.__all__` adds follows, and what this version does not have is left out.
FIRST = [
    "open",
    "export",
    "Session",
    "Bundle",
    "RunConfig",
    "Prediction",
    "Event",
    "Source",
    "Sink",
    "Engine",
    "ModelSpec",
]
# A session is made by mm_edge.open, so its constructor is left out.
MADE_BY_OPEN = "\n    options:\n      merge_init_into_class: false"
MODULES = ["errors", "spec", "zoo", "front_ends"]


def document() -> str:
    return HEAD + "".join(f"\n{line}\n" for line in _sections())


def _sections() -> Iterator[str]:
    public = [name for name in mm_edge.__all__ if not name.startswith("_")]
    values = {name: getattr(mm_edge, name) for name in public}
    modules = {name for name, value in values.items() if inspect.ismodule(value)} | {"errors", "spec"}
    errors = {name for name, value in values.items() if inspect.isclass(value) and issubclass(value, BaseException)}
    rest = [name for name in public if name not in {*FIRST, *modules, *errors}]
    yield "## Names"
    for name in [*(name for name in FIRST if name in values and name not in modules), *rest]:
        yield f"::: mm_edge.{name}" + (MADE_BY_OPEN if name == "Session" else "")
    for name in MODULES:
        if name in modules:
            yield f"## mm_edge.{name}"
            yield f"::: mm_edge.{name}\n    options:\n      show_root_heading: false\n      heading_level: 3"


if __name__ == "__main__":
    sys.stdout.write(document())

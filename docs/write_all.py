"""Writes every page and picture that is generated from the code: python docs/write_all.py (make docs)."""

from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).parent
# The script that makes a page, and the page.
PAGES = {
    "configuration.py": "configuration.md",
    "commands.py": "reference/commands.md",
    "schemas.py": "reference/schemas.md",
    "python_api.py": "reference/python.md",
    "decision_index.py": "decisions/index.md",
}


def written() -> dict[Path, str]:
    """What each generated file must contain."""
    pages = {DOCS / page: runpy.run_path(str(DOCS / script))["document"]() for script, page in PAGES.items()}
    return pages | runpy.run_path(str(DOCS / "architecture_pictures.py"))["pictures"]()


if __name__ == "__main__":
    for path, text in written().items():
        path.write_text(text, encoding="utf-8")

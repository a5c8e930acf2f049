"""Writes docs/decisions/index.md from the records' titles: python docs/decision_index.py > docs/decisions/index.md."""

from __future__ import annotations

import re
import sys
from pathlib import Path

FOLDER = Path(__file__).parent / "decisions"
HEAD = """# Decisions

<!-- Written by docs/decision_index.py from the titles; do not edit. -->

One page for each choice that could reasonably have been made otherwise: context, decision, consequences.
[The first record](0001-decision-records.md) describes the form.

| number | decision |
|---|---|
"""


def document() -> str:
    rows = []
    for path in sorted(FOLDER.glob("[0-9]*.md")):
        title = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        found = re.fullmatch(r"0*(\d+)\.? (.+)", title)
        if found is None:
            raise SystemExit(f"{path.name}: expected a title like '# 12. A sentence', found '{title}'")
        rows.append(f"| {found[1]} | [{found[2]}]({path.name}) |\n")
    return HEAD + "".join(rows)


if __name__ == "__main__":
    sys.stdout.write(document())

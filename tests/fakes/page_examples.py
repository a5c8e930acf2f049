"""The Python examples of a document, run as a reader runs them."""

import ast
import re
import subprocess
import sys
from pathlib import Path

BLOCK = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run_examples(text: str, folder: Path) -> None:
    """In the order of the page, each in a process of its own; one with `title="NAME.py"` by the next that imports it.

    Where an example opens `robot.mmb`, the reader's own bundle, the names that it takes from us must exist.
    """
    examples = [(info, code) for language, info, code in BLOCK.findall(text) if language == "python"]
    for place, (info, code) in enumerate(examples, start=1):
        if name := re.search(r'title="(\S+)\.py"', info):
            (folder / f"{name[1]}.py").write_text(code)
            if any(name[1] in _modules_imported(later) for _, later in examples[place:]):
                continue
        program = "\n".join(_names_taken(code)) if "robot.mmb" in code else code
        command = [sys.executable, "-W", "error::UserWarning", "-c", program]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, timeout=100)
        assert done.returncode == 0, f"{code}\n{done.stderr}"


def _modules_imported(code):
    for statement in ast.parse(code).body:
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            yield statement.module


def _names_taken(code):
    """The imports of an example, and each `mm_edge.name` in it, as a program of its own."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield ast.unparse(node)
    yield from ("import mm_edge", *re.findall(r"\bmm_edge\.\w+", code))

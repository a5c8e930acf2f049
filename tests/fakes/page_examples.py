"""The Python examples of a document, run as a reader runs them."""

import ast
import re
import subprocess
import sys
from pathlib import Path

BLOCK = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run_examples(text: str, folder: Path) -> None:
    """In the order of the page, each in a process of its own. The next ones may import a block with `title="NAME.py"`.

    Where an example opens `robot.mmb`, the reader's own bundle, the names that it takes from us must exist.
    """
    for language, info, code in BLOCK.findall(text):
        if language != "python":
            continue
        if name := re.search(r'title="(\S+)"', info):
            (folder / name[1]).write_text(code)
        program = "\n".join(_names_taken(code)) if "robot.mmb" in code else code
        command = [sys.executable, "-W", "error::UserWarning", "-c", program]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, timeout=100)
        assert done.returncode == 0, f"{code}\n{done.stderr}"


def _names_taken(code):
    """The imports of an example, and each `mm_edge.name` in it, as a program of its own."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield ast.unparse(node)
    yield from ("import mm_edge", *re.findall(r"\bmm_edge\.\w+", code))

"""Reads which module imports which, from the files of a checkout; nothing is imported."""

from __future__ import annotations

import ast
from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

FOLDERS = {
    "sdk": "mm_edge",
    "export": "mm_edge.export",
    "runtime": "mm_edge.runtime",
    "benchmarks": "mm_edge.benchmarks",
    "jetson": "mm_edge.jetson",
}


class Checkout:
    """The Python files of the five folders under `root`, by module."""

    def __init__(self, root: Path) -> None:
        self.root = root
        paths = sorted(path for folder in FOLDERS for path in (root / folder).rglob("*.py"))
        self.files = {self.module_of(path): path for path in paths}

    def module_of(self, path: Path) -> str:
        folder, *inner = path.relative_to(self.root).with_suffix("").parts
        return ".".join([FOLDERS[folder], *inner]).removesuffix(".__init__")

    def imports_of(self, module: str, *, at_head: bool = False):
        """Every name that a file imports, with its line; at_head: only what runs when the file is imported."""
        path = self.files[module]
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        for node in _nodes(ast.parse(path.read_text()), at_head=at_head):
            if isinstance(node, ast.Import):
                yield from ((alias.name, node.lineno) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
                base = ".".join([*above, *([node.module] if node.module else [])])
                for alias in node.names:
                    whole = f"{base}.{alias.name}"
                    yield (whole if whole in self.files else base), node.lineno

    @cached_property
    def arrows(self) -> dict[str, set[str]]:
        """By module, the modules of ours that it imports."""
        return {
            module: {name for name, _ in self.imports_of(module) if name in self.files} - {module}
            for module in self.files
        }


def children(arrows: dict[str, set[str]], package: str) -> dict[str, set[str]]:
    """The arrows between what lies directly in a package: its files, and its rooms each taken as one."""
    inside = f"{package}."
    found: dict[str, set[str]] = defaultdict(set)
    for module, named in arrows.items():
        if module.startswith(inside):
            here = module.removeprefix(inside).split(".")[0]
            there = {name.removeprefix(inside).split(".")[0] for name in named if name.startswith(inside)}
            found[here] |= there - {here}
    return dict(found)


def circle(arrows: dict[str, set[str]]) -> list[str]:
    """One circle, if there is any: the names along it, the first one again at the end."""
    done: set[str] = set()

    def walk(name: str, trail: list[str]) -> list[str]:
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name in done:
            return []
        for other in sorted(arrows.get(name, ())):
            if found := walk(other, [*trail, name]):
                return found
        done.add(name)
        return []

    for name in sorted(arrows):
        if found := walk(name, []):
            return found
    return []


def _nodes(tree: ast.AST, *, at_head: bool):
    for node in ast.iter_child_nodes(tree):
        is_checking = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if at_head and (is_checking or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)):
            continue
        yield node
        yield from _nodes(node, at_head=at_head)

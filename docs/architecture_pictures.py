"""Draws docs/images/{folders,rooms-*}.svg from the real imports: python docs/architecture_pictures.py."""

from __future__ import annotations

import ast
import itertools
from pathlib import Path

ROOT = Path(__file__).parent.parent
IMAGES = Path(__file__).parent / "images"
FOLDERS = {
    "export": "mm_edge.export",
    "runtime": "mm_edge.runtime",
    "benchmarks": "mm_edge.benchmarks",
    "sdk": "mm_edge",
}
GROUND = "ground"
# Colours that are readable on a white page and on a dark one: white on indigo, and a grey between the two.
BOX, GROUND_BOX, LINE, CIRCLE = "#3f51b5", "#546e7a", "#8a8f98", "#d32f2f"
WIDTH, BOX_HEIGHT, ROW, CHARACTER, GAP, MARGIN = 720, 36, 84, 8.6, 28, 16


def imports(file: Path, package: str) -> set[str]:
    """Full names of the modules that a file of `package` imports."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return found


def rooms(folder: str) -> tuple[dict[str, set[str]], list[str]]:
    """What each room of a folder imports, and the files of its ground: those at the top that import no room."""
    top = ROOT / folder
    inner = {path.parent.name for path in top.glob("*/__init__.py")}
    files = {path.stem for path in top.glob("*.py") if path.stem != "__init__"}
    others = {FOLDERS[each].rpartition(".")[2] for each in FOLDERS} if folder == "sdk" else set()
    uses: dict[str, set[str]] = {}
    for path in sorted(top.rglob("*.py")):
        parts = path.relative_to(top).parts
        if parts == ("__init__.py",):
            continue
        package = ".".join([FOLDERS[folder], *parts[:-1]])
        names = [
            name.removeprefix(FOLDERS[folder] + ".").split(".")[0]
            for name in imports(path, package)
            if name.startswith(FOLDERS[folder] + ".")
        ]
        uses.setdefault(parts[0].removesuffix(".py"), set()).update(set(names) & (inner | files) - others)
    ground = sorted(file for file in files if not uses[file] & inner)
    found = {
        room: {GROUND if name in ground else name for name in names} - {room}
        for room, names in uses.items()
        if room not in ground
    }
    return (found | {GROUND: set()} if ground else found), ground


def layers(uses: dict[str, set[str]]) -> dict[str, int]:
    """The row of each room: one below the lowest of those that import it."""

    def row(room: str, path: tuple[str, ...]) -> int:
        above = [other for other in uses if room in uses[other] and other not in path and other != room]
        return 1 + max((row(other, (*path, room)) for other in above), default=-1)

    found = {room: row(room, ()) for room in uses}
    if GROUND in found:
        found[GROUND] = max(found.values()) + (
            list(found.values()).count(max(found.values())) > 1 or found[GROUND] != max(found.values())
        )
    return found


def arrows(uses: dict[str, set[str]]) -> list[tuple[str, str]]:
    """Every import between rooms, but for those that follow from two others."""

    def reached(room: str, seen: frozenset[str] = frozenset()) -> set[str]:
        return {room}.union(*(reached(other, seen | {room}) for other in uses[room] if other not in seen | {room}))

    return [
        (room, other)
        for room, names in uses.items()
        for other in sorted(names)
        if not any(
            other in reached(between, frozenset({room})) for between in names - {other} if room not in reached(between)
        )
    ]


def drawing(title: str, uses: dict[str, set[str]], ground: list[str]) -> str:
    row = layers(uses)
    places: dict[str, tuple[float, float, float]] = {}  # the middle of a box, its top, half of its width
    for level, found in itertools.groupby(sorted(row, key=lambda room: (row[room], room)), key=row.__getitem__):
        names = list(found)
        widths = [len(name) * CHARACTER + 28 if name != GROUND else WIDTH - 2 * MARGIN for name in names]
        x = (WIDTH - sum(widths) - GAP * (len(names) - 1)) / 2
        for name, width in zip(names, widths, strict=True):
            places[name] = (x + width / 2, MARGIN + level * ROW, width / 2)
            x += width + GAP
    lines = [_arrow(places, upper, lower) for upper, lower in arrows(uses)]
    boxes = [_box(name, *place) for name, place in places.items() if name != GROUND]
    height = MARGIN * 2 + BOX_HEIGHT + max(row.values()) * ROW
    if ground:
        text = _lines(ground)
        height += 18 * len(text)
        boxes.append(_ground(text, places[GROUND][1]))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'font-family="system-ui, sans-serif" font-size="14" role="img">\n<title>{title}</title>\n'
        f'<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        f'<path d="M0 0 8 4 0 8z" fill="{LINE}"/></marker></defs>\n' + "\n".join([*lines, *boxes]) + "\n</svg>\n"
    )


def folders() -> tuple[dict[str, set[str]], list[str]]:
    """The five folders; the command line, the zoo and the front ends are apart from the rest of sdk/, the ground."""
    homes = {package: folder for folder, package in FOLDERS.items() if folder != "sdk"} | {"mm_edge.jetson": "jetson"}
    homes |= {"mm_edge.zoo": "zoo", "mm_edge.front_ends": "front_ends", "mm_edge.cli": "cli", "mm_edge": GROUND}
    uses: dict[str, set[str]] = {home: set() for home in homes.values()}
    for path in sorted(path for folder in [*FOLDERS, "jetson"] for path in (ROOT / folder).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        module = ".".join(("mm_edge", *parts[1:]) if parts[0] == "sdk" else ("mm_edge", *parts))
        if module == "mm_edge.__init__":
            continue  # it names everyone, on first use
        found = imports(path, module.rpartition(".")[0])
        names = {_home(name, homes) for name in found if name == "mm_edge" or name.startswith("mm_edge.")}
        uses[_home(module, homes)] |= names
    return {home: names - {home} for home, names in uses.items()}, [
        "sdk/: bundle, config, doctor, errors, sample, spec"
    ]


def _home(module: str, homes: dict[str, str]) -> str:
    while module not in homes:
        module = module.rpartition(".")[0]
    return homes[module]


def _arrow(places: dict[str, tuple[float, float, float]], upper: str, lower: str) -> str:
    (x1, y1, _), (x2, y2, half) = places[upper], places[lower]
    if lower == GROUND:
        x2 = min(max(x1, x2 - half + 20), x2 + half - 20)
    start, end = (y1 + BOX_HEIGHT, y2 - 3) if y2 > y1 else (y1, y2 + BOX_HEIGHT)
    color = LINE if y2 > y1 else CIRCLE
    bend = (end - start) / 2
    path = f"M{x1:.0f} {start:.0f}C{x1:.0f} {start + bend:.0f} {x2:.0f} {end - bend:.0f} {x2:.0f} {end:.0f}"
    return f'<path d="{path}" fill="none" stroke="{color}" stroke-width="1.5" marker-end="url(#tip)"/>'


def _box(name: str, x: float, y: float, half: float) -> str:
    suffix = ".py" if any((ROOT / folder / f"{name}.py").exists() for folder in FOLDERS) else "/"
    return (
        f'<rect x="{x - half:.0f}" y="{y}" width="{2 * half:.0f}" height="{BOX_HEIGHT}" rx="6" fill="{BOX}"/>'
        f'<text x="{x:.0f}" y="{y + 23}" text-anchor="middle" fill="#fff">{name}{suffix}</text>'
    )


def _ground(text: list[str], y: float) -> str:
    height = BOX_HEIGHT + 18 * len(text) - 8
    said = "".join(
        f'<text x="{WIDTH / 2:.0f}" y="{y + 40 + 18 * place}" text-anchor="middle" fill="#fff">{line}</text>'
        for place, line in enumerate(text)
    )
    return (
        f'<rect x="{MARGIN}" y="{y}" width="{WIDTH - 2 * MARGIN}" height="{height}" rx="6" fill="{GROUND_BOX}"/>'
        f'<text x="{WIDTH / 2:.0f}" y="{y + 21}" text-anchor="middle" fill="#fff" font-weight="600">'
        f"at the bottom, for all to use</text>{said}"
    )


def _lines(names: list[str], longest: int = 84) -> list[str]:
    lines = [""]
    for name in names:
        if len(lines[-1]) + len(name) > longest:
            lines.append("")
        lines[-1] = f"{lines[-1]}  {name}".strip()
    return lines


def pictures() -> dict[Path, str]:
    found = {
        f"rooms-{folder}": drawing(f"The rooms of {folder}/ and their imports", *rooms(folder)) for folder in FOLDERS
    }
    found["folders"] = drawing("The five folders and their imports", *folders())
    return {IMAGES / f"{name}.svg": picture for name, picture in found.items()}


if __name__ == "__main__":
    for path, picture in pictures().items():
        path.write_text(picture, encoding="utf-8")

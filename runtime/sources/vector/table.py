"""Sensor vectors from a file: CSV with t_ms and one column per value, or JSON lines {"t_ms": 0, "values": [...]}."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from mm_edge.errors import InputError
from mm_edge.runtime.clock import ms_to_ns
from mm_edge.runtime.sources.request import read_lines
from mm_edge.spec import Milliseconds, Strict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray


MOST_MS = 86_400_000


class Line(Strict, frozen=True):
    """A vector and its time."""

    t_ms: Milliseconds
    values: list[float]


def read_table(path: Path, size: int) -> list[tuple[int, NDArray[np.float32]]]:
    """Media time in nanoseconds and `size` values."""
    table: list[tuple[int, NDArray[np.float32]]] = []
    rows = _csv_rows(path) if path.suffix.lower() == ".csv" else _json_rows(path)
    for number, t_ms, values in rows:
        where = f"reading line {number} of {path}"
        if len(values) != size:
            raise InputError(f"the line has {len(values)} values", action=where, hint=f"The input expects {size}")
        media_ns = ms_to_ns(t_ms)
        if table and media_ns <= table[-1][0]:
            raise InputError(f"t_ms {t_ms:g} is not later than in the previous line", action=where, hint="Sort by t_ms")
        table.append((media_ns, np.array(values, np.float32)))
    return table


def _csv_rows(path: Path) -> Iterator[tuple[int, float, list[float]]]:
    lines = csv.reader(line.decode("utf-8", "replace") for line in read_lines(path))
    columns = [column.strip() for column in next(lines, [])]
    if "t_ms" not in columns:
        found = f"no column t_ms in {columns}"
        raise InputError(found, action=f"reading {path}", hint="The first line names the columns, for example t_ms,x,y")
    at = columns.index("t_ms")
    for row in filter(None, lines):
        try:
            numbers = [float(cell) for cell in row]
            t_ms = numbers.pop(at)
        except (ValueError, IndexError):
            raise InputError(f"not all numbers: {row}", action=f"reading line {lines.line_num} of {path}") from None
        if not 0 <= t_ms <= MOST_MS:
            raise InputError(
                f"t_ms must be between 0 and {MOST_MS:,}, found {t_ms}",
                action=f"reading line {lines.line_num} of {path}",
            )
        yield lines.line_num, t_ms, numbers


def _json_rows(path: Path) -> Iterator[tuple[int, float, list[float]]]:
    for number, raw in enumerate(read_lines(path), start=1):
        if raw.strip():
            try:
                line = msgspec.json.decode(raw, type=Line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                hint = 'Example of a line: {"t_ms": 0, "values": [0.1, 0.2]}'
                raise InputError(str(error), action=f"reading line {number} of {path}", hint=hint) from None
            yield number, line.t_ms, line.values

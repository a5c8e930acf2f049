"""The options of an export, as data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from mm_edge.bundle.manifest import Precision  # noqa: TC001  # msgspec reads it at run time
from mm_edge.errors import UsageError
from mm_edge.spec import Strict

if TYPE_CHECKING:
    from collections.abc import Sequence

Method: TypeAlias = Literal["minmax", "percentile", "entropy"]

# What a user may request, and the artefacts it stands for.
PRECISIONS: dict[str, tuple[Precision, ...]] = {
    "fp32": ("fp32",),
    "fp16": ("fp16",),
    "int8": ("int8-cpu", "int8-trt"),
    "int8-cpu": ("int8-cpu",),
    "int8-trt": ("int8-trt",),
}


class Recipe(Strict, frozen=True):
    """How a bundle is made. `precisions` empty: chosen by measurement (`auto`)."""

    precisions: tuple[Precision, ...] = ()
    split: Literal["auto", "always", "never"] = "auto"
    calibrate: str | None = None
    method: Method = "minmax"
    samples: Annotated[int, Meta(ge=2, le=4096)] = 32  # to calibrate on
    unseen: Annotated[int, Meta(ge=1, le=1024)] = 8  # to verify on, never calibrated on
    golden: Annotated[int, Meta(ge=1, le=16)] = 2
    tolerance: Annotated[float, Meta(gt=0, lt=1)] | None = None  # replaces the one of every reduced precision
    agreement: Annotated[float, Meta(ge=0, le=1)] = 0.98  # the least share of decoded outputs that stay the same
    search_seconds: Annotated[float, Meta(gt=0)] = 60  # for each search of what must stay fp32
    targets: tuple[str, ...] = ()
    sign: str | None = None
    seed: int = 0
    threads: Annotated[int, Meta(ge=1, le=256)] = 1
    version: Annotated[int, Meta(ge=1)] = 1
    trust_remote_code: bool = False
    spec: str | None = None  # a TOML file with the ModelSpec of a foreign graph
    keep_fp32: tuple[str, ...] = ()  # nodes, by name, that no precision touches


def make_recipe(*, precision: str | Sequence[str] = "auto", **options: Any) -> Recipe:
    """A recipe from options as a user writes them; raises a UsageError where one has no valid value."""
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
    try:
        return msgspec.convert({"precisions": _precisions(precision), **plain}, Recipe)
    except msgspec.ValidationError as error:
        raise UsageError(f"{error}", action="reading the options of the export", hint="mm-edge export --help") from None


def _precisions(requested: str | Sequence[str]) -> tuple[Precision, ...]:
    """`auto` is the empty tuple: every precision is tried, and measurement chooses."""
    if requested == "auto":
        return ()
    names = [name.strip() for name in requested.split(",")] if isinstance(requested, str) else requested
    if unknown := [name for name in names if name not in PRECISIONS]:
        raise UsageError(
            f"'{unknown[0]}' is not a precision",
            action="reading --precision",
            hint=f"Use auto, or a list of {', '.join(PRECISIONS)}",
        )
    return tuple(dict.fromkeys(precision for name in names for precision in PRECISIONS[name]))

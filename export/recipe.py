"""The options of an export, as data."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from mm_edge.bundle.manifest import Precision  # noqa: TC001  # msgspec reads it at run time
from mm_edge.spec import Strict

Method: TypeAlias = Literal["minmax", "percentile", "entropy"]


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

"""One way to run a bundle on a CPU: engine, precision, threads of a part, and moments in flight."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from mm_edge.config import EngineConfig

DEFAULT_DEPTH = 2  # one moment is prepared and encoded while the one before it is fused and decoded


class Choice(Struct, frozen=True):
    """`threads` 0: one for each part, with as many concurrent parts as cores."""

    engine: str
    precision: Literal["auto", "fp32", "fp16", "int8"] = "auto"
    options: dict[str, str | int | float | bool] = {}
    threads: int = 0
    depth: int = DEFAULT_DEPTH

    @property
    def config(self) -> EngineConfig:
        return EngineConfig(self.engine, self.precision, self.threads, dict(self.options))

    def __str__(self) -> str:
        """As on the command line."""
        words = [f"--engine {self.engine}"]
        if self.precision != "auto":
            words.append(f"--precision {self.precision}")
        settings: dict[str, Any] = {f"engine.options.{key}": value for key, value in self.options.items()}
        if self.threads:
            settings["engine.threads"] = self.threads
        if self.depth != DEFAULT_DEPTH:
            settings["loop.depth"] = self.depth
        return " ".join([*words, *(f"--set {key}={value}" for key, value in settings.items())])


def is_open(config: EngineConfig) -> bool:
    """Nothing about the engine was requested, so that it may be chosen."""
    return config.name == "auto" and config.precision == "auto" and not config.threads and not config.options

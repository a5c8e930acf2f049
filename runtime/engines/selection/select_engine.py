"""Settles which engine runs a bundle here and in which precision each part: by what loads, builds, and passes the
golden check.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from msgspec.structs import replace

from mm_edge.cores import usable_cores
from mm_edge.errors import UnavailableError, WorkFailedError
from mm_edge.runtime.engines.available import ON_A_GPU, why_not
from mm_edge.runtime.engines.building import Watch
from mm_edge.runtime.engines.golden import CHAIN, measure_golden

from .choose import choose_precisions, load_each, open_engine, share_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mm_edge.bundle.bundle import Bundle
    from mm_edge.bundle.manifest import Part, Precision
    from mm_edge.config import EngineConfig
    from mm_edge.runtime.engine import Engine, Executable
    from mm_edge.runtime.engines.golden import Shown

log = logging.getLogger(__name__)
# What takes the place of a precision that does not build or does not pass, on the device where that shows.
_DOWN: dict[Precision, tuple[Precision, ...]] = {
    "int8-trt": ("fp16", "fp32"),
    "int8-cpu": ("fp32",),
    "fp16": ("fp32",),
    "fp32": (),
}


class Settled(Struct):
    """An engine with every part loaded and checked. `passed_over`: what `auto` did not take, with the reasons;
    `tried`: of these what should have run; `fell`: what runs in another precision than was chosen, with the reasons.
    """

    engine: Engine
    executables: dict[str, Executable]
    golden: list[Shown] = field(default_factory=list)
    passed_over: dict[str, str] = field(default_factory=dict)
    tried: dict[str, str] = field(default_factory=dict)
    fell: list[str] = field(default_factory=list)

    @property
    def precisions(self) -> dict[str, Precision]:
        return {name: executable.precision for name, executable in self.executables.items()}

    def describe(self) -> dict[str, Any]:
        """What really runs, for the summary and the log; the last two only where there is something to tell."""
        told = {**self.engine.describe(), "precision": self.precisions}
        if self.passed_over:
            told["passed_over"] = self.passed_over
        if self.fell:
            told["fell"] = self.fell
        return told

    def not_taken(self) -> list[str]:
        """What `auto` passed over, one line a reason."""
        by_reason: dict[str, list[str]] = {}
        for name, why in self.passed_over.items():
            by_reason.setdefault(why, []).append(name)
        return [f"{', '.join(names)}: {why}" for why, names in by_reason.items()]

    def close(self) -> None:
        """All of it, whatever one of them raises."""
        with ExitStack() as stack:
            stack.callback(self.engine.close)  # the first one comes last
            for executable in self.executables.values():
                stack.callback(executable.close)


class Use(Struct, frozen=True):
    """What becomes of it. `beside` is called while parts load, perhaps more than once: what needs the interpreter fits
    there. `fit` takes what passed into use; what it finds missing, the engine lacks.
    """

    beside: Callable[[], object] = lambda: None
    fit: Callable[[Settled], None] = lambda _: None


class Failed(Struct, frozen=True):
    """Parts that must not run as they are, with the reasons. `together`: each is good alone, and the chain is not."""

    why: dict[str, str] = field(default_factory=dict)
    together: bool = False


def settle(
    bundle: Bundle,
    config: EngineConfig,
    *,
    depth: int,
    engine: Engine | None = None,
    watch: Watch | None = None,
    use: Use | None = None,
) -> Settled:
    """`engine`: one that is open already.
    An engine that was asked for by name is taken or refused; `auto` goes on to the next. Raises an EngineError (exit
    code 3) where it does not load, a WorkFailedError (1) where none passes.
    """
    watch, use = watch or Watch(), use or Use()
    try:
        if engine is not None:
            return _settle_on(engine, bundle, config, depth, use)
        if config.name != "auto":
            settled = _settle_on(open_engine(config, watch, bundle.read), bundle, config, depth, use)
        else:
            settled = _settle_by_trying(bundle, config, depth, watch, use)
    except KeyboardInterrupt:
        watch.stopped.set()
        raise
    if settled.engine.family == "gpu" or settled.tried:
        from .remembered import Remembered, remember  # what nobody needs who runs on the CPU, as most do

        precisions: dict[str, str] = {**settled.precisions}
        remember(Remembered(bundle.manifest.name, settled.engine.name, precisions, settled.fell, settled.tried))
    return settled


def _settle_by_trying(bundle: Bundle, config: EngineConfig, depth: int, watch: Watch, use: Use) -> Settled:
    passed_over: dict[str, str] = {}
    tried: dict[str, str] = {}
    for name in ON_A_GPU:
        passed_over[name] = why_not(name)
        if passed_over[name]:
            log.debug("auto passes over %s: %s", name, passed_over[name])
            continue
        try:
            # Options belong to an engine that was named, and `auto` names the one on the CPU.
            named = replace(config, name=name, options={})
            settled = _settle_on(open_engine(named, watch, bundle.read), bundle, config, depth, use)
        except (UnavailableError, WorkFailedError) as error:
            # It should have run, so this is worth a line even where something else runs instead.
            passed_over[name] = tried[name] = str(error)
            log.warning("auto passes over %s: %s", name, tried[name])  # the error itself would hold the whole engine
        else:
            del passed_over[name]
            break
    else:
        named = replace(config, name="onnxruntime")
        settled = _settle_on(open_engine(named, watch, bundle.read), bundle, config, depth, use)
    settled.passed_over, settled.tried = passed_over, tried
    return settled


def _settle_on(engine: Engine, bundle: Bundle, config: EngineConfig, depth: int, use: Use) -> Settled:
    """Goes down in precision, part by part, until all of it is good."""
    manifest = bundle.manifest
    precisions = choose_precisions(manifest, engine.family, config.precision)
    threads = share_threads(manifest, usable_cores(), depth, config.threads)
    settled = Settled(engine, {})
    try:
        while True:
            missing = [part for part in manifest.parts if part.name not in settled.executables]
            failed = _load(settled, bundle, missing, precisions, threads, beside=use.beside)
            if not failed.why and engine.golden_tolerance is not None:
                settled.golden = measure_golden(bundle, engine, settled.executables, engine.golden_tolerance)
                failed = _that_failed(settled.golden)
            if not failed.why:
                use.fit(settled)
                return settled
            _go_down(settled, bundle, precisions, failed)
    except BaseException:
        settled.close()
        raise


def _load(
    settled: Settled,
    bundle: Bundle,
    parts: list[Part],
    precisions: Mapping[str, Precision],
    threads: Mapping[str, int],
    *,
    beside: Callable[[], object],
) -> Failed:
    """Loads what is missing; gives the parts that the engine would not build."""
    refused: dict[str, str] = {}
    errors = []
    for name, made in load_each(bundle, settled.engine, parts, precisions, threads, beside=beside).items():
        if not isinstance(made, Exception):
            settled.executables[name] = made
        elif isinstance(made, WorkFailedError):
            refused[name] = str(made)
        else:
            errors.append(made)
    if errors:
        raise errors[0]
    return Failed(refused)


def _that_failed(golden: list[Shown]) -> Failed:
    alone = {row.part: str(row) for row in golden if not row.passed and row.part != CHAIN}
    chain = [str(row) for row in golden if not row.passed and row.part == CHAIN]
    if alone or not chain:
        return Failed(alone)
    return Failed(dict.fromkeys((row.part for row in golden if row.part != CHAIN), chain[0]), together=True)


def _go_down(settled: Settled, bundle: Bundle, precisions: dict[str, Precision], failed: Failed) -> None:
    """The next precision for what failed, or a WorkFailedError where there is none."""
    lower: dict[str, Precision] = {}
    for name in failed.why:
        there = bundle.manifest.part(name).artefacts
        below = [precision for precision in _DOWN[precisions[name]] if precision in there]
        if below:
            lower[name] = below[0]
    stuck = [name for name in failed.why if name not in lower]
    if not lower or (stuck and not failed.together):
        raise WorkFailedError(
            failed.why[stuck[0]],
            action=f"running '{bundle.manifest.name}' on {settled.engine.name}",
            hint="Run it with --engine onnxruntime",
        )
    for name, precision in lower.items():
        told = f"{name} runs in {precision} instead of {precisions[name]}: {failed.why[name]}"
        log.warning("%s", told)
        settled.fell.append(told)
        precisions[name] = precision
        if executable := settled.executables.pop(name, None):
            executable.close()

"""Selects the engine that runs a bundle here, and the precision of each part: what loads, builds and passes the golden
check.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from msgspec.structs import replace

from mm_edge.cores import usable_cores
from mm_edge.errors import ConfigError, UnavailableError, WorkFailedError
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
    from mm_edge.runtime.engines.golden import GoldenResult

    from .tuned import Tuned

log = logging.getLogger(__name__)
# What replaces a precision that does not build or does not pass the golden check.
_DOWN: dict[Precision, tuple[Precision, ...]] = {
    "int8-trt": ("fp16", "fp32"),
    "int8-cpu": ("fp32",),
    "fp16": ("fp32",),
    "fp32": (),
}


class SelectedEngine(Struct):
    """An engine with every part loaded and verified. `skipped_engines`: what `auto` did not use, with the reasons;
    `failed_engines`: those of them that should have run here; `fallbacks`: every deviation from the chosen precisions
    and depth, with its reason.
    """

    engine: Engine
    executables: dict[str, Executable]
    golden: list[GoldenResult] = field(default_factory=list)
    skipped_engines: dict[str, str] = field(default_factory=dict)
    failed_engines: dict[str, str] = field(default_factory=dict)
    fallbacks: list[str] = field(default_factory=list)
    tuned: Tuned | None = None  # what was measured here before, if it runs

    @property
    def precisions(self) -> dict[str, Precision]:
        return {name: executable.precision for name, executable in self.executables.items()}

    def describe(self) -> dict[str, Any]:
        """What really runs, for the summary and the log; skipped engines and fallbacks only if there are any."""
        facts = {**self.engine.describe(), "precision": self.precisions}
        if self.skipped_engines:
            facts["skipped_engines"] = self.skipped_engines
        if self.fallbacks:
            facts["fallbacks"] = self.fallbacks
        if self.tuned is not None:
            facts["tuned"] = {"choice": str(self.tuned.choice), "gain": self.tuned.gain, "by": self.tuned.origin}
        return facts

    def skipped_by_reason(self) -> list[str]:
        """What `auto` skipped, one line per reason."""
        by_reason: dict[str, list[str]] = {}
        for name, why in self.skipped_engines.items():
            by_reason.setdefault(why, []).append(name)
        return [f"{', '.join(names)}: {why}" for why, names in by_reason.items()]

    def close(self) -> None:
        """Closes everything, even if one of them raises."""
        with ExitStack() as stack:
            stack.callback(self.engine.close)  # registered first, so closed last
            for executable in self.executables.values():
                stack.callback(executable.close)


class Use(Struct, frozen=True):
    """What the caller does with the engine. `beside` is called while parts load, perhaps more than once: for work in
    Python that can overlap with it. `fit` puts the verified engine to use; if it raises, the engine does not qualify.
    """

    beside: Callable[[], object] = lambda: None
    fit: Callable[[SelectedEngine], None] = lambda _: None


class Failed(Struct, frozen=True):
    """Parts that must not run in their precision, with the reasons. `together`: each passes alone, the chain does
    not.
    """

    why: dict[str, str] = field(default_factory=dict)
    together: bool = False


def select_engine(
    bundle: Bundle,
    config: EngineConfig,
    *,
    depth: int,
    engine: Engine | None = None,
    watch: Watch | None = None,
    use: Use | None = None,
    tuned: Tuned | None = None,
) -> SelectedEngine:
    """`engine`: one that is already open. `tuned`: the choice that `auto` uses where no GPU runs.
    An engine requested by name is used or refused; `auto` continues with the next one. Raises an EngineError (exit code
    3) if it does not load, a WorkFailedError (1) if no precision passes.
    """
    if config.name == "auto" and config.options:
        raise ConfigError(
            f"options are for one engine, and none is named: {', '.join(sorted(config.options))}",
            action="reading engine.options",
            hint="Name the engine: --engine NAME",
        )
    watch, use = watch or Watch(), use or Use()
    try:
        if engine is not None:
            return _select_on(engine, bundle, config, depth, use)
        if config.name != "auto":
            selected = _select_on(open_engine(config, watch, _trusted_read(bundle)), bundle, config, depth, use)
        else:
            selected = _select_first_that_runs(bundle, config, depth, watch, use, tuned)
    except KeyboardInterrupt:
        watch.stopped.set()
        raise
    if selected.engine.family == "gpu" or selected.failed_engines:
        from .remembered import Remembered, remember  # not loaded on the CPU, where it is not needed

        precisions: dict[str, str] = {**selected.precisions}
        remember(
            Remembered(
                bundle.manifest.name, selected.engine.name, precisions, selected.fallbacks, selected.failed_engines
            )
        )
    return selected


def _trusted_read(bundle: Bundle) -> Callable[[str], bytes] | None:
    """For engines in the bundle, which are code: only a bundle with a checked signature may bring any."""
    return bundle.read if bundle.trusted else None


def _select_first_that_runs(  # noqa: PLR0917
    bundle: Bundle, config: EngineConfig, depth: int, watch: Watch, use: Use, tuned: Tuned | None
) -> SelectedEngine:
    skipped_engines: dict[str, str] = {}
    failed_engines: dict[str, str] = {}
    for name in ON_A_GPU:
        skipped_engines[name] = why_not(name)
        if skipped_engines[name]:
            log.debug("auto skips %s: %s", name, skipped_engines[name])
            continue
        try:
            # Options belong to a named engine; under `auto` that is the one on the CPU.
            named = replace(config, name=name, options={})
            selected = _select_on(open_engine(named, watch, _trusted_read(bundle)), bundle, config, depth, use)
        except (UnavailableError, WorkFailedError) as error:
            # It should have run, so this is logged even if another engine runs instead.
            skipped_engines[name] = failed_engines[name] = str(error)
            log.warning(
                "auto skips %s: %s", name, failed_engines[name]
            )  # the error itself would keep the whole engine alive
        else:
            del skipped_engines[name]
            break
    else:
        selected = _select_on_the_cpu(bundle, config, depth, use, tuned, skipped_engines)
    selected.skipped_engines, selected.failed_engines = skipped_engines, failed_engines
    return selected


def _select_on_the_cpu(  # noqa: PLR0917
    bundle: Bundle, config: EngineConfig, depth: int, use: Use, tuned: Tuned | None, skipped_engines: dict[str, str]
) -> SelectedEngine:
    """The tuned choice if it runs and passes, else ONNX Runtime, which always does."""
    if tuned is not None:
        chosen = tuned.choice.config
        try:
            selected = _select_on(open_engine(chosen), bundle, chosen, depth, use)
        except (UnavailableError, WorkFailedError) as error:
            skipped_engines[str(tuned.choice)] = str(error)
            log.warning("the tuned choice does not run, ONNX Runtime does instead: %s", error)
        else:
            selected.tuned = tuned
            return selected
    return _select_on(open_engine(replace(config, name="onnxruntime")), bundle, config, depth, use)


def _select_on(engine: Engine, bundle: Bundle, config: EngineConfig, depth: int, use: Use) -> SelectedEngine:
    """Lowers the precision part by part until everything passes."""
    manifest = bundle.manifest
    precisions = choose_precisions(manifest, engine.family, config.precision)
    threads = share_threads(manifest, usable_cores(), depth, config.threads)
    selected = SelectedEngine(engine, {})
    try:
        while True:
            missing = [part for part in manifest.parts if part.name not in selected.executables]
            failed = _load(selected, bundle, missing, precisions, threads, beside=use.beside)
            if not failed.why and engine.golden_tolerance is not None:
                selected.golden = measure_golden(bundle, engine, selected.executables, engine.golden_tolerance)
                failed = _failed_checks(selected.golden)
            if not failed.why:
                unused = engine.describe().get("unused_engines", {})  # of the bundle, each with its reason
                selected.fallbacks += unused.values()
                use.fit(selected)
                return selected
            _lower_precision(selected, bundle, precisions, failed)
    except BaseException:
        selected.close()
        raise


def _load(
    selected: SelectedEngine,
    bundle: Bundle,
    parts: list[Part],
    precisions: Mapping[str, Precision],
    threads: Mapping[str, int],
    *,
    beside: Callable[[], object],
) -> Failed:
    """Loads the missing parts. The result names those that the engine did not build."""
    refused: dict[str, str] = {}
    errors = []
    for name, made in load_each(bundle, selected.engine, parts, precisions, threads, beside=beside).items():
        if not isinstance(made, Exception):
            selected.executables[name] = made
        elif isinstance(made, WorkFailedError):
            refused[name] = str(made)
        else:
            errors.append(made)
    if errors:
        raise errors[0]
    return Failed(refused)


def _failed_checks(golden: list[GoldenResult]) -> Failed:
    alone = {row.part: str(row) for row in golden if not row.passed and row.part != CHAIN}
    chain = [str(row) for row in golden if not row.passed and row.part == CHAIN]
    if alone or not chain:
        return Failed(alone)
    return Failed(dict.fromkeys((row.part for row in golden if row.part != CHAIN), chain[0]), together=True)


def _lower_precision(
    selected: SelectedEngine, bundle: Bundle, precisions: dict[str, Precision], failed: Failed
) -> None:
    """The next precision for what failed, or a WorkFailedError if there is none."""
    lower: dict[str, Precision] = {}
    for name in failed.why:
        artefacts = bundle.manifest.part(name).artefacts
        below = [precision for precision in _DOWN[precisions[name]] if precision in artefacts]
        if below:
            lower[name] = below[0]
    stuck = [name for name in failed.why if name not in lower]
    if not lower or (stuck and not failed.together):
        raise WorkFailedError(
            failed.why[stuck[0]],
            action=f"running '{bundle.manifest.name}' on {selected.engine.name}",
            hint="Run it with --engine onnxruntime",
        )
    for name, precision in lower.items():
        fallback = f"{name} runs in {precision} instead of {precisions[name]}: {failed.why[name]}"
        log.warning("%s", fallback)
        selected.fallbacks.append(fallback)
        precisions[name] = precision
        if executable := selected.executables.pop(name, None):
            executable.close()

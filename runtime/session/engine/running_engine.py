"""The engine of a run and the plan of its parts: selected at the start, changed to a faster engine while it runs."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any

from mm_edge.runtime.engines.selection.choice import DEFAULT_DEPTH, is_open
from mm_edge.runtime.engines.selection.select_engine import Use, select_engine
from mm_edge.runtime.engines.selection.tuned import recall_best
from mm_edge.runtime.prepare import preparers
from mm_edge.runtime.process import give_back_freed
from mm_edge.runtime.session.streams.plans import plans_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mm_edge.bundle.bundle import Bundle
    from mm_edge.config import RunConfig
    from mm_edge.runtime.engine import Engine
    from mm_edge.runtime.engines.selection.select_engine import SelectedEngine
    from mm_edge.runtime.engines.selection.tuned import Goal
    from mm_edge.runtime.loop.plan import Plan
    from mm_edge.runtime.prepare import Preparer
    from mm_edge.runtime.source import Source
    from mm_edge.runtime.trace import Trace

    from .improver import Improver


class RunningEngine:
    """`depth` is the number of moments in flight: less than configured if the device has too little memory."""

    def __init__(
        self,
        bundle: Bundle,
        config: RunConfig,
        *,
        cameras: Sequence[Source],
        engine: Engine | None,
        goal: Goal,
        trace: Trace | None,
    ) -> None:
        """`cameras`: the sources of a picture input that several of them feed, each with a plan of its own."""
        self._bundle, self._trace, self._goal, self._cameras = bundle, trace, goal, cameras
        self._may_choose = engine is None and is_open(config.engine) and config.engine.improve
        tuned = recall_best(bundle, goal) if self._may_choose else None
        self.depth = config.loop.depth or (tuned.choice.depth if tuned else DEFAULT_DEPTH)
        # Called while graphs load, which leaves the interpreter free to import what the preparers need.
        self.preparers: Callable[[], Mapping[str, Preparer]] = cache(
            partial(preparers, bundle.manifest.inputs, bundle.read)
        )
        use = Use(self.preparers, self._fit)
        self.selected = select_engine(bundle, config.engine, depth=self.depth, engine=engine, use=use, tuned=tuned)
        bundle.release()
        give_back_freed()

    @property
    def engine(self) -> Engine:
        return self.selected.engine

    def describe(self) -> dict[str, Any]:
        return self.selected.describe()

    def close(self) -> None:
        self.selected.close()

    def improver(
        self,
        driver: str,
        replace_plans: Callable[[Sequence[Plan]], None],
        report: Callable[[str, str], None],
        *,
        played: bool,
    ) -> Improver | None:
        """The thread that looks for a faster engine, where there may be one. A played run must give the same answers
        each time, and states would restart at zero: for these, what is found is for the next run.
        """
        if not self._may_choose:
            return None
        from .improver import Improver, can_improve  # not loaded where nothing can be chosen

        if not can_improve(self._bundle, self.selected):
            return None
        keeps = played or any(stage.in_order for stage in self.plans[0].stages)

        def adopt(other: SelectedEngine) -> None:
            before = self.selected
            self._fit(other)
            other.skipped_engines = {**before.skipped_engines}
            self.selected = other
            replace_plans(self.plans)
            before.close()  # what is in flight still has its parts
            give_back_freed()

        return Improver(
            self._bundle,
            self.selected,
            driver=driver,
            depth=self.depth,
            goal=self._goal,
            adopt=None if keeps else adopt,
            report=report,
        )

    def _fit(self, selected: SelectedEngine) -> None:
        """Makes the plans with all their buffers; if the device has too little memory, for fewer moments in flight."""
        if self._trace is not None:
            selected.engine.trace_to(self._trace)
        self.plans, self.depth = plans_for(
            self._bundle,
            selected,
            self.preparers(),
            depth=self.depth,
            cameras=len(self._cameras) or 1,
            driver=self._cameras[0].input if self._cameras else "",
        )

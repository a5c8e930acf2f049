"""The Python interface to a bundle: iterate over live predictions, set the text, or predict from given values.

with mm_edge.open("scout.mmb", camera=0, mic="default", text="the red ball") as session:
    for prediction in session:
        print(prediction.outputs, prediction.inputs["image"].age_ms)
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from mm_edge.errors import InputError, UsageError
from mm_edge.sample import Prediction

from .predict import Predictor
from .rules import sync_rules
from .run import Run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from types import TracebackType

    from mm_edge.bundle.bundle import Bundle
    from mm_edge.config import RunConfig
    from mm_edge.runtime.engine import Engine
    from mm_edge.runtime.sink import Sink, Summary
    from mm_edge.runtime.source import Source
    from mm_edge.runtime.sources.play import PlayClock
    from mm_edge.runtime.trace import Trace

NEWEST_KEPT = 2  # predictions of a camera, buffered for a reader that is slower than the run


class Session:
    """What `mm_edge.open` returns. It runs once, inside `with`. Without sources it only answers `predict`."""

    def __init__(
        self,
        bundle: Bundle,
        config: RunConfig,
        sources: Sequence[Source],
        *,
        play: PlayClock | None,
        sinks: Sequence[Sink],
        trace: Trace | None = None,
        engine: Engine | None = None,
        owns_bundle: bool = True,
    ) -> None:
        if engine is not None and config.engine.name != "auto":
            raise UsageError(
                f"the configuration requests '{config.engine.name}'",
                action=f"running on the given engine '{engine.name}'",
                hint="Give engine=, or engine.name in the configuration",
            )
        self.bundle, self.config, self.play = bundle, config, play
        self._owns_bundle = owns_bundle
        self._engine = engine
        sync_rules(bundle.manifest, config)  # a wrong name is an error even if nothing runs
        self._texts = [source for source in sources if hasattr(source, "put")]
        self._predictor: Predictor | None = None
        self._entered = self._closed = False
        self._loading = threading.Lock()
        self._run: Run | None = (
            Run(bundle, config, sources, sinks, in_step=play is not None, engine=engine, trace=trace)
            if sources
            else None
        )

    # --- a run -----------------------------------------------------------------------------------------------

    def __enter__(self) -> Session:
        if self._entered:
            raise UsageError(
                "it was entered before", action="entering the session again", hint="A session runs once: open a new one"
            )
        self._entered = True
        if self._run is not None:
            self._run.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, Exception):  # Ctrl-C
            self.hurry()
        self.close()

    def __iter__(self) -> Iterator[Prediction]:
        """Predictions until the run ends. A reader that is slower than a live run misses some, which are counted."""
        return _predictions(self._started("iterating over predictions"))

    def __aiter__(self) -> AsyncIterator[Prediction]:
        return _predictions_async(self._started("iterating over predictions"))

    def wait(self, seconds: float | None = None) -> bool:
        """Waits for the end of the run, for `seconds` at most. False: it still runs."""
        return self._started("waiting for the end of the run").wait(seconds)

    def finish(self) -> None:
        """Ends the run after the predictions in progress. From any thread."""
        self._running("ending the run").finish()

    def hurry(self) -> None:
        """Ends the run within a second when it is closed: what its sinks have not taken by then is lost, and counted in
        the summary. Without it a normal end delivers everything. From any thread, and from a signal handler.
        """
        if self._run is not None:
            self._run.hurry()

    def raise_error(self) -> None:
        """Raises what ended the run, unless it ended as intended."""
        if self._run is not None:
            self._run.raise_error()

    @property
    def text(self) -> str:
        return str(self._text_source().text)

    @text.setter
    def text(self, text: str) -> None:
        """Used from the next moment on."""
        self.set_text(text)

    def set_text(self, text: str) -> None:
        """Raises an InputError for a text that the model cannot use; the last one stays, and an event reports it."""
        source = self._text_source()
        run = self._running("setting the text")
        try:
            run.check(source.input, text)
        except InputError as error:
            run.outlets.report(source.name, "refused", str(error))
            raise
        source.put(text)

    @property
    def takes_text(self) -> bool:
        return len(self._texts) == 1

    @property
    def is_played(self) -> bool:
        """The run is driven by files, and so can be paused and stepped."""
        return self._run is not None and bool(self._run.played)

    @property
    def summary(self) -> Summary | None:
        """The figures of the run, once it has ended."""
        return self._run.summary if self._run else None

    @property
    def left_behind(self) -> bool:
        """After the end: a thread hangs in a driver, and a process that waits for all threads would hang as well."""
        return self._run is not None and self._run.left_behind

    def close(self) -> None:
        if self._run is not None:
            self._run.stop()
        with self._loading:
            self._closed = True
            if self._predictor is not None:
                self._predictor.close()
                self._predictor = None
        if self._owns_bundle:
            self.bundle.close()

    # --- one prediction --------------------------------------------------------------------------------------

    def predict(self, **values: Any) -> Prediction:
        """One prediction from values by input name: a BGR image as OpenCV returns it, sound as floats, a text."""
        return self._loaded_predictor().predict(values)

    # --- inside ----------------------------------------------------------------------------------------------

    def _loaded_predictor(self) -> Predictor:
        action = "predicting from given values"
        with self._loading:
            if self._closed:
                raise UsageError("the session is closed", action=action, hint="Open a new one")
            if self._predictor is None:
                self._predictor = self._load_predictor(action)
            return self._predictor

    def _load_predictor(self, action: str) -> Predictor:
        if self._engine is not None and self._run is not None:
            raise UsageError(
                f"the run of this session uses the engine '{self._engine.name}'",
                action=action,
                hint="Open a second session without sources, with an engine of its own",
            )
        return Predictor.load(self.bundle, self.config, self._engine)

    def _running(self, action: str) -> Run:
        if self._run is None:
            raise UsageError(
                "the session was opened without sources", action=action, hint="Give camera=, mic=, text= or take="
            )
        return self._run

    def _started(self, action: str) -> Run:
        run = self._running(action)
        if not self._entered:
            raise UsageError(
                "the session was not entered", action=action, hint="Enter it: with mm_edge.open(...) as session:"
            )
        return run

    def _text_source(self) -> Any:
        if len(self._texts) != 1:
            raise UsageError(
                f"{len(self._texts)} inputs of this session have a text that can be set",
                action="setting the text",
                hint="Open it with text=",
            )
        return self._texts[0]


def _predictions(run: Run) -> Iterator[Prediction]:
    with run.tap(NEWEST_KEPT * max(1, len(run.cameras))) as tap:
        while (item := tap.wait_take()) is not None:
            if isinstance(item, Prediction):
                yield item
    run.raise_error()


async def _predictions_async(run: Run) -> AsyncIterator[Prediction]:
    import asyncio  # 0.1 s of imports that other ways of reading do not need

    with run.tap(NEWEST_KEPT * max(1, len(run.cameras))) as tap:
        while (item := await asyncio.to_thread(tap.wait_take)) is not None:
            if isinstance(item, Prediction):
                yield item
    run.raise_error()

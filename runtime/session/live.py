"""The Python way in: open a bundle with its sources, iterate over predictions, set the text, or ask for one prediction.

with mm_edge.open("scout.mmb", camera=0, mic="default", text="the red ball") as session:
    for prediction in session:
        print(prediction.outputs, prediction.inputs["image"].age_ms)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mm_edge.bundle.bundle import Bundle
from mm_edge.config import RunConfig, load_config
from mm_edge.errors import UsageError
from mm_edge.sample import Prediction

from .predict import Predictor
from .session import Session
from .wiring import by_options, wire_sources, with_inputs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
    from types import TracebackType

    from mm_edge.runtime.sink import RunInfo, Sink, Summary
    from mm_edge.runtime.source import Source
    from mm_edge.runtime.sources.play import PlayClock
    from mm_edge.runtime.trace import Trace

NEWEST_KEPT = 2  # predictions that wait for a reader who is slower than the run


class Live:
    """A bundle at work. Without sources it only answers `predict`."""

    def __init__(
        self,
        bundle: Bundle,
        config: RunConfig,
        sources: Sequence[Source],
        *,
        play: PlayClock | None,
        sinks: Sequence[Sink],
        trace: Trace | None = None,
    ) -> None:
        self.bundle, self.config, self.play = bundle, config, play
        self._texts = [source for source in sources if hasattr(source, "put")]
        self._predictor: Predictor | None = None
        self._session: Session | None = (
            Session(bundle, config, sources, sinks, in_step=play is not None, trace=trace) if sources else None
        )

    # --- a run -----------------------------------------------------------------------------------------------

    def __enter__(self) -> Live:
        if self._session is not None:
            self._session.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def session(self) -> Session:
        if self._session is None:
            raise UsageError(
                "it was opened without sources", action="running the bundle", hint="Give camera=, mic=, text= or take="
            )
        return self._session

    def __iter__(self) -> Iterator[Prediction]:
        """Predictions as they come, until the run ends. A reader who is slower than a live run misses some, counted."""
        with self.session.tap(NEWEST_KEPT) as tap:
            while (item := tap.wait_take()) is not None:
                if isinstance(item, Prediction):
                    yield item
        self.session.raise_error()

    async def __aiter__(self) -> AsyncIterator[Prediction]:
        import asyncio  # 0.1 s of imports that other ways of reading do not need

        with self.session.tap(NEWEST_KEPT) as tap:
            while (item := await asyncio.to_thread(tap.wait_take)) is not None:
                if isinstance(item, Prediction):
                    yield item
        self.session.raise_error()

    @property
    def text(self) -> str:
        return str(self._text_source().text)

    @text.setter
    def text(self, text: str) -> None:
        """The next moment hears it."""
        self.set_text(text)

    def set_text(self, text: str) -> None:
        self._text_source().put(text)

    @property
    def takes_text(self) -> bool:
        return len(self._texts) == 1

    @property
    def summary(self) -> Summary | None:
        """The run in figures, once it has ended."""
        return self._session.summary if self._session else None

    def wait(self, seconds: float | None = None) -> bool:
        return self.session.wait(seconds)

    def close(self) -> None:
        if self._session is not None:
            self._session.stop()
        if self._predictor is not None:
            self._predictor.close()
        self.bundle.close()

    # --- one prediction --------------------------------------------------------------------------------------

    def predict(self, **values: Any) -> Prediction:
        """One prediction from values at hand, by input: a picture in BGR as OpenCV gives it, sound as floats, a
        text.
        """
        if self._predictor is None:
            self._predictor = Predictor.load(self.bundle, self.config)
        return self._predictor.predict(values)

    def _text_source(self) -> Any:
        if len(self._texts) != 1:
            raise UsageError(
                f"{len(self._texts)} inputs of this run take a text that can be set",
                action="setting the text",
                hint="Open it with text=",
            )
        return self._texts[0]


class Callback:
    """A sink that calls a function with each prediction, in the sink's own thread."""

    name = "callback"
    wants_samples = True

    def __init__(self, function: Callable[[Prediction], None]) -> None:
        self._function = function

    def open(self, run: RunInfo) -> None:
        """Nothing to open."""

    def take(self, item: Any) -> None:
        if isinstance(item, Prediction):
            self._function(item)

    def close(self) -> None:
        """Nothing to close."""


def open_live(
    bundle: str | Path,
    *,
    camera: str | int | None = None,
    mic: str | int | None = None,
    text: str | None = None,
    take: str | Path | None = None,
    inputs: Mapping[str, str] | None = None,
    config: RunConfig | str | Path | None = None,
    settings: Sequence[str] = (),
    on_prediction: Callable[[Prediction], None] | None = None,
    sinks: Sequence[Sink] = (),
) -> Live:
    """Opens a bundle. The specs are those of the command line; `inputs` names them by input, for plug-ins and several
    cameras.
    """
    if not isinstance(config, RunConfig):
        config = load_config(RunConfig, Path(config) if config else None, settings)
    opened = Bundle.open(bundle, config.trust)
    try:
        options = {"camera": camera, "mic": mic, "text": text}
        given = by_options(
            opened.manifest, {name: [str(value)] for name, value in options.items() if value is not None}
        )
        config = with_inputs(config, {**given, **(inputs or {})}, str(take) if take else None)
        wired = bool(config.sources.inputs or config.sources.take)
        sources, play = wire_sources(opened.manifest, config) if wired else ([], None)
        return Live(
            opened, config, sources, play=play, sinks=[*sinks, *([Callback(on_prediction)] if on_prediction else [])]
        )
    except BaseException:
        opened.close()
        raise

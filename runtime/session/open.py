"""mm_edge.open: opens a bundle with its sources and sinks as a session."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mm_edge.bundle.bundle import Bundle
from mm_edge.config import RunConfig, load_config

from .callback import Callback
from .session import Session
from .wiring import by_options, wire_sources, with_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mm_edge.runtime.engine import Engine
    from mm_edge.runtime.sink import Sink
    from mm_edge.runtime.source import Source
    from mm_edge.runtime.sources.play import PlayClock
    from mm_edge.sample import Prediction


def open_session(
    bundle: str | Path | Bundle | None = None,
    *,
    camera: str | int | None = None,
    mic: str | int | None = None,
    text: str | None = None,
    take: str | Path | None = None,
    inputs: Mapping[str, str] | None = None,
    sources: Mapping[str, Source] | None = None,
    config: RunConfig | str | Path | None = None,
    settings: Sequence[str] = (),
    on_prediction: Callable[[Prediction], None] | None = None,
    sinks: Sequence[Sink] = (),
    engine: Engine | None = None,
) -> Session:
    """Opens a bundle: a path, a Bundle (which stays open when the session ends), or the one that ships with mm-edge.

    `camera`, `mic`, `text` and `take` are written as on the command line; `inputs` gives sources by input name, for
    plug-ins and for several cameras. `sources` (by input name), `sinks` and `engine` are objects of your own program;
    the session opens and closes them.
    """
    if not isinstance(config, RunConfig):
        config = load_config(RunConfig, Path(config) if config else None, settings)
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(_path(bundle), config.trust)
    try:
        options = {"camera": camera, "mic": mic, "text": text}
        given = by_options(
            opened.manifest, {name: [str(value)] for name, value in options.items() if value is not None}
        )
        config = with_inputs(config, {**given, **(inputs or {})}, str(take) if take else None)
        wired: tuple[list[Source], PlayClock | None] = ([], None)
        if config.sources.inputs or config.sources.take or sources:
            wired = wire_sources(opened.manifest, config, sources)
        all_sources, play = wired
        if any(not source.live for source in (sources or {}).values()):
            play = None  # the caller's played sources do not share the clock of files
        all_sinks = [*sinks, *([Callback(on_prediction)] if on_prediction else [])]
        return Session(
            opened, config, all_sources, play=play, sinks=all_sinks, engine=engine, owns_bundle=opened is not bundle
        )
    except BaseException:
        if opened is not bundle:
            opened.close()
        raise


def _path(bundle: str | Path | None) -> str | Path:
    if bundle is not None:
        return bundle
    from mm_edge.shipped import default_bundle

    return default_bundle()

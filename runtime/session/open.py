"""mm_edge.open: opens a bundle with its sources and sinks as a session."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mm_edge.bundle.bundle import Bundle
from mm_edge.config import RunConfig, load_config

from .callback import Callback
from .session import Session
from .wiring import sources_in, wire_sources, with_inputs, with_options

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mm_edge.runtime.engine import Engine
    from mm_edge.runtime.sink import Sink
    from mm_edge.runtime.source import Source
    from mm_edge.runtime.sources.play import PlayClock
    from mm_edge.sample import Prediction


def open_session(
    bundle: str | Path | Bundle | None = None,
    *,
    camera: str | int | Sequence[str | int] | Mapping[str, str | int] | None = None,
    mic: str | int | None = None,
    text: str | None = None,
    take: str | Path | None = None,
    inputs: Mapping[str, str] | None = None,
    sources: Mapping[str, Source | Sequence[Source]] | None = None,
    config: RunConfig | str | Path | None = None,
    settings: Sequence[str] = (),
    on_prediction: Callable[[Prediction], None] | None = None,
    sinks: Sequence[Sink] = (),
    engine: Engine | None = None,
) -> Session:
    """Opens a bundle: a path, a Bundle (which stays open when the session ends), or the one that ships with mm-edge.

    `camera`, `mic`, `text` and `take` are written as on the command line; `inputs` gives sources by input name, for
    plug-ins and for a model with several cameras. Several cameras may share a model that takes one: `camera=[0, 1]`, or
    with names `camera={"door": 0, "yard": 1}`; each prediction then has its `camera`. `sources` (by input name; for
    several cameras a list of sources with different names), `sinks` and `engine` are objects of your own program; the
    session opens and closes them.
    """
    if not isinstance(config, RunConfig):
        config = load_config(RunConfig, Path(config) if config else None, settings)
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(_path(bundle), config.trust)
    try:
        options = {"mic": mic, "text": text}
        given = {name: [str(value)] for name, value in options.items() if value is not None}
        config = with_options(
            config, opened.manifest, {"camera": _cameras(camera), **given}, str(take) if take else None
        )
        config = with_inputs(config, inputs or {})
        wired: tuple[list[Source], PlayClock | None] = ([], None)
        if config.sources.inputs or config.sources.cameras or config.sources.take or sources:
            wired = wire_sources(opened.manifest, config, sources)
        all_sources, play = wired
        if any(not source.live for given in (sources or {}).values() for source in sources_in(given)):
            play = None  # the caller's played sources do not share the clock of files
        all_sinks = [*sinks, *([Callback(on_prediction)] if on_prediction else [])]
        return Session(
            opened, config, all_sources, play=play, sinks=all_sinks, engine=engine, owns_bundle=opened is not bundle
        )
    except BaseException:
        if opened is not bundle:
            opened.close()
        raise


def _cameras(given: str | int | Sequence[str | int] | Mapping[str, str | int] | None) -> list[str]:
    """As `--camera` takes them."""
    if given is None:
        return []
    if isinstance(given, (str, int)):
        return [str(given)]
    if isinstance(given, Mapping):
        return [f"{name}={text}" for name, text in given.items()]
    return [str(text) for text in given]


def _path(bundle: str | Path | None) -> str | Path:
    if bundle is not None:
        return bundle
    from mm_edge.shipped import default_bundle

    return default_bundle()

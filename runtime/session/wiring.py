"""Which source feeds which input: from `--camera`, `--mic`, `--text`, a take and the configuration to sources."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from mm_edge.errors import UsageError
from mm_edge.runtime.sources.play import PlayClock
from mm_edge.runtime.sources.registry import open_source
from mm_edge.runtime.sources.reopen import reopen
from mm_edge.runtime.sources.take import open_take
from mm_edge.spec import ImageInput, VideoInput, modality_of

from .streams.cameras import check_names, named_source, specs_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mm_edge.bundle.manifest import Manifest
    from mm_edge.config import RunConfig
    from mm_edge.runtime.source import Source

# What each option of the command feeds.
OPTIONS = {"camera": ("image", "video"), "mic": ("audio",), "text": ("text",)}


def wire_sources(
    manifest: Manifest, config: RunConfig, own: Mapping[str, Source | Sequence[Source]] | None = None
) -> tuple[list[Source], PlayClock]:
    """Makes every source without touching a device. `own`: sources of the caller, by input; several of one input are
    cameras, named by the sources. What is given by name goes before what a take holds.
    """
    play = PlayClock(config.sources.speed)
    specs = {spec.name: spec for spec in manifest.inputs}
    mine = {name: sources_in(given) for name, given in (own or {}).items()}
    if unknown := sorted({*config.sources.inputs, *mine} - set(specs)):
        raise UsageError(
            f"the bundle's inputs are {', '.join(specs)}",
            action=f"feeding {', '.join(unknown)}",
            hint="Name one of those",
        )
    _check_own(mine, config)
    sources: list[Source] = [source for given in mine.values() for source in given]
    cameras = _cameras(manifest, config, play, mine)
    fed = {*config.sources.inputs, *mine, *(source.input for source in cameras)}
    sources += cameras
    left = [spec for name, spec in specs.items() if name not in fed]
    if config.sources.take is not None:
        sources += open_take(Path(config.sources.take), left, config.sources, play).values()
    for name, text in config.sources.inputs.items():
        source = open_source(text, specs[name], config.sources, play)
        if source is not None:
            sources.append(source)
    if not sources:
        options = [
            f"--{option}"
            for option, modalities in OPTIONS.items()
            if any(modality_of(spec) in modalities for spec in manifest.inputs)
        ]
        raise UsageError(
            "nothing feeds the bundle",
            action=f"running '{manifest.name}'",
            hint=f"Give {', '.join(options)}, --take or --demo",
        )
    return (reopen(sources) if config.sources.loop else sources), play


def sources_in(given: Source | Sequence[Source]) -> Sequence[Source]:
    """One source, or several of one input."""
    return given if isinstance(given, Sequence) else [given]


def _cameras(
    manifest: Manifest, config: RunConfig, play: PlayClock, own: Mapping[str, Sequence[Source]]
) -> list[Source]:
    """Those of `[sources.cameras]`, or of several `--camera`."""
    given = config.sources.cameras
    if not given:
        return []
    action = f"feeding the cameras {', '.join(given)}"
    pictures = [spec for spec in manifest.inputs if isinstance(spec, (ImageInput, VideoInput))]
    if len(pictures) != 1:
        found = f"'{manifest.name}' has {len(pictures)} picture inputs; several cameras feed a bundle that has one"
        raise UsageError(found, action=action, hint="Name the inputs: [sources.inputs], or --camera INPUT=SPEC")
    spec = pictures[0]
    if spec.name in config.sources.inputs or spec.name in own:
        raise UsageError(
            f"'{spec.name}' has another source too", action=action, hint="Give all cameras in sources.cameras"
        )
    check_names(manifest, list(given))
    sources = []
    for name, text in given.items():
        source = open_source(text, spec, config.sources, play)
        if source is None:
            raise UsageError(f"'{name}' is 'none'", action=action, hint="Leave it out")
        sources.append(named_source(source, name))
    return sources


def _check_own(own: Mapping[str, Sequence[Source]], config: RunConfig) -> None:
    for name, source in ((name, source) for name, given in own.items() for source in given):
        if name in config.sources.inputs:
            raise UsageError(
                f"'{config.sources.inputs[name]}' feeds it already",
                action=f"feeding '{name}' from sources=",
                hint="Give the sources of an input in one place",
            )
        if source.input != name:
            raise UsageError(
                f"its `input` is '{source.input}'",
                action=f"feeding '{name}' from the source '{source.name}'",
                hint="The key in sources= and the source's `input` are the same name",
            )


def by_options(manifest: Manifest, given: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """From options to inputs. With several inputs of a kind the option says which one it means: `front=0`."""
    inputs: dict[str, str] = {}
    for option, texts in given.items():
        names = [spec.name for spec in manifest.inputs if modality_of(spec) in OPTIONS[option]]
        for text in texts:
            name, equals, rest = text.partition("=")
            if equals and name in names:
                inputs[name] = rest
            elif len(names) == 1:
                inputs[names[0]] = text
            elif text != "none":
                found = f"it has {', '.join(names)}" if names else "it has none"
                hint = f"Say which one: --{option} {names[0]}={text}" if names else f"Leave --{option} out"
                raise UsageError(
                    f"the bundle '{manifest.name}' takes no single one: {found}", action=f"--{option} {text}", hint=hint
                )
    return inputs


def with_options(
    config: RunConfig, manifest: Manifest, given: Mapping[str, Sequence[str]], take: str | None = None
) -> RunConfig:
    """The configuration with what `--camera`, `--mic`, `--text` and `--take` were given on top of it."""
    cameras = specs_of(manifest, given.get("camera", []))
    fed = by_options(manifest, {option: texts for option, texts in given.items() if option != "camera" or not cameras})
    sources = config.sources
    if given.get("camera"):  # they replace the configured ones
        pictures = {spec.name for spec in manifest.inputs if isinstance(spec, (ImageInput, VideoInput))}
        kept = {name: text for name, text in sources.inputs.items() if not cameras or name not in pictures}
        sources = msgspec.structs.replace(sources, inputs=kept, cameras=cameras)
    return with_inputs(msgspec.structs.replace(config, sources=sources), fed, take)


def with_inputs(config: RunConfig, inputs: Mapping[str, str], take: str | None = None) -> RunConfig:
    """The configuration with sources on top of it."""
    sources = msgspec.structs.replace(
        config.sources, inputs={**config.sources.inputs, **inputs}, take=take or config.sources.take
    )
    return msgspec.structs.replace(config, sources=sources)

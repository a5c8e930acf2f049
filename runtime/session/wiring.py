"""Which source feeds which input: from `--camera`, `--mic`, `--text`, a take and the configuration to sources."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from mm_edge.errors import UsageError
from mm_edge.runtime.sources.play import PlayClock
from mm_edge.runtime.sources.registry import open_source
from mm_edge.runtime.sources.reopen import reopen
from mm_edge.runtime.sources.take import open_take
from mm_edge.spec import modality_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mm_edge.bundle.manifest import Manifest
    from mm_edge.config import RunConfig
    from mm_edge.runtime.source import Source

# What each option of the command feeds.
OPTIONS = {"camera": ("image", "video"), "mic": ("audio",), "text": ("text",)}


def wire_sources(
    manifest: Manifest, config: RunConfig, own: Mapping[str, Source] | None = None
) -> tuple[list[Source], PlayClock]:
    """Makes every source without touching a device. `own`: sources of the caller, by input. What is given by name goes
    before what a take holds.
    """
    play = PlayClock(config.sources.speed)
    specs = {spec.name: spec for spec in manifest.inputs}
    own = own or {}
    if unknown := sorted({*config.sources.inputs, *own} - set(specs)):
        raise UsageError(
            f"the bundle's inputs are {', '.join(specs)}",
            action=f"feeding {', '.join(unknown)}",
            hint="Name one of those",
        )
    _check_own(own, config)
    sources: list[Source] = list(own.values())
    left = [spec for name, spec in specs.items() if name not in config.sources.inputs and name not in own]
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


def _check_own(own: Mapping[str, Source], config: RunConfig) -> None:
    for name, source in own.items():
        if name in config.sources.inputs:
            raise UsageError(
                f"'{config.sources.inputs[name]}' feeds it already",
                action=f"feeding '{name}' from sources=",
                hint="Give one source for each input",
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


def with_inputs(config: RunConfig, inputs: Mapping[str, str], take: str | None = None) -> RunConfig:
    """The configuration with sources on top of it."""
    sources = msgspec.structs.replace(
        config.sources, inputs={**config.sources.inputs, **inputs}, take=take or config.sources.take
    )
    return msgspec.structs.replace(config, sources=sources)

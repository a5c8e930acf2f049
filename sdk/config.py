"""The configuration of a run: one TOML file, overridden by `--set KEY=VALUE`, as typed and frozen records."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from .bounded_read import read_bounded
from .bundle.bundle import Trust
from .errors import ConfigError
from .spec import Milliseconds, Missing, Name, Strict
from .toml import MOST_BYTES, TomlError, read_toml

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


# A correction of timestamps, in either direction.
Offset: TypeAlias = Annotated[float, Meta(ge=-86_400_000, le=86_400_000)]
Decoder: TypeAlias = Literal["auto", "pyav", "opencv"]


class CameraConfig(Strict, frozen=True):
    """The mode requested from a camera; the actual mode is read back and reported."""

    width: Annotated[int, Meta(ge=1, le=16_384)] | None = None
    height: Annotated[int, Meta(ge=1, le=16_384)] | None = None
    fps: Annotated[float, Meta(ge=0.001, le=1000)] | None = None
    offset_ms: Offset = 0.0  # exposure and transfer time, which the driver's timestamp omits: a constant of the camera
    open_timeout_ms: Milliseconds = 3000.0
    read_timeout_ms: Milliseconds = 2000.0
    decoder: Decoder = "auto"  # for video files; auto: PyAV (extra video) if installed and speed is max


class MicConfig(Strict, frozen=True):
    """The format requested from a microphone. `rate` None: the model's if supported, else the device's, resampled."""

    rate: Annotated[int, Meta(ge=1_000, le=384_000)] | None = None
    offset_ms: Offset = 0.0


class SourcesConfig(Strict, frozen=True):
    """The source of each input: SPECs as on the command line, by input name (`image = "0"`). `cameras`, instead:
    several for a model with one picture input, by names of your choice (`door = "0"`).
    """

    inputs: dict[Name, str] = {}
    cameras: dict[Name, str] = {}
    take: str | None = None
    speed: Literal["real", "max"] = "real"
    loop: bool = False  # restart files when they have ended
    camera: CameraConfig = CameraConfig()
    mic: MicConfig = MicConfig()


class EngineConfig(Strict, frozen=True):
    """The engine that runs the parts. `threads` 0: one per part, with as many concurrent parts as cores."""

    name: str = "auto"
    precision: Literal["auto", "fp32", "fp16", "int8"] = "auto"
    threads: Annotated[int, Meta(ge=0, le=1024)] = 0
    options: dict[str, str | int | float | bool] = {}
    improve: bool = True  # with `auto` on a CPU: use the choice of `mm-edge tune` or of an earlier run, or look for one


class LoopConfig(Strict, frozen=True):
    """`depth` moments are in flight at once; predictions later than `deadline_ms` are counted, not dropped."""

    depth: Annotated[int, Meta(ge=0, le=64)] = 0  # 0: 2, or what `mm-edge tune` has measured as the best
    workers: Annotated[int, Meta(ge=0, le=256)] = 0  # 0: as many as there is work and cores for
    deadline_ms: Milliseconds | None = None
    seconds: Annotated[float, Meta(ge=0.001, le=1e9)] | None = None
    every_part_every_tick: bool = False  # disables reuse, to measure what it saves
    nvtx: bool = False  # an NVTX range per stage and moment, for Nsight Systems; needs the extra nvtx


class RealtimeConfig(Strict, frozen=True):
    """Real-time options that need privileges or affect other processes: off by default; a refusal is reported."""

    affinity: tuple[int, ...] = ()
    fifo_priority: Annotated[int, Meta(ge=0, le=99)] = 0
    freeze_gc: bool = False
    switch_interval_us: Annotated[int, Meta(ge=10, le=1_000_000)] = 100


class SyncConfig(Strict, frozen=True):
    """Changes single fields of the bundle's rule for one input; the others stay as the bundle has them."""

    max_age_ms: Milliseconds | UnsetType = UNSET
    tolerance_ms: Milliseconds | UnsetType = UNSET
    missing: Missing | UnsetType = UNSET
    wait_ms: Milliseconds | UnsetType = UNSET


class RunConfig(Strict, frozen=True):
    """Everything about a run."""

    sources: SourcesConfig = SourcesConfig()
    sync: dict[Name, SyncConfig] = {}
    driver: Name | None = None
    engine: EngineConfig = EngineConfig()
    loop: LoopConfig = LoopConfig()
    realtime: RealtimeConfig = RealtimeConfig()
    trust: Trust = Trust()


T = TypeVar("T", bound=Strict)


def load_config(kind: type[T], file: Path | None = None, settings: Sequence[str] = ()) -> T:
    """Reads `file`, applies each `KEY=VALUE` of `settings`, and validates the result; errors name the key."""
    tree: dict[str, Any] = {}
    if file is not None:
        try:
            tree = read_toml(read_bounded(file, MOST_BYTES).decode())
        except OSError as error:
            raise ConfigError(
                f"{error.strerror}", action=f"reading {file}", hint="Give the path of a TOML file"
            ) from None
        except (TomlError, UnicodeDecodeError) as error:
            raise ConfigError(f"not valid TOML: {error}", action=f"reading {file}") from None
        _convert(kind, tree, f"reading {file}")  # so that an error of the file is not attributed to --set
    for setting in settings:
        _put(tree, setting)
    return _convert(kind, tree, "reading --set" if settings else "reading the configuration")


def _put(tree: dict[str, Any], setting: str) -> None:
    path, equals, text = setting.partition("=")
    keys = path.strip().split(".")
    action = f"reading --set {setting}"
    if not equals or not all(keys):
        raise ConfigError("expected KEY=VALUE, for example --set loop.depth=1", action=action)
    try:
        read = read_toml(f"value = {text}")
    except TomlError:
        read = {"value": text.strip()}  # a bare word is a string, so that no quotes are needed in the shell
    if len(read) > 1:
        raise ConfigError("one --set sets one value", action=action, hint="Repeat --set, or use --config FILE.toml")
    for key in keys[:-1]:
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"'{key}' is a value, not a table", action=action)
    tree[keys[-1]] = read["value"]


def _convert(kind: type[T], tree: dict[str, Any], action: str) -> T:
    try:
        return msgspec.convert(tree, kind)
    except RecursionError:
        raise ConfigError("it is nested too deeply", action=action) from None
    except msgspec.ValidationError as error:
        found = _with_keys(str(error), kind, tree).replace("`$.", "`").replace(" - at `$`", "")
        raise ConfigError(found, action=action, hint="See docs/configuration.md for all keys") from None


def _with_keys(found: str, kind: type[T], tree: dict[str, Any]) -> str:
    """Inserts the key where msgspec writes `sync[...]`: found by validating each entry on its own."""
    head = re.search(r"`\$\.([a-z_.]+)\[\.\.\.\]", found)
    if head is None:
        return found
    *above, last = head[1].split(".")
    table = tree
    for key in above:
        table = table[key]
    for key, value in table[last].items():
        alone: dict[str, Any] = {last: {key: value}}
        for name in reversed(above):
            alone = {name: alone}
        try:
            msgspec.convert(alone, kind)
        except msgspec.ValidationError as error:
            if str(error) == found:
                return found.replace(f"{last}[...]", f"{last}.{key}", 1)
    return found

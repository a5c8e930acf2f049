"""How each input is synchronized in a run: the bundle's rule, with single fields replaced by the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET
from msgspec.structs import replace

from mm_edge.errors import ConfigError
from mm_edge.spec import InputSync

if TYPE_CHECKING:
    from mm_edge.bundle.manifest import Manifest
    from mm_edge.config import RunConfig


def sync_rules(manifest: Manifest, config: RunConfig) -> dict[str, InputSync]:
    """By input. Raises a ConfigError for a name that is not an input of the bundle."""
    names = [spec.name for spec in manifest.inputs]
    if unknown := [name for name in config.sync if name not in names]:
        raise ConfigError(
            f"the bundle's inputs are {', '.join(names)}",
            action=f"reading {', '.join(f'sync.{name}' for name in unknown)}",
            hint="Name one of those",
        )
    rules = dict(manifest.sync.inputs)
    for name, given in config.sync.items():
        fields = {field: getattr(given, field) for field in given.__struct_fields__}
        changes = {field: value for field, value in fields.items() if value is not UNSET}
        rules[name] = replace(rules.get(name, InputSync()), **changes)
    return rules

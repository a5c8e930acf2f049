"""A model of the zoo: zoo:NAME, with the zoo's own data to calibrate and to prove on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mm_edge.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mm_edge.export.feeds import Feed
    from mm_edge.export.model import Labelled, SourceModel
    from mm_edge.export.recipe import Recipe


def from_zoo(name: str, recipe: Recipe) -> SourceModel:
    del recipe
    try:
        from mm_edge import zoo
    except ImportError:
        raise MissingExtraError("torch", "export") from None
    from .torch_module import from_module

    try:
        module = zoo.load(name)
    except KeyError as error:
        raise UsageError(
            str(error.args[0]), action=f"loading zoo:{name}", hint="`mm-edge zoo` lists the models"
        ) from None
    model = from_module(module, module.spec, f"zoo:{name}")

    def samples(count: int) -> Iterable[Feed]:
        return zoo.calibration(name, count)

    def labelled(count: int) -> Iterable[Labelled]:
        from mm_edge.export.feeds import complete_feed
        from mm_edge.export.model import Labelled

        pairs = zoo.labelled(name, "test", count)
        return (Labelled(complete_feed(feed, module.spec), labels) for feed, labels in pairs)

    model.samples, model.labelled = samples, labelled
    return model

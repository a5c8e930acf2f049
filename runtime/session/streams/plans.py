"""The plans of a run: one for each stream, all over the same loaded parts."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from mm_edge.runtime.engine import DeviceMemoryError
from mm_edge.runtime.loop.plan import build_plan, share_results
from mm_edge.runtime.prepare import preparer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mm_edge.bundle.bundle import Bundle
    from mm_edge.runtime.engines.selection.select_engine import SelectedEngine
    from mm_edge.runtime.loop.plan import Plan
    from mm_edge.runtime.prepare import Preparer

log = logging.getLogger(__name__)


def plans_for(
    bundle: Bundle,
    selected: SelectedEngine,
    preparers: Mapping[str, Preparer],
    *,
    depth: int,
    cameras: int,
    driver: str,
) -> tuple[list[Plan], int]:
    """The plans with all their buffers, and how many moments of each may be in flight: fewer than `depth` if the device
    has too little memory. States, histories and kept pictures belong to one camera; what depends only on inputs other
    than the `driver` is computed once for all.
    """
    manifest, read = bundle.manifest, bundle.read
    plans = []
    for number in range(cameras):
        own = {
            name: preparer(manifest.input(name), read) if number and shared.in_order else shared
            for name, shared in preparers.items()
        }
        plans.append(build_plan(manifest, selected.executables, selected.engine, own, read))
    if cameras > 1:
        share_results(plans, driver)
    while True:
        try:
            for plan in plans:
                plan.own_places(depth)
        except DeviceMemoryError as error:
            for plan in plans:
                plan.drop_places()
            if depth == 1:
                raise
            depth -= 1
            fallback = f"{depth} instead of {depth + 1} moments in flight: {error.found}"
            log.warning("%s", fallback)
            selected.fallbacks.append(fallback)
        else:
            return plans, depth

"""Runs all checks of the machine concurrently; a failing check does not affect the others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from . import cameras, engines, gpu, processor, software, sound, storage
from .finding import Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Check = Callable[[], list[Finding]]

# In display order.
CHECKS: Mapping[str, tuple[Check, ...]] = {
    "Software": (software.software,),
    "Processor": (processor.processor,),
    "Memory and temperature": (storage.storage,),
    "Engines": (gpu.gpu, engines.onnxruntime, engines.openvino, engines.tensorrt),
    "Cameras": (cameras.cameras,),
    "Audio": (sound.sound,),
}


def examine(more: Mapping[str, tuple[Check, ...]] | None = None) -> dict[str, list[Finding]]:
    """All findings by heading. `more` adds headings with checks from other packages."""
    headings = {**CHECKS, **(more or {})}
    pool = ThreadPoolExecutor()
    try:
        running = {heading: [pool.submit(_safely, check) for check in checks] for heading, checks in headings.items()}
        return {
            heading: [finding for each in futures for finding in each.result()] for heading, futures in running.items()
        }
    finally:  # after an interrupt, without waiting for checks that still load a library
        pool.shutdown(wait=False, cancel_futures=True)


def _safely(check: Check) -> list[Finding]:
    try:
        return check()
    except Exception as error:  # noqa: BLE001  # a failing check must not end the command; it is reported as a finding
        name = getattr(check, "__name__", "check").strip("_")
        return [
            Finding(
                name,
                "error",
                f"the check itself failed: {type(error).__name__}: {error}",
                "Report it, with the type of this machine",
            )
        ]

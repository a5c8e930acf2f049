"""NVTX ranges around the tasks of the workers, for Nsight Systems: enabled by `loop.nvtx`, made by the package nvtx."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mm_edge.errors import MissingExtraError

if TYPE_CHECKING:
    from .stage import Task

DOMAIN = "mm-edge"


class Ranges:
    """One range for each task, in the thread of its worker, with the moment's number as its payload. Without a profiler
    attached, nvtx does nothing.
    """

    def __init__(self) -> None:
        try:
            import nvtx
        except ModuleNotFoundError as error:
            if error.name != "nvtx":
                raise
            raise MissingExtraError("nvtx", "nvtx") from None
        self._domain = nvtx.get_domain(DOMAIN)

    def begin(self, task: Task) -> None:
        self._domain.push_range(message=task.stage.label, payload=task.moment.seq)

    def end(self) -> None:
        self._domain.pop_range()

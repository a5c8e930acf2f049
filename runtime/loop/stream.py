"""What belongs to one driver of a loop: its plan, its aligner, its moments, and the receiver of their results. A run
has one stream, or one for each of several cameras.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mm_edge.sample import Moment

    from .align import Aligner, Over, Stop
    from .flight import Flight
    from .plan import Plan
    from .stage import Task


class Receiver(Protocol):
    """Gets the result of each moment: in order, from one thread at a time, without the lock."""

    def completed(self, moment: Moment, tasks: list[Task]) -> None: ...

    def failed(self, moment: Moment, error: Exception) -> None: ...


class Stream:
    """Guarded by the loop's lock. `number`: its position among the loop's streams. The plan owns places for `depth`
    moments.
    """

    def __init__(self, number: int, plan: Plan, aligner: Aligner, receiver: Receiver, depth: int) -> None:
        self.aligner, self.receiver, self._number = aligner, receiver, number
        self.use(plan)
        self.skipped: Counter[str] = Counter()  # captures of the driver without a prediction, by cause
        self.flying: dict[int, Flight] = {}
        self.landed: dict[int, tuple[Flight, list[Task], Exception | None]] = {}
        self.next_to_deliver = 0
        self.delivering = False
        self.over: Over | Stop | None = None  # why no more of its moments begin
        self._depth = depth

    def use(self, plan: Plan) -> None:
        """The plan of all later moments."""
        self.plan = plan
        for stage in plan.stages:
            stage.stream = self._number

    @property
    def may_begin(self) -> bool:
        """Moments that are done and wait for an older one use no buffers; at most `depth` of them may wait."""
        return len(self.flying) < self._depth and len(self.landed) < self._depth and self.over is None

    @property
    def is_full_of_landed(self) -> bool:
        return len(self.landed) >= self._depth

    @property
    def unfinished(self) -> int:
        """Captures of the driver without a result: those in flight when the loop was stopped."""
        return len(self.flying) + len(self.landed) + (self.aligner.pending is not None)

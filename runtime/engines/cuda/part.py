"""A part as it is loaded on the GPU: its compiled form, its stream, and whether its runs are captured as graphs."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from mm_edge.errors import MmEdgeError
from mm_edge.runtime.engine import DeviceMemoryError

from .faults import DeviceLostError
from .graphs import capture

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mm_edge.bundle.manifest import Part, Precision

    from .compiled import Compiled, Dims
    from .device import Device
    from .graphs import Graph
    from .timing import Timeline


class CudaPart:
    """What all slots of a part share."""

    def __init__(
        self,
        device: Device,
        part: Part,
        precision: Precision,
        shapes: Mapping[str, Dims],
        compiled: Compiled,
        *,
        use_graphs: bool,
    ) -> None:
        self.device, self.part, self.precision, self.shapes, self.compiled = device, part, precision, shapes, compiled
        self.stream = compiled.stream or device.stream()
        # What one moment puts on the stream stays together, so that none waits for the input of a later one.
        self.turn = threading.Lock()
        self.timeline: Timeline | None = None  # set if the run is traced
        self.reads_in_place = False
        self.graph_use = "not requested"
        self._use_graphs = use_graphs

    def capture(self, enqueue: Callable[[int], None]) -> Graph | None:
        """None if graphs are off, or if the part cannot be captured: that is reported, and costs time, not results."""
        if not self._use_graphs:
            return None
        try:
            once = self.compiled.host_work_once
            graph = capture(enqueue, self.stream.handle, self.compiled.label, host_work_once=once)
        except (DeviceMemoryError, DeviceLostError):
            raise
        except (MmEdgeError, self.device.error) as error:
            self._use_graphs = False
            self.graph_use = f"none: {error}"
            return None
        self.graph_use = "captured"
        return graph

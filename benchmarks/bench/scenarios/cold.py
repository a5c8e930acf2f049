"""Cold start: from the start of a process to its first prediction, relative to imports and session creation alone."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

from mm_edge.errors import WorkFailedError
from mm_edge.runtime.session.wiring import OPTIONS
from mm_edge.spec import modality_of

from .series import rate

if TYPE_CHECKING:
    from mm_edge.benchmarks.bench.figure import Figure

    from .setting import Setting

MOST_S = 120.0
# The minimum for any script that runs these graphs: Python, numpy, OpenCV, the engine, its sessions.
BARE = """
import sys
from mm_edge.bundle.bundle import Bundle
import numpy, cv2
from mm_edge.config import EngineConfig
from mm_edge.runtime.engines.selection.choose import choose_precisions, load_parts, open_engine
with Bundle.open(sys.argv[1]) as bundle:
    engine = open_engine(EngineConfig(name=sys.argv[2]))
    chosen = choose_precisions(bundle.manifest, engine.family, sys.argv[3])
    load_parts(bundle, engine, chosen, {part.name: 1 for part in bundle.manifest.parts})
print("loaded", flush=True)
"""


class Cold:
    """One start of each kind per round. An unmeasured start first fills the file cache."""

    name, share = "cold", 0.05

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._whole_s: list[float] = []
        self._bare_s: list[float] = []

    def round(self, _seconds: float) -> None:
        engine = self._setting.config.engine
        if not self._whole_s:
            self._first_line(self._command())  # fills the caches
        bare = [sys.executable, "-c", BARE, str(self._setting.path), engine.name, engine.precision]
        self._bare_s.append(self._first_line(bare))
        self._whole_s.append(self._first_line(self._command()))

    def figures(self, pace_us: tuple[float, ...]) -> list[Figure]:
        return [
            rate(
                self.name,
                "first prediction",
                self._whole_s,
                pace_us,
                unit="s",
                better="less",
                floor=("imports and session creation", self._bare_s),
                note="from process start; files cached",
            )
        ]

    def _command(self) -> list[str]:
        engine = self._setting.config.engine
        options = [f"--engine={engine.name}", f"--precision={engine.precision}"]
        options = [option for option in options if not option.endswith("=auto")]
        for spec in self._setting.bundle.manifest.inputs:
            for option, modalities in OPTIONS.items():
                if modality_of(spec) in modalities:
                    value = "the red ball" if option == "text" else "synthetic"
                    options += [f"--{option}", f"{spec.name}={value}"]
        command = [sys.executable, "-m", "mm_edge.cli", "run", str(self._setting.path), *options]
        return [*command, "--jsonl", "-", "--quiet"]

    def _first_line(self, command: list[str]) -> float:
        """Seconds until the first line with a result."""
        began_s = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                for line in process.stdout or ():
                    if '"kind":"event"' not in line:
                        return time.perf_counter() - began_s
                    if time.perf_counter() - began_s > MOST_S:
                        break
                errors = process.stderr.read() if process.stderr else ""
            finally:
                process.kill()
        raise WorkFailedError(
            f"the process gave no result: {errors.strip()[:500]}", action=f"measuring {' '.join(command[1:6])} …"
        )

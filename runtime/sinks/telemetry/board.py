"""The status of a run as text: a table for a terminal, or one line for a log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from .words import in_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

    from .status import CameraView, InputView, RunView, Spread

# Color marks what needs attention; the normal state stays plain.
STYLES = {
    "held": "dim",
    "ok": "green",
    "live": "green",
    "degraded": "yellow",
    "stale": "yellow",
    "reconnecting": "yellow",
    "refused": "yellow",
    "missing": "yellow",
    "lost": "bold red",
}
BAR_CELLS = 24
EVENTS_SHOWN = 4
STALLED_S = 1.0
WELL = frozenset({"live", "ended"})
ENGINE_SHOWN = ("engine", "version", "provider", "device", "precisions")


def board(view: RunView) -> RenderableType:
    """The whole status on one screen."""
    sections: list[RenderableType] = [_head(view), _inputs(view)]
    if view.stages:
        sections.append(_stages(view.stages))
    if view.outputs:
        sections.append(_outputs(view))
    if view.events:
        sections.append(_events(view))
    return Group(*(Padding(section, (0, 0, 1, 1)) for section in sections))


def line(view: RunView) -> str:
    """The status as one log line."""
    total = view.stages.get("total")
    words = [f"{view.running_s:.0f} s", f"{view.predictions} predictions", f"{view.rate_hz:.1f}/s", view.health]
    if total:
        words.append(f"latency p50 {total.p50:.1f} p99 {total.p99:.1f} ms")
    words += [f"{name} {_age(entry)} {entry.state}" for name, entry in view.inputs.items()]
    if dropped := sum(sum(entry.dropped.values()) for entry in view.inputs.values()):
        words.append(f"dropped {dropped}")
    words += [
        f"{name} {source.state}" for name, source in view.sources.items() if source.state not in {"live", "ended"}
    ]
    return "  ".join(words)


def _head(view: RunView) -> Text:
    minutes, seconds = divmod(int(view.running_s), 60)
    head = Text.assemble((f"{view.model} ", "bold"), (f"v{view.version}", "dim"), "   ")
    head.append(view.health, STYLES.get(view.health, ""))
    head.append(f"   {view.rate_hz:5.1f} predictions/s   {minutes}:{seconds:02d}")
    if view.idle_s is not None and view.idle_s > STALLED_S and view.summary is None:
        head.append(f"   no prediction for {view.idle_s:.0f} s", "yellow")
    if view.deadline_missed:
        head.append(f"   {view.deadline_missed} deadlines missed", "yellow")
    engine = "  ".join(
        str(view.engine[key]) for key in ("engine", "version", "provider", "device") if key in view.engine
    )
    head.append(f"\n{engine}", "dim")
    return head


def _table(*columns: str) -> Table:
    """The first column is the row's name; columns marked with > are right-aligned numbers."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", expand=False)
    for column in columns:
        right = column.startswith(">")
        table.add_column(column.lstrip(">"), justify="right" if right else "left", no_wrap=True, overflow="ellipsis")
    return table


def _inputs(view: RunView) -> Table:
    table = _table("input", "state", ">age ms", ">p99", ">rate/s", ">captured", "dropped", "source")
    for name, entry in view.inputs.items():
        dropped = "  ".join(f"{count} {cause}" for cause, count in entry.dropped.items() if count)
        table.add_row(
            Text(name),
            Text(entry.state, STYLES.get(entry.state, "")),
            f"{entry.age_ms.last:.1f}" if entry.age_ms else "-",
            f"{entry.age_ms.p99:.1f}" if entry.age_ms else "-",
            f"{entry.rate_hz:.1f}" if entry.rate_hz else "-",
            "-" if entry.captured is None else str(entry.captured),
            Text(dropped or "-", "" if dropped else "dim"),
            Text(entry.source, "dim"),
        )
    return table


def _stages(stages: Mapping[str, Spread]) -> Table:
    table = _table("stage", ">ms p50", ">p99", "")
    most = max(stage.p50 for stage in stages.values()) or 1.0
    for name, stage in sorted(stages.items(), key=lambda pair: pair[0] == "total"):
        whole = name == "total"
        bar = Text("━" * max(1, round(BAR_CELLS * stage.p50 / most)), "dim" if whole else "cyan")
        table.add_row(Text(name, "bold" if whole else ""), f"{stage.p50:.2f}", f"{stage.p99:.2f}", bar)
    return table


def _outputs(view: RunView) -> Table:
    if view.cameras:
        return _outputs_of_cameras(view, view.cameras)
    table = _table("output", "")
    for name, value in view.outputs.items():
        table.add_row(Text(name), Text(in_words(value, view.kinds.get(name, ""))))
    return table


def _outputs_of_cameras(view: RunView, cameras: Mapping[str, CameraView]) -> Table:
    """A row for each camera, a column for each output."""
    names = list(view.kinds)
    table = _table("camera", ">predictions", ">rate/s", *names)
    for name, camera in cameras.items():
        shown = [
            Text(in_words(camera.outputs[output], view.kinds[output]) if output in camera.outputs else "-")
            for output in names
        ]
        table.add_row(Text(name), str(camera.predictions), f"{camera.rate_hz:.1f}", *shown)
    return table


def _events(view: RunView) -> Table:
    table = _table(">s ago", "event", "", "")
    for event in view.events[-EVENTS_SHOWN:]:
        state = Text(event.state, STYLES.get(event.state, ""))
        table.add_row(f"{event.ago_s:.0f}", Text(event.source), state, Text(event.detail, "dim"))
    return table


def _age(entry: InputView) -> str:
    return f"{entry.age_ms.last:.0f} ms" if entry.age_ms else "-"

"""mm-edge run: streams camera, microphone and text through a bundle and outputs its predictions."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mm_edge.cli import interrupts
from mm_edge.cli.gc_paused import gc_paused

if TYPE_CHECKING:
    from mm_edge.bundle.bundle import Bundle
    from mm_edge.config import RunConfig
    from mm_edge.runtime.session.session import Session
    from mm_edge.runtime.sink import Sink
    from mm_edge.runtime.source import Source
    from mm_edge.runtime.sources.play import PlayClock
    from mm_edge.runtime.trace import Trace
    from mm_edge.runtime.view.server import ViewServer

POLL_S = 0.1  # how soon a signal ends the wait


def run(
    bundle: Annotated[
        Path | None,
        typer.Argument(
            metavar="[BUNDLE]",
            show_default=False,
            help="A .mmb file or a bundle's folder; by default, the bundle that ships with mm-edge.",
        ),
    ] = None,
    camera: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SPEC",
            help="0, /dev/video0, file.mp4, rtsp://…, http://…/x.mjpg, csi://0, gst:PIPELINE, images/%05d.jpg, "
            "synthetic or none. Several share a model with one picture input: --camera door=0 --camera yard=1.",
        ),
    ] = None,
    mic: Annotated[
        list[str] | None,
        typer.Option(metavar="SPEC", help="default, a device number or part of its name, file.wav, synthetic or none."),
    ] = None,
    text: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="The prompt; - reads lines from standard input.")
    ] = None,
    take: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="A folder with camera.mp4, sound.wav and text.jsonl, played in sync."),
    ] = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="Play the recording that ships with mm-edge; no device is needed.")
    ] = False,
    engine: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="auto, onnxruntime[:PROVIDER], openvino, tensorrt or tensorrt-rtx."),
    ] = None,
    precision: Annotated[str | None, typer.Option(metavar="NAME", help="auto, fp32, fp16 or int8.")] = None,
    seconds: Annotated[float | None, typer.Option(metavar="N", min=0.001, help="End after this many seconds.")] = None,
    speed: Annotated[str | None, typer.Option(metavar="real|max", help="Playback speed of files.")] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Repeat files endlessly.")] = False,
    depth: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Moments in flight at the same time (2).")
    ] = None,
    deadline_ms: Annotated[
        float | None,
        typer.Option(metavar="N", help="Count predictions that are older than this when they are delivered."),
    ] = None,
    jsonl: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write one JSON object per line; - is standard output.")
    ] = None,
    view: Annotated[str | None, typer.Option(metavar="[HOST:]PORT", help="Show the run in a browser.")] = None,
    record: Annotated[Path | None, typer.Option(metavar="FILE.mcap", help="Record captures and predictions.")] = None,
    trace: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Write a timeline of every stage, for ui.perfetto.dev.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="A configuration (docs/configuration.md).")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A.B=C", help="Set one configuration value; repeatable."),
    ] = None,
    sink: Annotated[
        list[str] | None,
        typer.Option(metavar="SPEC", help="An additional sink: jsonl:FILE, null, or one from a plug-in."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No table in the terminal.")] = False,
) -> None:
    """Run a bundle live on camera, microphone and text, or on files.

    mm-edge run --camera 0 --mic default --text "the red ball"     all three, with the bundle that ships

    mm-edge run robot.mmb --take takes/kitchen --jsonl -            a recording, as JSON lines

    mm-edge run --demo --view 8700                                  the demo in the browser
    """
    from mm_edge.errors import NotImplementedYetError

    os.environ.setdefault(
        "OPENCV_LOG_LEVEL", "ERROR"
    )  # its warnings would break the table; real faults are reported as events
    if record is not None:
        raise NotImplementedYetError(
            "recording is not implemented yet",
            action=f"--record {record}",
            hint="Use --jsonl or --trace instead",
        )
    flags = {
        "engine.name": engine,
        "engine.precision": precision,
        "loop.seconds": seconds,
        "loop.depth": depth,
        "loop.deadline_ms": deadline_ms,
        "sources.speed": speed,
    }
    changes = [
        *(settings or []),
        *(["sources.loop=true"] if loop else []),
        *(f"{key}={value}" for key, value in flags.items() if value is not None),
    ]
    options = {"camera": camera or [], "mic": mic or [], "text": text or []}
    with gc_paused():
        opened, config_made, sources, play = _wire(bundle, config, changes, options, take, demo=demo)
        from mm_edge.runtime.session.session import Session

        try:
            recorder, server = _trace(trace), _view(view)
            specs = [*([] if jsonl is None else [f"jsonl:{jsonl}"]), *(sink or [])]
            _check_distinct([spec.removeprefix("jsonl:") for spec in specs if spec.startswith("jsonl:")], trace)
            sinks = [*_sinks(specs, quiet=quiet), *([server] if server else [])]
            session = Session(opened, config_made, sources, play=play, sinks=sinks, trace=recorder)
        except BaseException:
            opened.close()
            raise
    if server is not None:
        _connect(server, session)
    _run(session, recorder)


def _wire(
    bundle: Path | None,
    config_file: Path | None,
    changes: list[str],
    options: dict[str, list[str]],
    take: Path | None,
    *,
    demo: bool,
) -> tuple[Bundle, RunConfig, list[Source], PlayClock]:
    """The bundle, the complete configuration and its sources. No device is opened yet."""
    from concurrent.futures import ThreadPoolExecutor

    from mm_edge.bundle.bundle import Bundle
    from mm_edge.config import RunConfig, load_config
    from mm_edge.errors import UsageError
    from mm_edge.shipped import default_bundle, demo_take

    if demo and take is not None:
        raise UsageError("--demo is a take as well", action=f"--take {take}", hint="Give one of them")
    config = load_config(RunConfig, config_file, changes)
    with ThreadPoolExecutor(1) as beside:
        # Computing digests releases the interpreter, so the imports of a run go on meanwhile.
        opening = beside.submit(Bundle.open, bundle or default_bundle(), config.trust)
        from mm_edge.runtime.session.session import Session  # noqa: F401
        from mm_edge.runtime.session.wiring import wire_sources, with_options
    opened = opening.result()
    try:
        played = str(demo_take() if demo else take or "") or None
        config = with_options(config, opened.manifest, options, played)
        return opened, config, *wire_sources(opened.manifest, config)
    except BaseException:
        opened.close()
        raise


def _trace(path: Path | None) -> Trace | None:
    if path is None:
        return None
    from mm_edge.runtime.trace import Trace

    return Trace(path)


def _sinks(specs: list[str], *, quiet: bool) -> list[Sink]:
    from mm_edge.cli.standard_streams import was_closed
    from mm_edge.errors import UsageError
    from mm_edge.runtime.sinks.registry import open_sink

    if was_closed("stdout") and "jsonl:-" in specs:
        raise UsageError("standard output is closed", action="writing predictions to -", hint="Use --jsonl FILE")

    sinks = [open_sink(spec) for spec in specs]
    if not quiet:
        from mm_edge.runtime.sinks.terminal import TerminalSink

        sinks.append(TerminalSink())
    return sinks


def _check_distinct(targets: list[str], trace: Path | None) -> None:
    """Two outputs in one file would overwrite each other."""
    from mm_edge.errors import UsageError

    seen: set[str] = set()
    for target in [*targets, *([] if trace is None else [str(trace)])]:
        path = target if target == "-" else os.path.realpath(target)
        if path in seen and (path == "-" or Path(path).is_file() or not Path(path).exists()):
            raise UsageError("two outputs write to it", action=f"writing to {target}", hint="Give each its own file")
        seen.add(path)


def _view(address: str | None) -> ViewServer | None:
    """The live page, already listening, so that an occupied port ends the command before anything runs."""
    if address is None:
        return None
    from mm_edge.errors import UsageError
    from mm_edge.runtime.view.server import ViewServer

    host, _, port = address.rpartition(":")
    if not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < 1 << 16:
        raise UsageError(
            "expected [HOST:]PORT", action=f"--view {address}", hint="Example: --view 8700, or --view 0.0.0.0:8700"
        )
    server = ViewServer(host.strip("[]") or "127.0.0.1", int(port))
    server.start()
    typer.echo(server.invitation(), err=True)
    return server


def _connect(server: ViewServer, session: Session) -> None:
    """What the page may do: set the text if there is one, pause and step if files are played."""
    if session.takes_text:
        server.set_text = session.set_text
    if session.is_played:
        server.controls = session.play


def _run(session: Session, trace: Trace | None) -> None:
    """Runs until the end, for --seconds, or until a signal; then raises the error that ended the run, if any."""
    interrupted = threading.Event()
    if interrupts.arrived():  # while packages were imported, and its exception disappeared there
        raise KeyboardInterrupt

    def interrupt(_number: int, _frame: Any) -> None:
        if interrupted.is_set():
            os._exit(interrupts.INTERRUPTED)  # a second signal ends the process at once
        interrupted.set()
        session.hurry()

    before = interrupts.handle(interrupt)
    code = 0
    try:
        with session:
            _wait(session, session.config.loop.seconds, interrupted)
        if interrupted.is_set():
            code = interrupts.INTERRUPTED
        else:
            session.raise_error()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if trace is not None:
            trace.close()
        if session.left_behind and sys.exc_info()[0] is None:
            _leave(code)
    if code:
        raise typer.Exit(code)


def _wait(session: Session, seconds: float | None, interrupted: threading.Event) -> None:
    until_s = None if seconds is None else time.monotonic() + seconds
    while not interrupted.is_set():
        left_s = POLL_S if until_s is None else min(POLL_S, until_s - time.monotonic())
        if left_s <= 0 or session.wait(left_s):
            return


def _leave(code: int) -> None:
    """Ends the process although a thread still hangs in a driver: Python would wait for it."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

"""mm-edge export: converts a model into a verified bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from mm_edge.export.package.exported import Exported


def export(
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="zoo:NAME, package.module:factory, model.onnx or hf:PATH_OR_ID."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="BUNDLE", help="A .mmb file, or a folder without that ending.")
    ],
    precision: Annotated[
        str,
        typer.Option(metavar="auto|fp32|fp16|int8[,..]", help="Precisions in the bundle; auto measures and chooses."),
    ] = "auto",
    calibrate: Annotated[
        str | None, typer.Option(metavar="PATH", help="A folder of samples, or a take, to calibrate and verify on.")
    ] = None,
    tolerance: Annotated[
        float | None, typer.Option(metavar="X", min=1e-6, max=0.5, help="The largest allowed relative error.")
    ] = None,
    sign: Annotated[
        Path | None, typer.Option(metavar="KEY", help="Sign the bundle (mm-edge keygen makes keys).")
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(metavar="tensorrt-rtx:smNN", help="Build engines ahead of time; may be repeated."),
    ] = None,
    split: Annotated[
        Literal["auto", "always", "never"],
        typer.Option(help="Split the model by input: when it saves time, whenever possible, or never."),
    ] = "auto",
    method: Annotated[
        Literal["minmax", "percentile", "entropy"], typer.Option(help="How int8 ranges are calibrated.")
    ] = "minmax",
    samples: Annotated[int, typer.Option(min=2, max=4096, help="Number of calibration samples.")] = 32,
    keep_fp32: Annotated[
        list[str] | None,
        typer.Option("--keep-fp32", metavar="NODE", help="Name of a node to keep in fp32; may be repeated."),
    ] = None,
    search_seconds: Annotated[
        float,
        typer.Option(min=1, metavar="N", help="Time limit of each search for nodes that must stay fp32, in seconds."),
    ] = 60,
    spec: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="The inputs and outputs of an ONNX file.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Also write the report as an HTML page.")
    ] = None,
    bundle_version: Annotated[
        int, typer.Option(min=1, help="The version of the model; increase it with every release.")
    ] = 1,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    threads: Annotated[int, typer.Option(min=1, max=256, help="Threads per part while it is timed.")] = 1,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Allow a Hugging Face model to run its own code.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and write nothing.")] = False,
) -> None:
    """Convert a model into a bundle: split it by input, quantize it, verify it."""
    import mm_edge
    from mm_edge.export.pipeline import plan
    from mm_edge.export.recipe import make_recipe
    from mm_edge.export.workspace import TerminalProgress

    options: dict[str, Any] = {
        "precision": precision,
        "split": split,
        "calibrate": calibrate,
        "method": method,
        "samples": samples,
        "search_seconds": search_seconds,
        "keep_fp32": keep_fp32 or (),
        "tolerance": tolerance,
        "targets": target or (),
        "sign": sign,
        "seed": seed,
        "threads": threads,
        "version": bundle_version,
        "trust_remote_code": trust_remote_code,
        "spec": spec,
    }
    if dry_run:
        for line in plan(source, output, make_recipe(**options)):
            typer.echo(line)
        return
    _show(mm_edge.export(source, output, report=report, progress=TerminalProgress(), **options))


def _show(exported: Exported) -> None:
    from rich.filesize import decimal

    from mm_edge.cli.terminal import add, console, table

    out = console()
    for head, rows in exported.tables():
        shown = table(*head)
        for row in rows:
            add(shown, *row)
        out.print(shown)
        out.print()
    for note in exported.notes:
        out.print(f"note: {note}", markup=False, highlight=False)
    out.print(
        f"{exported.path}: {decimal(exported.size)}, written, reloaded and checked", markup=False, highlight=False
    )

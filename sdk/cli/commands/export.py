"""mm-edge export: makes a bundle out of a model, or says why it will not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mm_edge.errors import UsageError

if TYPE_CHECKING:
    from mm_edge.bundle.manifest import Precision
    from mm_edge.export.package.exported import Exported

ASKED: dict[str, tuple[Precision, ...]] = {
    "fp32": ("fp32",),
    "fp16": ("fp16",),
    "int8": ("int8-cpu", "int8-trt"),
    "int8-cpu": ("int8-cpu",),
    "int8-trt": ("int8-trt",),
}


def export(
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="zoo:NAME, package.module:factory, model.onnx or hf:PATH_OR_ID."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="BUNDLE", help="A .mmb file, or a folder without that ending.")
    ],
    precision: Annotated[
        str, typer.Option(metavar="auto|fp32|fp16|int8[,..]", help="What the bundle holds; auto measures and chooses.")
    ] = "auto",
    calibrate: Annotated[
        str | None, typer.Option(metavar="PATH", help="A folder of samples, or a take, to calibrate and prove on.")
    ] = None,
    tolerance: Annotated[
        float | None, typer.Option(metavar="X", min=1e-6, max=0.5, help="The relative error that may be lost.")
    ] = None,
    sign: Annotated[Path | None, typer.Option(metavar="KEY", help="Sign it (mm-edge keygen makes keys).")] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(metavar="tensorrt-rtx:smNN", help="Build engines ahead of time; may be repeated."),
    ] = None,
    split: Annotated[
        Literal["auto", "always", "never"],
        typer.Option(help="Cut the model by input where it pays, where it can, or not."),
    ] = "auto",
    method: Annotated[
        Literal["minmax", "percentile", "entropy"], typer.Option(help="How int8 ranges are read off the samples.")
    ] = "minmax",
    samples: Annotated[int, typer.Option(min=2, max=4096, help="How many samples to calibrate on.")] = 32,
    keep_fp32: Annotated[
        list[str] | None,
        typer.Option("--keep-fp32", metavar="NODE", help="A node to leave in fp32, by name; may be repeated."),
    ] = None,
    search_seconds: Annotated[
        float, typer.Option(min=1, metavar="N", help="How long each search of what must stay fp32 may go on.")
    ] = 60,
    spec: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="What a foreign graph takes and gives.")
    ] = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE.html", help="Write the report as a page, too.")] = None,
    bundle_version: Annotated[int, typer.Option(min=1, help="Counts up with every release of a model.")] = 1,
    seed: Annotated[int, typer.Option(help="For everything that is random.")] = 0,
    threads: Annotated[int, typer.Option(min=1, max=256, help="Threads a part runs on while it is measured.")] = 1,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Let a Hugging Face model run code of its own.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and write nothing.")] = False,
) -> None:
    """Make a bundle out of a model: split it by modality, quantize it, prove it."""
    from mm_edge.export.pipeline import export as make_bundle
    from mm_edge.export.pipeline import plan
    from mm_edge.export.progress import TerminalProgress
    from mm_edge.export.recipe import Recipe

    recipe = Recipe(
        precisions=_precisions(precision),
        split=split,
        calibrate=calibrate,
        method=method,
        samples=samples,
        search_seconds=search_seconds,
        keep_fp32=tuple(keep_fp32 or ()),
        tolerance=tolerance,
        targets=tuple(target or ()),
        sign=str(sign) if sign else None,
        seed=seed,
        threads=threads,
        version=bundle_version,
        trust_remote_code=trust_remote_code,
        spec=str(spec) if spec else None,
    )
    if dry_run:
        for line in plan(source, output, recipe):
            typer.echo(line)
        return
    exported = make_bundle(source, output, recipe, TerminalProgress(), report)
    _show(exported)


def _precisions(text: str) -> tuple[Precision, ...]:
    """`auto` is the empty tuple: everything is made that can be, and measurement chooses."""
    if text == "auto":
        return ()
    requested = [word.strip() for word in text.split(",")]
    if unknown := [word for word in requested if word not in ASKED]:
        raise UsageError(
            f"'{unknown[0]}' is no precision",
            action="reading --precision",
            hint=f"Give auto, or some of {', '.join(ASKED)}",
        )
    return tuple(dict.fromkeys(precision for word in requested for precision in ASKED[word]))


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

"""mm-edge inspect: shows the inputs, parts, outputs and accuracy of a bundle."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from mm_edge.bundle.bundle import Bundle
    from mm_edge.bundle.manifest import Manifest, Part
    from mm_edge.spec import Shape


def inspect(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A .mmb file or a bundle folder.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Verify a bundle and show its inputs, parts, outputs, cost and measured accuracy."""
    from mm_edge.bundle.bundle import Bundle

    with Bundle.open(bundle) as opened:
        if json:
            _print_json(opened)
        else:
            _print_tables(opened)


def _print_json(bundle: Bundle) -> None:
    from mm_edge.cli.terminal import print_json

    shown = {"path": str(bundle.path), "bytes": bundle.size, "signature": bundle.signature, "manifest": bundle.manifest}
    print_json(shown)


def _print_tables(bundle: Bundle) -> None:
    from rich.filesize import decimal
    from rich.markup import escape

    from mm_edge.cli.terminal import console

    manifest, out = bundle.manifest, console()
    signed = f"signed by {bundle.signature.key}, signature not checked" if bundle.signature else "not signed"
    head = f"version {manifest.version}, {len(manifest.digests)} files, {decimal(bundle.size)}, {escape(signed)}"
    out.print(f"[bold]{manifest.name}[/] {head}")
    if manifest.description:
        out.print(escape(manifest.description))
    shown: list[Table | str] = [_inputs(manifest), _parts(manifest), *_saved(manifest), _outputs(manifest)]
    for item in shown + ([_parity(manifest)] if manifest.parity else []):
        out.print()
        out.print(item)


def _inputs(manifest: Manifest) -> Table:
    from mm_edge.cli.terminal import add, table
    from mm_edge.spec import modality_of

    inputs = table("input", "modality", "tensor", "max age", "if missing")
    for spec in manifest.inputs:
        sync = manifest.sync.inputs.get(spec.name)
        age, missing = ("", "driver") if spec.name == manifest.sync.driver else ("any", "hold")
        if sync and spec.name != manifest.sync.driver:
            age, missing = "any" if sync.max_age_ms is None else f"{sync.max_age_ms:g} ms", sync.missing
        add(inputs, spec.name, modality_of(spec), f"{spec.dtype} {_shape(spec.shape)}", age, missing)
    return inputs


def _parts(manifest: Manifest) -> Table:
    from rich.filesize import decimal

    from mm_edge.cli.terminal import add, table

    columns = ("kind", "reads", "outputs", "cached", "parameters", "FLOPs", "precisions", "latency at export")
    parts = table("part", *columns)
    for part in manifest.parts:
        reads = "\n".join(read.source for read in part.reads.values())
        gives = "\n".join(f"{tensor.name} {_shape(tensor.shape)}" for tensor in part.gives)
        cached = "\n".join(decimal(size) if size else "" for size in _cached(manifest, part))
        sizes = "\n".join(
            f"{name} {decimal(manifest.digests[made.file].size)}" for name, made in part.artefacts.items()
        )
        cost = "\n".join(f"{name} {ms:.2f} ms" for name, ms in part.cost.ms.items())
        work = f"{part.cost.parameters:,}", f"{part.cost.flops:,}"
        add(parts, part.name, part.kind, reads, gives, cached, *work, sizes, cost)
    return parts


def _cached(manifest: Manifest, part: Part) -> list[int]:
    """Bytes of each tensor that another part reads, at its usual size; 0 for a model output."""
    import numpy as np

    read = {read.source for other in manifest.parts for read in other.reads.values()}
    return [
        prod(manifest.fixed(tensor.shape)) * np.dtype(tensor.dtype).itemsize
        if f"part:{part.name}.{tensor.name}" in read
        else 0
        for tensor in part.gives
    ]


def _saved(manifest: Manifest) -> list[str]:
    """The share of the work that the live loop skips when only one input has new data, by input."""
    flops = {part.name: part.cost.flops for part in manifest.parts}
    if not sum(flops.values()) or len(manifest.parts) == 1:
        return []
    shares = []
    for spec in manifest.inputs:
        idle = sum(
            flops[part.name]
            for part in manifest.parts
            if part.kind == "encode" and not any(_is_of(read.source, spec.name) for read in part.reads.values())
        )
        shares.append(f"{spec.name} {idle / sum(flops.values()):.0%}")
    return ["work skipped when only one input has new data: " + ", ".join(shares)]


def _is_of(source: str, name: str) -> bool:
    """Whether a part reads this input or its mask."""
    return source in {f"input:{name}", f"input:{name}.mask"}


def _outputs(manifest: Manifest) -> Table:
    from mm_edge.cli.terminal import add, table

    outputs = table("output", "kind", "labels")
    for spec in manifest.outputs:
        add(outputs, spec.name, str(spec.__struct_config__.tag), " ".join(getattr(spec, "labels", ())))
    return outputs


def _parity(manifest: Manifest) -> Table:
    from mm_edge.cli.terminal import add, table

    parity = table("accuracy of", "precision", "tensor", "max error", "cosine", "agreement", "samples", "")
    packed = {"fp32", *(precision for part in manifest.parts for precision in part.artefacts)}
    for row in manifest.parity:
        failed = "FAILED" if row.precision in packed else "failed, not included"
        agreement = "" if row.agreement is None else f"{row.agreement:.1%}"
        cells = (row.scope, row.precision, row.tensor, f"{row.max_error:.2g}", f"{row.cosine:.5f}", agreement)
        add(parity, *cells, f"{row.samples} {row.data}", "passed" if row.passed else failed)
    return parity


def _shape(shape: Shape) -> str:
    return f"[{', '.join(map(str, shape))}]"

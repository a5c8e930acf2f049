"""mm-edge inspect: tells what a bundle takes, gives, costs and loses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from mm_edge.bundle import Bundle
    from mm_edge.manifest import Manifest
    from mm_edge.spec import Shape


def inspect(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A .mmb file or a bundle's folder.")],
    json: Annotated[bool, typer.Option("--json", help="Give all of it as JSON, for machines.")] = False,
) -> None:
    """Tell what a bundle takes, gives, costs and loses; the whole of it is verified first."""
    from mm_edge.bundle import Bundle

    with Bundle.open(bundle) as opened:
        if json:
            _print_json(opened)
        else:
            _print_tables(opened)


def _print_json(bundle: Bundle) -> None:
    import msgspec

    told = {"path": str(bundle.path), "bytes": bundle.size, "signature": bundle.signature, "manifest": bundle.manifest}
    typer.echo(msgspec.json.format(msgspec.json.encode(told), indent=1))


def _print_tables(bundle: Bundle) -> None:
    from rich.filesize import decimal
    from rich.markup import escape

    from .terminal import console

    manifest, out = bundle.manifest, console()
    signed = f"signed by {bundle.signature.key}, not checked" if bundle.signature else "not signed"
    head = f"version {manifest.version}, {len(manifest.digests)} files, {decimal(bundle.size)}, {escape(signed)}"
    out.print(f"[bold]{manifest.name}[/] {head}")
    if manifest.description:
        out.print(escape(manifest.description))
    tables = [_inputs(manifest), _parts(manifest), _outputs(manifest)]
    for table in tables + ([_parity(manifest)] if manifest.parity else []):
        out.print()
        out.print(table)


def _inputs(manifest: Manifest) -> Table:
    from mm_edge.spec import modality_of

    from .terminal import add, table

    inputs = table("takes", "modality", "tensor", "max age", "if missing")
    for spec in manifest.inputs:
        sync = manifest.sync.inputs.get(spec.name)
        age, missing = ("", "drives the loop") if spec.name == manifest.sync.driver else ("any", "hold")
        if sync and spec.name != manifest.sync.driver:
            age, missing = "any" if sync.max_age_ms is None else f"{sync.max_age_ms:g} ms", sync.missing
        add(inputs, spec.name, modality_of(spec), f"{spec.dtype} {_shape(spec.shape)}", age, missing)
    return inputs


def _parts(manifest: Manifest) -> Table:
    from rich.filesize import decimal

    from .terminal import add, table

    parts = table("parts", "kind", "reads", "precisions", "at export")
    for part in manifest.parts:
        reads = "\n".join(read.source for read in part.reads.values())
        sizes = "\n".join(
            f"{name} {decimal(manifest.digests[made.file].size)}" for name, made in part.artefacts.items()
        )
        cost = "\n".join(f"{name} {ms:.2f} ms" for name, ms in part.cost.ms.items())
        add(parts, part.name, part.kind, reads, sizes, cost)
    return parts


def _outputs(manifest: Manifest) -> Table:
    from .terminal import add, table

    outputs = table("gives", "kind", "labels")
    for spec in manifest.outputs:
        add(outputs, spec.name, str(spec.__struct_config__.tag), " ".join(getattr(spec, "labels", ())))
    return outputs


def _parity(manifest: Manifest) -> Table:
    from .terminal import add, table

    parity = table("loses", "precision", "tensor", "max error", "cosine", "agreement", "samples", "")
    for row in manifest.parity:
        agreement = "" if row.agreement is None else f"{row.agreement:.1%}"
        cells = (row.scope, row.precision, row.tensor, f"{row.max_error:.2g}", f"{row.cosine:.5f}", agreement)
        add(parity, *cells, f"{row.samples} {row.data}", "passed" if row.passed else "FAILED")
    return parity


def _shape(shape: Shape) -> str:
    return f"[{', '.join(map(str, shape))}]"

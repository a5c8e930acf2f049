"""mm-edge verify: checks the digests of a bundle and, with a key, its signature."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def verify(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A .mmb file or a bundle folder.")],
    key: Annotated[
        list[Path] | None,
        typer.Option(metavar="PUB", help="Require a signature by this public key; of several, any one is sufficient."),
    ] = None,
    minimum_version: Annotated[
        int, typer.Option(metavar="N", min=0, help="Reject versions below N, as a protection against rollback.")
    ] = 0,
) -> None:
    """Verify every file of a bundle against its manifest, and the signature if a key is given."""
    from mm_edge.bundle.bundle import Bundle, Trust
    from mm_edge.printable import printable

    with Bundle.open(bundle, Trust(keys=tuple(map(str, key or ())), minimum_version=minimum_version)) as opened:
        signed = "not signed"
        if opened.signature:
            checked = "verified" if opened.trusted else "signature not checked: use --key PUB"
            signed = f"signed by {opened.signature.key}, {checked}"
        manifest = opened.manifest
        counted = f"{len(manifest.digests)} files, {opened.size} bytes"
        typer.echo(f"{printable(str(bundle))}: ok. {manifest.name} version {manifest.version}, {counted}, {signed}")

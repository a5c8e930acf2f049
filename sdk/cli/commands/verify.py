"""mm-edge verify: checks every byte of a bundle, and its signature where a key is given."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def verify(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A .mmb file or a bundle's folder.")],
    key: Annotated[
        list[Path] | None,
        typer.Option(metavar="PUB", help="A public key that must have signed it; with several, one of them must have."),
    ] = None,
    minimum_version: Annotated[
        int, typer.Option(metavar="N", min=0, help="Refuse an older version: somebody may have rolled it back.")
    ] = 0,
) -> None:
    """Check every byte of a bundle against its manifest, and the signature if a key is given."""
    from mm_edge.bundle.bundle import Bundle, Trust

    with Bundle.open(bundle, Trust(keys=tuple(map(str, key or ())), minimum_version=minimum_version)) as opened:
        signed = "not signed"
        if opened.signature:
            signed = (
                f"signed by {opened.signature.key}, {'checked' if opened.trusted else 'not checked: give --key PUB'}"
            )
        manifest = opened.manifest
        counted = f"{len(manifest.digests)} files, {opened.size} bytes"
        typer.echo(f"{bundle}: good. {manifest.name} version {manifest.version}, {counted}, {signed}")

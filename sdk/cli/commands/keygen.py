"""mm-edge keygen: creates a key pair for signing bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def keygen(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder for the two keys; created if missing.")],
) -> None:
    """Create a key pair for signing bundles. Existing keys are never overwritten."""
    from mm_edge.bundle.signing import generate_keys

    private, public = generate_keys(folder)
    typer.echo(f"{private}  private, keep it secret; sign with: mm-edge export SOURCE -o BUNDLE --sign {private}")
    typer.echo(f"{public}  public, distribute it; verify with: mm-edge verify BUNDLE --key {public}")

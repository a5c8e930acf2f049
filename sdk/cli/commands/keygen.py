"""mm-edge keygen: makes the pair of keys that bundles are signed and checked with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def keygen(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the two keys go; made if it is not there.")],
) -> None:
    """Make a key pair to sign bundles with; no key is ever overwritten."""
    from mm_edge.bundle.signing import generate_keys

    private, public = generate_keys(folder)
    typer.echo(f"{private}  private: keep it; sign with: mm-edge export SOURCE -o BUNDLE --sign {private}")
    typer.echo(f"{public}  public: give it away; check with: mm-edge verify BUNDLE --key {public}")

"""mm-edge schema: prints the JSON Schema of a file or a line that mm-edge writes."""

from __future__ import annotations

from typing import Annotated

import typer


def schema(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="For example prediction; without it, list the names.")
    ] = None,
) -> None:
    """Print a JSON Schema: of the manifest, a JSONL line, or the JSON of bench, doctor and devices."""
    from mm_edge.errors import UsageError
    from mm_edge.shipped import schema_files

    files = schema_files()
    if name is None:
        typer.echo("\n".join(files))
        return
    if name not in files:
        raise UsageError(
            f"no schema named '{name}'", action="mm-edge schema", hint=f"Available schemas: {', '.join(files)}"
        )
    typer.echo(files[name].read_text(encoding="utf-8"), nl=False)

"""mm-edge zoo: lists the included models and their model cards."""

from __future__ import annotations

from typing import Annotated

import typer


def zoo(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the included models and their model cards."""
    from mm_edge.zoo import catalog

    cards = {name: {**catalog.card(name), "trained": str(catalog.is_trained(name)).lower()} for name in catalog.names()}
    if json:
        from mm_edge.cli.terminal import print_json

        print_json(cards)
        return
    from mm_edge.cli.terminal import add, console, table

    for name, card in cards.items():
        shown = table(name, "")
        for field, text in card.items():
            add(shown, field, text)
        console().print(shown)
    typer.echo("Train: mm-edge train zoo:NAME [--quick]    Export: mm-edge export zoo:NAME -o NAME.mmb")

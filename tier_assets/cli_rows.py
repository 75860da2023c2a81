"""Commands about single rows: where they came from, why they are where they are, and facts by full text."""

from __future__ import annotations

from typing import Annotated

import typer

from tier_assets.cli_shared import CORPUS, BadInput, existing_lake

rows = typer.Typer()


@rows.command()
def trace(row_id: Annotated[str, typer.Argument(help="A fact_id, record_id or doc_id.", metavar="ID")]) -> None:
    """Follow a row to the bytes it came from: fact, record, text, raw record, byte range, file."""
    from tier_assets.trace import trace as follow

    try:
        typer.echo(follow(existing_lake(), row_id))
    except ValueError as error:
        raise BadInput(error) from error


@rows.command()
def why(doc_id: Annotated[str, typer.Argument(help="A doc_id.", metavar="DOC_ID")]) -> None:
    """Say where a document is kept, where it was dropped and by which rule, and show its text."""
    from tier_assets.why import why as told

    try:
        typer.echo(told(existing_lake(), doc_id))
    except ValueError as error:
        raise BadInput(error) from error


@rows.command()
def sample(
    reason: Annotated[str, typer.Option(help="A verdict's reason, such as too_few_words.", metavar="R")],
    tier: Annotated[str, typer.Option(help="The tier that dropped them: l0 to l4.")] = "l1",
    corpus: CORPUS = None,
    n: Annotated[int, typer.Option("-n", help="How many.")] = 10,
) -> None:
    """Show documents that were dropped for a reason: the value that decided, and their text."""
    from tier_assets.why import sample as drawn

    try:
        typer.echo(drawn(existing_lake(), reason, tier, corpus, n))
    except ValueError as error:
        raise BadInput(error) from error


@rows.command()
def search(
    query: Annotated[str, typer.Argument(help="Words to look for.")],
    k: Annotated[int, typer.Option("-k", help="How many facts.")] = 5,
) -> None:
    """Find facts of L4 by full text, best first."""
    from tier_assets.l4_organized.assets import find

    for hit in find(existing_lake(), query, k):
        typer.echo(f"{hit.score:6.2f}  {hit.fact_id}  {hit.statement}")

"""Commands about edit programs: the operations that made a record, and taking one back."""

from __future__ import annotations

from typing import Annotated

import typer

from tier_assets.cli_shared import BadInput, existing_lake

edit_commands = typer.Typer()


@edit_commands.command()
def edits(
    record_id: Annotated[str, typer.Argument(help="A record, or a rejected candidate.", metavar="RECORD_ID")],
) -> None:
    """Show the program that made a record: its parent, each operation with state and reason, and the text."""
    from tier_assets.edit_audit import shown_edits

    try:
        typer.echo(shown_edits(existing_lake(), record_id))
    except ValueError as error:
        raise BadInput(error) from error


@edit_commands.command()
def undo(
    operation_id: Annotated[str, typer.Argument(help="An operation, as `lake edits` shows it.", metavar="ID")],
    reason: Annotated[str | None, typer.Option(help="Why it is taken back.", metavar="R")] = None,
    redo: Annotated[bool, typer.Option("--redo", help="Do it again.")] = False,
) -> None:
    """Take one operation of an edit program back, or do it again: it holds from the next refinement on."""
    from tier_assets.edit_audit import take_back

    if redo == bool(reason):
        raise BadInput("give --reason to take an operation back, or --redo to do it again")
    try:
        typer.echo(take_back(existing_lake(), operation_id, reason))
    except ValueError as error:
        raise BadInput(error) from error

"""Commands of the training uses: which verification level each asks of L3's records, and how many meet it."""

from __future__ import annotations

from typing import Annotated

import typer

from tier_assets.cli_shared import BadInput, ask, existing_lake

RULES = """
    WITH met AS (
        SELECT a.use, o.task, count(*) AS records,
               count(*) FILTER (verification_level >= coalesce(o.min_level, a.min_level)) AS fit
        FROM l3_refined r JOIN uses_in_force a ON a.task IS NULL
        LEFT JOIN uses_in_force o ON o.use = a.use AND o.task = r.task
        WHERE r.in_policy GROUP BY ALL)
    SELECT u.use, coalesce(u.task, 'any other') AS task, min_level, coalesce(records, 0) AS records,
           coalesce(fit, 0) AS fit, reason
    FROM uses_in_force u LEFT JOIN met ON met.use = u.use AND met.task IS NOT DISTINCT FROM u.task
    ORDER BY ALL"""

uses = typer.Typer(help="Which verification level each use in training asks of L3's records.")


@uses.callback(invoke_without_command=True)
def show(context: typer.Context) -> None:
    """The rules in force, and how many of the records that each is for meet it."""
    if context.invoked_subcommand is None:
        ask(existing_lake(), RULES, "table")


@uses.command("set")
def set_rule(
    use: Annotated[str, typer.Argument(help="mid_training, decay or alignment.", metavar="USE")],
    level: Annotated[int, typer.Option(help="Lowest level taken, 1 to 4; 5 takes none.", metavar="N")],
    reason: Annotated[str, typer.Option(help="Why.", metavar="TEXT")],
    task: Annotated[str | None, typer.Option(help="Only this task; else all without a rule.", metavar="T")] = None,
) -> None:
    """Ask for a verification level from now on; earlier rules stay on record in `training_uses`."""
    from tier_assets.l3_refined.tasks import TASKS
    from tier_assets.l3_refined.uses import row_of

    lake = existing_lake()
    try:
        row = row_of(use, task, level, reason, [known.name for known in TASKS])
    except ValueError as error:
        raise BadInput(error) from error
    lake.append("training_uses", row)
    about = f"records of {task}" if task else "records of every task without a rule of its own"
    typer.echo(f"{use} takes {about} from level {level} on; SELECT * FROM l3_for_training", err=True)

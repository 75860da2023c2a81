"""Commands of the loop: telemetry in, reference sets, a turn of the loop, rounds and their rollback."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tier_assets.cli_shared import CORPUS, SNAPSHOT, BadInput, ask, chosen_keys, existing_lake

if TYPE_CHECKING:
    from resources.lake import Lake
    from tier_assets.runs import Outcome

loop_commands = typer.Typer()
reference = typer.Typer(no_args_is_help=True, help="What influence is measured on: a reference, and a guard.")
loop_commands.add_typer(reference, name="reference")

FOLLOW_SECONDS = 5.0


@loop_commands.command()
def loop(
    no_train: Annotated[
        bool, typer.Option("--no-train", help="Only probe the checkpoint that a run has reported.")
    ] = False,
) -> None:
    """One turn of the loop: draw a stage from L2, train the reference model on it, probe its checkpoint, learn an
    influence model, re-tier by it, and draw the next stage.

    What sensors do by themselves in `lake up`, here at once. A lake that another run steers (`lake steer`) is not
    trained here: use `--no-train`.
    """
    from tier_assets.runs import turn

    lake = existing_lake()
    chosen_keys(lake, None, None)
    _ended(lake, lambda instance: turn(lake, instance, train=not no_train))


@loop_commands.command()
def rounds() -> None:
    """The selection rounds: what opened each, its influence model, and what moved."""
    ask(
        existing_lake(),
        "SELECT round, kind, model_version, count(*) FILTER (to_tier = 'l2') AS promoted, "
        "count(*) FILTER (to_tier = 'l1') AS demoted FROM tier_moves "
        "LEFT JOIN influence_rounds USING (round) GROUP BY ALL ORDER BY round",
        "table",
    )


@loop_commands.command()
def retier(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would move.")] = False,
    model: Annotated[
        str | None, typer.Option(help="With `--dry-run`: an influence model that has predicted.", metavar="V")
    ] = None,
    corpus: CORPUS = None,
    snapshot: SNAPSHOT = None,
) -> None:
    """Bring every partition into the round in force: scores and members, no text; or show what would move."""
    from resources.engines import Engines
    from tier_assets.rounds import round_in_force
    from tier_assets.runs import retier as run_retier
    from tier_assets.selection import dry_run_round

    lake = existing_lake()
    keys = chosen_keys(lake, corpus, snapshot)
    if not dry_run:
        _ended(lake, lambda instance: run_retier(lake, instance, keys))
        return
    version = model or round_in_force(lake).model_version
    if version is None:
        raise BadInput("no influence model is in force yet: `lake loop` learns one")
    try:
        typer.echo(dry_run_round(lake, version, keys, Engines()))
    except ValueError as error:
        raise BadInput(error) from error


@loop_commands.command()
def rollback(
    to: Annotated[int, typer.Argument(help="The round whose members come back.", metavar="ROUND")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would move.")] = False,
) -> None:
    """Open a round with the members and the influence model of an earlier one, and re-tier every partition."""
    from resources.engines import Engines
    from tier_assets.rounds import roll_back
    from tier_assets.runs import retier as run_retier
    from tier_assets.selection import dry_run_rollback

    lake = existing_lake()
    keys = chosen_keys(lake, None, None)
    try:
        if dry_run:
            typer.echo(dry_run_rollback(lake, to, keys, Engines()))
            return
        opened = roll_back(lake, to)
    except ValueError as error:
        raise BadInput(error) from error
    typer.echo(f"round {opened.number} restores round {to}", err=True)
    _ended(lake, lambda instance: run_retier(lake, instance, keys))


@loop_commands.command()
def steer(
    run: Annotated[str, typer.Argument(help="A training run that has reported.", metavar="RUN")],
) -> None:
    """Let one training run steer the selection: its checkpoints are probed."""
    from tier_assets.steering import steer_by

    try:
        steer_by(existing_lake(), run)
    except ValueError as error:
        raise BadInput(error) from error


@loop_commands.command()
def telemetry(
    file: Annotated[Path, typer.Argument(help="JSON Lines that a trainer appends to.", metavar="FILE.jsonl")],
    follow: Annotated[bool, typer.Option("--follow", help="Wait for more until interrupted.")] = False,
) -> None:
    """Take a training run's reports: lines of {run, step, domain, tokens, loss, lr}, and checkpoint where one was left.

    A line that is wrong is kept with its reason in `telemetry_refused`; a repeated one is passed over.
    """
    from tier_assets.m1_training.telemetry import tail

    lake = existing_lake()
    at = 0
    try:
        while True:
            at = tail(lake, file, at)
            if not follow:
                break
            time.sleep(FOLLOW_SECONDS)
    except (ValueError, OSError) as error:
        raise BadInput(error) from error
    except KeyboardInterrupt:
        pass
    typer.echo(f"{file}: read to byte {at}; SELECT * FROM training_telemetry, telemetry_refused", err=True)


@reference.command("set")
def reference_set(
    source: Annotated[str, typer.Argument(help="rated, general, l3_refined, l4_facts, or a .jsonl file {id, text}.")],
    role: Annotated[str, typer.Option(help="reference, or guard.")] = "reference",
    name: Annotated[str | None, typer.Option(help="Name of the set.", metavar="NAME")] = None,
) -> None:
    """Choose what training should become better at (`reference`), or must not become worse at (`guard`).

    The items' ancestors and near duplicates leave the pool. The next probes are measured on it.
    """
    from tier_assets.references import choose_reference

    try:
        typer.echo(choose_reference(existing_lake(), source, role, name), err=True)
    except (ValueError, OSError) as error:
        raise BadInput(error) from error


@reference.command("list")
def reference_list() -> None:
    """The reference sets in force: items, and documents held out for them."""
    ask(
        existing_lake(),
        "SELECT role, name, reference_version, count(*) AS items, "
        "(SELECT count(*) FROM held_out h WHERE h.item_id IN (SELECT item_id FROM reference_items x "
        "WHERE x.role = r.role)) AS held_out FROM reference_items r GROUP BY ALL ORDER BY role",
        "table",
    )


def _ended(lake: Lake, work) -> None:  # type: ignore[no-untyped-def]
    """Do the work on the lake's instance and say how it ended."""
    from quality_checks.report import write_report
    from resources.progress import shown
    from tier_assets.instance import open_instance

    with shown(), open_instance(lake) as instance:
        outcome: Outcome = work(instance)
    if outcome.made or outcome.problems:
        write_report(lake)
    for about, problem in outcome.problems.items():
        typer.echo(f"lake: {about}: {problem}", err=True)
    for made in outcome.made:
        typer.echo(f"made {made}", err=True)
    if outcome.problems:
        raise typer.Exit(1)

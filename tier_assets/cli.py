"""The `lake` command: ingest files, make the tiers, check them, ask them, follow a row to its bytes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tier_assets.cli_edits import edit_commands
from tier_assets.cli_loop import loop, loop_commands, rounds
from tier_assets.cli_rows import rows
from tier_assets.cli_shared import CORPUS, SNAPSHOT, BadInput, ask, chosen_keys, existing_lake, open_lake
from tier_assets.cli_uses import uses
from tier_tables import TIERS

if TYPE_CHECKING:
    from resources.lake import Lake

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="A lakehouse for LLM training data: tiers L0 to L4 as Dagster assets in Delta Lake.\n\n"
    "`LAKE_ROOT` names the lake (default `.lake`), `LAKE_LLM` the language model (default: the bundled one). "
    "Results go to standard output, all else to standard error.",
)
app.add_typer(rows)
app.add_typer(loop_commands)
app.add_typer(edit_commands)
app.add_typer(uses, name="uses")


@app.command()
def ingest(
    src: Annotated[list[Path], typer.Argument(help="Files or folders.", metavar="SRC...")],
    corpus: Annotated[str, typer.Option(help="Name of the corpus.", metavar="C")],
    snapshot: Annotated[str, typer.Option(help="Its snapshot, such as a date.", metavar="S")],
    licence: Annotated[str | None, typer.Option(help="Licence of these files.", metavar="L")] = None,
    format: Annotated[str, typer.Option(help="A reader's name; `auto` looks at the content.")] = "auto",
    link: Annotated[bool, typer.Option("--link", help="Read the files where they are; do not copy them.")] = False,
    language: Annotated[
        list[str] | None,
        typer.Option(help="Languages of the corpus, as ISO 639 codes: L1 drops others.", metavar="CODE"),
    ] = None,
) -> None:
    """Register files as sources of the lake; `lake run` then makes the tiers from them.

    Files are copied into `<lake>/landing/<corpus>/<snapshot>/`. What is registered already is passed over.
    """
    from tier_assets.l0_raw.expect import expect_languages
    from tier_assets.l0_raw.ingest import ingest as register

    lake = open_lake()
    for path in src:
        try:
            rows = register(lake, path, corpus=corpus, snapshot=snapshot, licence=licence, format=format, link=link)
        except (ValueError, OSError) as error:
            raise BadInput(error) from error
        typer.echo(f"{path}: {len(rows)} new sources in {corpus}@{snapshot}")
    if language:
        try:
            expect_languages(lake, corpus, language)
        except ValueError as error:
            raise BadInput(error) from error


@app.command()
def run(
    corpus: CORPUS = None,
    snapshot: SNAPSHOT = None,
    to: Annotated[str, typer.Option(help="The last tier to make: l0 to l4.")] = "l4",
    refresh_scorer: Annotated[
        bool, typer.Option("--refresh-scorer", help="Rate a new seed over all partitions and publish a new scorer.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Make every tier again, stale or not.")] = False,
) -> None:
    """Make every tier that is stale, run its checks, and print the funnel.

    The same assets on the same Dagster instance as in the UI (`lake up`). What has not changed is not redone.
    """
    if to not in TIERS:
        raise BadInput(f"unknown tier {to!r}; known: {', '.join(TIERS)}")
    lake = open_lake()
    _run(lake, chosen_keys(lake, corpus, snapshot), to, refresh_scorer, force)


def _run(lake: Lake, keys: list[str], to: str, refresh_scorer: bool = False, force: bool = False) -> None:
    from quality_checks.report import write_report
    from resources.progress import shown
    from tier_assets.funnel_text import funnel_text
    from tier_assets.instance import open_instance
    from tier_assets.runs import run as run_tiers

    with shown(), open_instance(lake) as instance:
        outcome = run_tiers(lake, instance, keys, to, refresh_scorer, force=force)
    if outcome.made or outcome.problems:
        write_report(lake)
    for about, problem in outcome.problems.items():
        typer.echo(f"lake: {about}: {problem}", err=True)
    if not outcome.made and not outcome.problems:
        typer.echo("nothing has changed: every tier is current", err=True)
    typer.echo(funnel_text(lake, keys))
    if outcome.problems:
        raise typer.Exit(1)


@app.command()
def check(
    tier: Annotated[str | None, typer.Option(help="Only this tier: l0 to l4.")] = None,
    corpus: CORPUS = None,
    snapshot: SNAPSHOT = None,
) -> None:
    """Judge the tiers as they stand; exit status 1 where a blocking check fails.

    Results are recorded (view `check_results`), the gate obeys them, and `<lake>/reports/checks.html` shows them.
    """
    if tier is not None and tier not in TIERS:
        raise BadInput(f"unknown tier {tier!r}; known: {', '.join(TIERS)}")
    lake = open_lake()
    from quality_checks.judge import judge_partition, record
    from quality_checks.report import write_report
    from tier_assets.partitions import partition_of
    from tier_tables import MAIN_TABLES

    failed = 0
    for key in chosen_keys(lake, corpus, snapshot):
        partition = partition_of(key)
        for name in TIERS if tier is None else (tier,):
            if lake.last_step(MAIN_TABLES[name].name, partition) is None:
                continue
            results = judge_partition(lake, name, **partition)
            record(lake, results, "cli")
            for result in results:
                if not result.passed:
                    keys = ", ".join(result.failing_keys[:5])
                    typer.echo(
                        f"{name} {key} {result.check}: {result.severity}: {result.num_failed} failed "
                        f"({keys}): {result.detail}"
                    )
            blocking = sum(r.blocks for r in results)
            failed += blocking
            typer.echo(f"{name} {key}: {sum(r.passed for r in results)} of {len(results)} checks passed")
    typer.echo(f"report: {write_report(lake)}", err=True)
    if failed:
        raise typer.Exit(1)


@app.command()
def sql(
    query: Annotated[str | None, typer.Argument(help="A query; without one, a DuckDB prompt opens.")] = None,
    format: Annotated[str, typer.Option(help="table, csv or json.")] = "table",
) -> None:
    """Ask the tiers in DuckDB's SQL; the views are those of `SHOW TABLES`."""
    lake = existing_lake()
    if query is not None:
        ask(lake, query, format)
        return
    from resources.catalog import catalog_path, refresh

    refresh(lake)
    prompt = Path(sys.executable).with_name("duckdb")
    os.execv(prompt, [str(prompt), "-readonly", str(catalog_path(lake))])


@app.command()
def status() -> None:
    """What the lake holds, by tier and corpus, and what is stale."""
    lake = open_lake()
    from resources.engines import Engines
    from tier_assets import plan
    from tier_assets.funnel_text import funnel_text

    keys = chosen_keys(lake, None, None)
    typer.echo(f"lake {lake.root} ({lake.settings} settings)")
    typer.echo(funnel_text(lake, keys))
    stale = list(plan.stale_partitions(lake, Engines()))
    for found in stale:
        typer.echo(f"stale: {', '.join(found.assets)} of {found.key}")
    if not stale:
        typer.echo("every tier is current")


@app.command()
def withdraw(
    doc_id: Annotated[list[str], typer.Argument(help="Documents.", metavar="DOC_ID...")],
    reason: Annotated[str, typer.Option(help="Why, as a name, such as takedown.", metavar="R")],
    duplicates: Annotated[
        bool, typer.Option("--duplicates", help="Their duplicates too: else one of those comes back in their place.")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take the withdrawal back.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
) -> None:
    """Take documents and all that descends from them out of the tiers: the plan is shown first, then carried out.

    Their verdict at L1 becomes `withdrawn_<reason>`. The bytes stay in L0, which has no role in training.
    """
    from tier_assets.withdraw import plan_of
    from tier_assets.withdraw import withdraw as record

    lake = open_lake()
    try:
        documents, plan = plan_of(lake, doc_id, duplicates)
        typer.echo(plan)
        if not (yes or typer.confirm(f"take back the withdrawal of {len(documents)}?" if undo else "withdraw?")):
            raise typer.Exit(1)
        record(lake, documents, None if undo else reason)
    except ValueError as error:
        raise BadInput(error) from error
    keys = {f"{corpus}@{snapshot}" for corpus, snapshot in documents.select("corpus", "snapshot").iter_rows()}
    made = lake.ledger()["tier"].drop_nulls()
    _run(lake, sorted(keys | set(plan.keys)), str(made.max()) if len(made) else "l0")


benchmarks = typer.Typer(no_args_is_help=True, help="Benchmarks: documents that hold their items do not train.")
app.add_typer(benchmarks, name="benchmarks")


@benchmarks.command("add")
def benchmarks_add(
    name: Annotated[str, typer.Argument(help="Name of the benchmark, such as gsm8k.", metavar="NAME")],
    file: Annotated[Path, typer.Argument(help="Its items: JSON Lines, JSON, Parquet, CSV or text.", metavar="FILE")],
) -> None:
    """Add a benchmark's items; the next `lake run` drops what holds one of them, and what descends from that."""
    from tier_assets.benchmarks import add_benchmark

    lake = open_lake()
    try:
        typer.echo(f"{name}: {add_benchmark(lake, name, file)} new items; `lake run` judges every tier by them")
    except (ValueError, OSError) as error:
        raise BadInput(error) from error


@benchmarks.command("list")
def benchmarks_list() -> None:
    """The lake's benchmarks, their items, and the documents that hold one."""
    ask(
        existing_lake(),
        "SELECT benchmark, any_value(items) AS items, count(doc_id) AS documents_hit "
        "FROM (SELECT benchmark, count(*) AS items FROM benchmarks GROUP BY ALL) "
        "LEFT JOIN l1_contaminated USING (benchmark) GROUP BY benchmark ORDER BY benchmark",
        "table",
    )


@app.command()
def select(
    policy: Annotated[str, typer.Option(help="A built-in policy's name, or a .toml file.", metavar="P")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would move.")] = False,
    corpus: CORPUS = None,
    snapshot: SNAPSHOT = None,
) -> None:
    """Adopt a selection policy, or with `--dry-run` show what would move and examples at the margin.

    An adopted policy is verified by a short anneal, and once passed it selects in every partition.
    """
    from resources.engines import Engines
    from tier_assets.l2_selected.in_force import adopt
    from tier_assets.l2_selected.policy import open_policy
    from tier_assets.selection import dry_run as told

    lake = open_lake()
    try:
        chosen = open_policy(policy)
        keys = chosen_keys(lake, corpus, snapshot)
        if dry_run:
            typer.echo(told(lake, chosen, keys, Engines()))
            return
        adopt(lake, chosen)
    except (ValueError, OSError) as error:
        raise BadInput(error) from error
    made = lake.ledger()["tier"].drop_nulls()
    _run(lake, chosen_keys(lake, None, None), str(made.max()) if len(made) else "l0")


@app.command("try")
def try_(
    stage: Annotated[
        str,
        typer.Argument(
            help="extract, clean, private, language, judge, dedup, score, annotate, refine, verify, influence or ado."
        ),
    ],
    file: Annotated[Path, typer.Argument(help="JSON Lines; `-` is standard input.", metavar="FILE.jsonl")],
    out: Annotated[Path | None, typer.Option(help="Write here instead of standard output.", metavar="FILE")] = None,
    scorer: Annotated[
        str, typer.Option(help="For `score`: one of the scorers of the fit in force.", metavar="NAME")
    ] = "quality",
    checkpoint: Annotated[
        Path | None, typer.Option(help="For `influence`: a Hugging Face folder.", metavar="DIR")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="For `influence`: the reference, JSON Lines {id, text}.", metavar="FILE")
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="For `refine`: one task, in all its styles, such as `qa`.", metavar="TASK")
    ] = None,
    skip_steps: Annotated[int, typer.Option(help="For `ado`: leave out a run's steps up to this one.")] = 0,
) -> None:
    """Run one stage's own function on your own lines: a line out for each line in, `id` and order kept.

    - `extract` {id,url,html} to {id,title,text,extractor}
    - `clean` {id,text} to {id,text,edits}, as the text of a web page; `extractor` may name another source
    - `private` {id,text} to {id,text,counts}
    - `language` {id,text} to {id,language,score}
    - `judge` {id,text} to {id,keep,reason}
    - `dedup` {id,text} to {id,kept_id,similarity}
    - `score` {id,text} to {id,score,dimensions}, by the fit in force
    - `annotate` {id,text} to {id,windows,dimensions}, the language model's distribution over 0 to 5
    - `refine` {id,text} to {id,records,rejected}, by the language model
    - `verify` {id,source,output,answer?} to {id,level,accepted,reasons}; `answer` is the right one, where it is known
    - `influence` {id,text} to {id,influence}: how far the reference's loss falls for a step on it, in nats a token
    - `ado` lines of {run,step,domain,tokens,loss,lr} to a line a domain: its scaling law and its weight; a picture
      of the laws is written beside the file
    """
    from tier_assets.try_stage import Options, run_stage

    try:
        run_stage(open_lake(), stage, file, out, Options(scorer, checkpoint, reference, skip_steps, task=task))
    except (ValueError, OSError) as error:
        raise BadInput(error) from error


@app.command()
def demo(
    full: Annotated[bool, typer.Option("--full", help="All documents of the demo corpora, default settings.")] = False,
) -> None:
    """Fetch the demo corpora by package name, ingest them, make all tiers, and say what to do next."""
    from tier_assets.demo import fetch_and_ingest, what_next

    try:
        fetch_and_ingest(open_lake(), full)
    except ValueError as error:
        raise BadInput(error) from error
    run(corpus=None, snapshot=None, to="l4", refresh_scorer=False, force=False)
    if not open_lake().partitions("influence_models"):
        loop(no_train=False)
        rounds()
    typer.echo(what_next())


@app.command()
def up(port: Annotated[int, typer.Option(help="Port of the page.")] = 3000) -> None:
    """Open the Dagster UI on this lake, with its sensors and schedules, until interrupted."""
    from tier_assets.instance import PROJECT, dagster_home

    lake = open_lake()
    home = dagster_home(lake)
    os.environ |= {"LAKE_ROOT": lake.root, "DAGSTER_HOME": str(home)}
    # `dg dev`, which Dagster advises, wants a project of its own shape.
    os.environ["PYTHONWARNINGS"] = ",".join(
        filter(None, (os.environ.get("PYTHONWARNINGS"), "ignore:Function `dev_command`:FutureWarning"))
    )
    if (model := os.environ.get("LAKE_LLM")) and Path(model).is_dir():
        os.environ["LAKE_LLM"] = str(Path(model).absolute())
    os.chdir(home)  # Dagster warns of a dagster.yaml where it starts that is not the instance's
    dagster = Path(sys.executable).with_name("dagster")
    typer.echo(f"http://127.0.0.1:{port} shows the lake {lake.root} (Ctrl-C ends it)", err=True)
    os.execv(dagster, [str(dagster), "dev", "-m", "tier_assets.definitions", "-d", str(PROJECT), "-p", str(port)])


def main() -> None:
    """Entry point."""
    app()

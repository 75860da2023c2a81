"""Invariants of identity and account: every id once, every child with its parent, every parent kept or rejected.

In goes the lake, a tier and a partition; out comes a lazy frame of (key, found), a row for each way in which the
partition breaks the invariant. Only ids are read.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from quality_checks.check_result import Partition, partition_key
from quality_checks.rows import (
    documents_of,
    ids,
    key_column,
    missing,
    missing_in_lake,
    no_failures,
    out_of_policy,
    own,
    verdicts,
)
from resources.lake import Lake
from tier_tables import MAIN_TABLES

Failing = Callable[[Lake, str, Partition], pl.LazyFrame]


def ids_are_unique_in_the_lake(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """An id of this partition stands in another partition of the table too."""
    column, name = key_column(tier), MAIN_TABLES[tier].name
    elsewhere = [
        lake.scan(name, other).select(pl.col(column).alias("key"), pl.lit(partition_key(other)).alias("found"))
        for other in lake.partitions(name)
        if other != dict(partition)
    ]
    if not elsewhere:
        return no_failures()
    ours = ids(own(lake, tier, partition), column)
    return (
        pl.concat(elsewhere)
        .join(ours, on="key", how="semi")
        .select("key", pl.format("also in {}", "found").alias("found"))
    )


def ledger_counts_rows(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """The last ledger row's counts differ from the rows and verdicts that stand in the tables."""
    step = lake.last_step(MAIN_TABLES[tier].name, partition)
    kept = own(lake, tier, partition).select(pl.len()).collect().item()
    rejected = verdicts(lake, tier, partition).select(pl.len()).collect().item()
    if step is None:
        found = [] if kept + rejected == 0 else [f"{kept} rows and {rejected} verdicts, but no ledger row"]
    else:
        pairs = (
            ("rows_kept", step["rows_kept"], "rows in the table", kept),
            ("rows_rejected", step["rows_rejected"], "verdicts", rejected),
            ("rows_in", step["rows_in"], "rows + verdicts", kept + rejected),
        )
        wrong = [f"{name}={told}, but {count} {what}" for name, told, what, count in pairs if told != count]
        found = ["; ".join(wrong)] if wrong else []
    rows = {"key": [partition_key(partition)] * len(found), "found": found}
    return pl.LazyFrame(rows, schema={"key": pl.String, "found": pl.String})


def commits_are_finished(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """Files of the slice that no finished step names: nobody reads them, and the step's next run removes them."""
    files = lake.unfinished(MAIN_TABLES[tier].name, partition)
    rows = {"key": files, "found": ["no ledger row names this file"] * len(files)}
    return pl.LazyFrame(rows, schema={"key": pl.String, "found": pl.String})


def verdicts_are_unique(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """Two verdicts on one (doc_id, record_id)."""
    counts = verdicts(lake, tier, partition).group_by("doc_id", "record_id").len()
    return counts.filter(pl.col("len") > 1).select(
        pl.coalesce("record_id", "doc_id").alias("key"), pl.format("{} verdicts", "len").alias("found")
    )


def verdicts_have_reasons(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """A verdict whose reason is no name in snake_case."""
    wrong = ~pl.col("reason").str.contains(r"^[a-z][a-z0-9_]*$").fill_null(False)
    return (
        verdicts(lake, tier, partition)
        .filter(wrong)
        .select(
            pl.coalesce("record_id", "doc_id").alias("key"),
            pl.format("reason={}", pl.col("reason").fill_null("null")).alias("found"),
        )
    )


def nothing_is_kept_and_rejected(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """A row of the tier that has a verdict of the same tier: at l3 and l4 record by record."""
    column = "doc_id" if tier in ("l0", "l1", "l2") else "record_id"
    rejected = verdicts(lake, tier, partition).select(
        pl.col(column).alias("key"), pl.format("also rejected: {}", "reason").alias("found")
    )
    return rejected.join(ids(own(lake, tier, partition), key_column(tier)), on="key", how="semi")


def sources_are_registered(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """An l0 row read from a file that `sources` does not know."""
    rows = own(lake, tier, partition).select(pl.col("doc_id").alias("key"), pl.col("source_id").alias("id"))
    return missing(rows, ids(lake.scan("sources", partition), "source_id"), "source_id={} is not in sources")


def documents_have_parents(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """A row or verdict whose document is not in the tier that it was made from."""
    documents = pl.concat(rows(lake, tier, partition).select("doc_id") for rows in (own, verdicts))
    parents = ids(own(lake, documents_of(tier), partition), "doc_id")
    wanted = documents.select(pl.col("doc_id").alias("key"), pl.col("doc_id").alias("id"))
    return missing(wanted, parents, f"doc_id={{}} is not in {documents_of(tier)}")


def parents_are_accounted_for(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """A document of the tier below of which this tier has neither a row nor a verdict."""
    documents = own(lake, documents_of(tier), partition).select("doc_id")
    wanted = documents.select(pl.col("doc_id").alias("key"), pl.col("doc_id").alias("id"))
    judged = [rows(lake, tier, partition).select("doc_id") for rows in (own, verdicts)]
    if tier == "l3":
        judged.append(_sources_of_records(lake, partition).select(pl.col("id").alias("doc_id")))
    return missing(wanted, ids(pl.concat(judged), "doc_id"), "doc_id={} is neither kept nor rejected")


def _sources_of_records(lake: Lake, partition: Partition) -> pl.LazyFrame:
    """(key, id) of every l3 record and each document it was made from."""
    rows = lake.scan("l3_refined", partition).select(
        pl.col("record_id").alias("key"), pl.col("source_doc_ids").alias("id")
    )
    return rows.explode("id").drop_nulls("id")


def records_have_selected_sources(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """An l3 record in policy made from a document that is not in l2, here or in another partition."""
    sources = _sources_of_records(lake, partition)
    sources = sources.join(out_of_policy(lake, "l3_refined", partition), on="key", how="anti")
    return missing_in_lake(lake, sources, "l2_selected", "doc_id", partition, "source document {} is not in l2")


def what_is_out_of_policy_has_left(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """A record or fact that is marked as out of policy twice, or whose document is not in l1, or is in l2."""
    marked = lake.scan("out_of_policy", partition).select("child_table", key="child_id", id="doc_id")
    twice = marked.group_by("child_table", "key").len().filter(pl.col("len") > 1)
    members = marked.join(ids(own(lake, "l2", partition), "doc_id"), left_on="id", right_on="key", how="semi")
    return pl.concat([
        twice.select("key", pl.format("marked {} times", "len").alias("found")),
        members.select("key", pl.format("doc_id={} is in l2", "id").alias("found")),
        missing(marked.select("key", "id"), ids(own(lake, "l1", partition), "doc_id"), "doc_id={} is not in l1"),
    ])  # fmt: skip


def records_have_lineage(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """An l3 record whose lineage does not name one of the documents it was made from."""
    lineage = lake.scan("lineage", {"child_table": "l3_refined", **partition}).select(
        pl.col("child_id").alias("key"), pl.col("parent_id").alias("id")
    )
    unnamed = _sources_of_records(lake, partition).join(lineage, on=["key", "id"], how="anti")
    return unnamed.select("key", pl.format("lineage does not name {}", "id").alias("found"))


def moves_give_the_membership(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """A document whose last move does not lead to where it is, or whose row names another round of entry."""
    last = (
        lake.scan("tier_moves", partition)
        .group_by("doc_id")
        .agg(pl.col("to_tier").sort_by("round").last(), pl.col("round").max().alias("moved_in"))
        .filter(pl.col("to_tier") == "l2")
    )
    members = own(lake, "l2", partition).select("doc_id", "round")
    both = members.join(last, on="doc_id", how="full", coalesce=True)
    agrees = pl.col("round") == pl.col("moved_in")
    return both.filter(~agrees.fill_null(False)).select(
        pl.col("doc_id").fill_null("null").alias("key"),
        pl.format(
            "in l2 since round {}, by its moves since round {}",
            *(pl.col(c).cast(pl.String).fill_null("none") for c in ("round", "moved_in")),
        ).alias("found"),
    )


def moves_are_unique(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """Two moves of one document in one round."""
    counts = lake.scan("tier_moves", partition).group_by("doc_id", "round").len().filter(pl.col("len") > 1)
    return counts.select(
        pl.col("doc_id").alias("key"), pl.format("{} moves in round {}", "len", "round").alias("found")
    )


def duplicates_name_a_kept_row(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """A duplicate's verdict that names a kept row which is not in l1, in any partition."""
    rows = verdicts(lake, tier, partition).drop_nulls("kept_doc_id")
    wanted = rows.select(pl.col("doc_id").alias("key"), pl.col("kept_doc_id").alias("id"))
    return missing_in_lake(lake, wanted, "l1_filtered", "doc_id", partition, "kept row {} is not in l1")

"""The reads that invariants share: a tier's own rows, its verdicts, ids, and what is missing among them."""

from __future__ import annotations

import polars as pl

from quality_checks.check_result import Partition
from resources.lake import Lake
from tier_tables import MAIN_TABLES, TIERS


def own(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """The partition's rows in the tier's main table."""
    return lake.scan(MAIN_TABLES[tier].name, partition)


def key_column(tier: str) -> str:
    """The id column of the tier's main table."""
    (column,) = MAIN_TABLES[tier].key
    return column


def parent_of(tier: str) -> str:
    """The tier below, which must be sound before this one is made.

    Raises:
        ValueError: unknown tier, or l0, which has none.
    """
    if tier not in TIERS[1:]:
        raise ValueError(f"{tier!r} has no parent tier; those that have: {list(TIERS[1:])}")
    return TIERS[TIERS.index(tier) - 1]


def documents_of(tier: str) -> str:
    """The tier whose documents this one judges: l4 organizes those of l2, with the records of l3.

    Raises:
        ValueError: unknown tier, or l0, which has none.
    """
    return "l2" if tier == "l4" else parent_of(tier)


def verdicts(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """The tier's verdicts on the partition."""
    return lake.scan("verdicts", {"tier": tier, **partition})


def out_of_policy(lake: Lake, child_table: str, partition: Partition) -> pl.LazyFrame:
    """The ids of the table's rows whose document left l2, as column `key`."""
    return ids(lake.scan("out_of_policy", partition).filter(pl.col("child_table") == child_table), "child_id")


def ids(rows: pl.LazyFrame, column: str) -> pl.LazyFrame:
    """The distinct values of an id column, as column `key`."""
    return rows.select(pl.col(column).alias("key")).drop_nulls().unique()


def missing(wanted: pl.LazyFrame, there: pl.LazyFrame, found: str) -> pl.LazyFrame:
    """Rows of `wanted` (key, id) whose id is not among the keys `there`; `found` is a format for the id."""
    return wanted.join(there, left_on="id", right_on="key", how="anti").select(
        pl.col("key").fill_null("null"),
        pl.format(found, pl.col("id").fill_null("null")).alias("found"),
    )


def missing_in_lake(
    lake: Lake, wanted: pl.LazyFrame, table: str, column: str, partition: Partition, found: str
) -> pl.LazyFrame:
    """As `missing`, but the id may stand in any partition of `table`; other partitions are read only if need be."""
    here = ids(lake.scan(table, partition), column)
    not_here = wanted.join(here, left_on="id", right_on="key", how="anti").collect(engine="streaming")
    there = ids(lake.scan(table), column) if not_here.height else here
    return missing(not_here.lazy(), there, found)


def no_failures() -> pl.LazyFrame:
    """A frame of (key, found) without rows."""
    return pl.LazyFrame(schema={"key": pl.String, "found": pl.String})

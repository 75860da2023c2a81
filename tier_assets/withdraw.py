"""Withdrawal: a document and all that descends from it leave the tiers; what it had displaced may come back.

First a plan, which shows what would happen; then a row in `withdrawals`, from which the next run of the tiers takes it:
the document's verdict at L1 is `withdrawn_<reason>`, and the tiers above are made again without it. The bytes stay in
L0 and its text in `l1_texts`: withdrawn is from use, not from the disk.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import polars as pl

from resources.lake import Lake
from tier_tables import WITHDRAWALS

REASON: Final = re.compile(r"[a-z][a-z0-9_]{0,40}")
ROWS: Final = pl.Schema({"table": pl.String, "id": pl.String, "corpus": pl.String, "snapshot": pl.String})


@dataclass(frozen=True)
class Plan:
    """`leave`: rows that leave their tables; `may_return`: documents dropped as duplicates of one that leaves."""

    leave: pl.DataFrame
    may_return: pl.DataFrame

    @property
    def keys(self) -> list[str]:
        """The partitions that change."""
        rows = pl.concat([self.leave, self.may_return]).select("corpus", "snapshot").unique()
        return sorted(f"{corpus}@{snapshot}" for corpus, snapshot in rows.iter_rows())

    def __str__(self) -> str:
        counts = self.leave.group_by("table").len().sort("table")
        lines = [f"{table:<12} {number:>6} rows leave" for table, number in counts.iter_rows()]
        lines += [f"  {table} {row} of {c}@{s}" for table, row, c, s in self.leave.head(20).iter_rows()]
        if len(self.leave) > 20:
            lines.append(f"  and {len(self.leave) - 20} more")
        lines.append(f"{len(self.may_return)} duplicates may come back" + (":" if len(self.may_return) else ""))
        lines += [f"  {row} of {c}@{s}" for _, row, c, s in self.may_return.head(20).iter_rows()]
        return "\n".join(lines)


def plan(doc_ids: Sequence[str], members: pl.DataFrame, lineage: pl.DataFrame, duplicates: pl.DataFrame) -> Plan:
    """What withdrawing documents would do.

    Args:
        doc_ids: the documents.
        members: rows as ROWS of the tables in which a document stands under its own id (l1_filtered, l2_selected).
        lineage: all of LINEAGE.
        duplicates: rows of L1_DUPLICATES that name a kept document.
    """
    leave = [members.filter(pl.col("id").is_in(list(doc_ids)))]
    parents = pl.DataFrame({"parent_id": list(doc_ids)}, schema={"parent_id": pl.String})
    seen = parents.head(0)
    children = lineage.select("parent_id", table="child_table", id="child_id", corpus="corpus", snapshot="snapshot")
    while len(parents):
        found = children.join(parents, on="parent_id", how="semi").select(list(ROWS))
        leave.append(found)
        seen = pl.concat([seen, parents])
        parents = found.select(parent_id="id").unique().join(seen, on="parent_id", how="anti")
    back = duplicates.filter(pl.col("kept_doc_id").is_in(list(doc_ids)) & ~pl.col("doc_id").is_in(list(doc_ids)))
    return Plan(
        pl.concat(leave).unique().sort("table", "corpus", "snapshot", "id"),
        back.select(table=pl.lit("l1_filtered"), id="doc_id", corpus="corpus", snapshot="snapshot").sort("id"),
    )


def plan_of(lake: Lake, doc_ids: Sequence[str], with_duplicates: bool = False) -> tuple[pl.DataFrame, Plan]:
    """The documents to withdraw (doc_id, corpus, snapshot; with their clusters if asked for) and what that would do.

    Raises:
        ValueError: no document of the lake has one of the ids.
    """
    lake = lake.at_one_moment()
    documents = _known(lake, doc_ids)
    cluster = pl.coalesce("kept_doc_id", "doc_id").alias("cluster")
    compared = lake.scan("l1_duplicates").with_columns(cluster)
    duplicates = compared.filter(pl.col("kept_doc_id").is_not_null()).collect()
    if with_duplicates:
        clusters = compared.filter(pl.col("doc_id").is_in(documents["doc_id"].implode())).select("cluster").unique()
        twins = compared.join(clusters, on="cluster", how="semi").select(documents.columns).collect()
        documents = pl.concat([documents, twins]).unique("doc_id").sort("doc_id")
    ids = documents["doc_id"].to_list()
    members = [
        lake.scan(name)
        .filter(pl.col("doc_id").is_in(ids))
        .select(pl.lit(name).alias("table"), pl.col("doc_id").alias("id"), "corpus", "snapshot")
        .collect()
        for name in ("l1_filtered", "l2_selected")
    ]
    return documents, plan(ids, pl.concat(members), lake.scan("lineage").collect(), duplicates)


def _known(lake: Lake, doc_ids: Sequence[str]) -> pl.DataFrame:
    found = lake.scan("l0_raw").filter(pl.col("doc_id").is_in(list(doc_ids)))
    documents = found.select("doc_id", "corpus", "snapshot").collect()
    if unknown := sorted(set(doc_ids) - set(documents["doc_id"])):
        raise ValueError(f"no document of this lake has the id {unknown[0]!r}; ids are in l0_raw")
    return documents


def withdraw(lake: Lake, documents: pl.DataFrame, reason: str | None) -> None:
    """Record that `documents` (doc_id, corpus, snapshot) may not be used any more; with no reason, that they may again.

    Raises:
        ValueError: the reason is no name.
    """
    if reason is not None and not REASON.fullmatch(reason):
        raise ValueError(f"reason {reason!r} is no name; a reason is like takedown: a-z 0-9 _, the first a letter")
    now = datetime.now(UTC)
    rows = documents.with_columns(
        pl.lit(reason, pl.String).alias("reason"), pl.lit(now, pl.Datetime("us", "UTC")).alias("withdrawn_at")
    )
    lake.append("withdrawals", rows.select(WITHDRAWALS.schema.names()))


__all__ = ["Plan", "plan", "plan_of", "withdraw"]

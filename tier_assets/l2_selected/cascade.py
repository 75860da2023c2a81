"""The cascade of a demotion: records of L3 and facts of L4 whose document is not in L2 any more are out of policy.

In: a partition's standing records, facts and lineage, the verdicts of its selection, its moves. Out: rows of
`out_of_policy`. The children themselves stay as they are; views and readers ask this table. Pure; only ids are read.
"""

from __future__ import annotations

import polars as pl

from tier_tables.training import OUT_OF_POLICY


def out_of_policy(
    records: pl.DataFrame,
    facts: pl.DataFrame,
    lineage: pl.DataFrame,
    verdicts: pl.DataFrame,
    moves: pl.DataFrame,
    round_: int,
) -> pl.DataFrame:
    """The children of documents that are in L1 and not in L2, one row each.

    Reason and round are those of the document's demotion. A document that no move took out, since the round in which it
    had entered was made again without it, has its verdict's reason and `round_`.

    Args:
        records: [record_id, source_doc_ids], standing in L3.
        facts: [fact_id, doc_id], standing in L4.
        lineage: [child_id, parent_table, parent_id] of the facts: what descends from a record that is out is out too.
        verdicts: [doc_id, corpus, snapshot, reason], of the selection: all documents that are in L1 and not in L2.
        moves: [doc_id, round, to_tier, reason], of the partition, this round's among them.
        round_: this round.
    """
    sources = records.select(doc_id="source_doc_ids", child_id="record_id").explode("doc_id")
    own = facts.select("doc_id", child_id="fact_id")
    parents = pl.concat([sources, own]).select("doc_id").unique()
    outside = _outside(verdicts.join(parents, on="doc_id", how="semi"), moves, round_)
    fallen = _fallen("l3_refined", sources, outside)
    by_record = (
        lineage.filter(pl.col("parent_table") == "l3_refined")
        .join(fallen.select("doc_id", parent_id="child_id"), on="parent_id")
        .join(own, on="child_id", how="semi")
        .select("doc_id", "child_id")
    )
    return pl.concat([fallen, _fallen("l4_facts", pl.concat([own, by_record]), outside)])


def _outside(verdicts: pl.DataFrame, moves: pl.DataFrame, round_: int) -> pl.DataFrame:
    """Documents that are not members, and why they are not [doc_id, corpus, snapshot, reason, round]."""
    last = (
        moves.join(verdicts, on="doc_id", how="semi")
        .sort("round")
        .unique("doc_id", keep="last")
        .filter(pl.col("to_tier") == "l1")
        .select("doc_id", moved="reason", moved_in="round")
    )
    return verdicts.join(last, on="doc_id", how="left").select(
        "doc_id",
        "corpus",
        "snapshot",
        reason=pl.coalesce("moved", pl.format("demoted_{}", "reason")),
        round=pl.col("moved_in").fill_null(round_),
    )


def _fallen(table: str, children: pl.DataFrame, outside: pl.DataFrame) -> pl.DataFrame:
    """The children [doc_id, child_id] of documents that are outside; of several such the first by id is named."""
    found = children.join(outside, on="doc_id", how="inner").with_columns(child_table=pl.lit(table))
    found = found.sort("child_id", "doc_id").unique("child_id", keep="first", maintain_order=True)
    return found.select(pl.col(n).cast(t) for n, t in OUT_OF_POLICY.schema.items())

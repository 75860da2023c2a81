"""Invariants of l4: a fact leads to its parents, to the very characters of its text and to the bytes behind them.

In goes the lake, the tier and a partition; out comes a lazy frame of (key, found), a row a failure. Texts are read only
of documents that bear evidence, a batch at a time.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from quality_checks.check_result import Partition
from quality_checks.rows import ids, missing, missing_in_lake, out_of_policy
from resources.lake import Lake

PARENT_KEYS: Mapping[str, str] = {"l1_filtered": "doc_id", "l2_selected": "doc_id", "l3_refined": "record_id"}


def _standing(lake: Lake, partition: Partition) -> pl.LazyFrame:
    """Facts that stand: a withdrawn one may outlive its parents."""
    return lake.scan("l4_facts", partition).filter(pl.col("state") == "verified")


def facts_have_parents(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """A standing fact whose lineage is empty, or names a parent that is not in l1, l2 or l3.

    The document of a fact that is out of policy has left l2: it must be in l1.
    """
    facts = ids(_standing(lake, partition), "fact_id")
    lineage = lake.scan("lineage", {"child_table": "l4_facts", **partition}).select(
        pl.col("child_id").alias("key"), "parent_table", pl.col("parent_id").alias("id")
    )
    lineage = lineage.join(facts, on="key", how="semi")
    marked = out_of_policy(lake, "l4_facts", partition).with_columns(marked=pl.lit(True))
    left = pl.col("marked").fill_null(False) & (pl.col("parent_table") == "l2_selected")
    lineage = lineage.join(marked, on="key", how="left").select(
        "key", pl.when(left).then(pl.lit("l1_filtered")).otherwise("parent_table").alias("parent_table"), "id"
    )
    orphans = facts.join(lineage, on="key", how="anti").select("key", pl.lit("no lineage").alias("found"))
    astray = [
        missing_in_lake(
            lake, lineage.filter(pl.col("parent_table") == parent), parent, column, partition, f"{parent} has no {{}}"
        )
        for parent, column in PARENT_KEYS.items()
    ]
    unknown = lineage.filter(~pl.col("parent_table").is_in(list(PARENT_KEYS))).select(
        "key", pl.format("parent table {}", "parent_table").alias("found")
    )
    return pl.concat([orphans, *astray, unknown])


def facts_have_documents(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """A standing fact whose document is not in l1."""
    rows = _standing(lake, partition).select(pl.col("fact_id").alias("key"), pl.col("doc_id").alias("id"))
    return missing(rows, ids(lake.scan("l1_filtered", partition), "doc_id"), "doc_id={} is not in l1")


def facts_and_evidence_agree(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """A fact without evidence, or evidence without its fact."""
    facts, evidence = lake.scan("l4_facts", partition), lake.scan("l4_evidence", partition)
    bare = ids(facts, "fact_id").join(ids(evidence, "fact_id"), on="key", how="anti")
    stray = ids(evidence, "fact_id").join(ids(facts, "fact_id"), on="key", how="anti")
    return pl.concat([
        bare.with_columns(pl.lit("fact without evidence").alias("found")),
        stray.with_columns(pl.lit("evidence without a fact").alias("found")),
    ])  # fmt: skip


def _standing_evidence(lake: Lake, partition: Partition) -> pl.LazyFrame:
    """The evidence of facts that stand."""
    return lake.scan("l4_evidence", partition).join(_standing(lake, partition), on="fact_id", how="semi")


def quotes_are_in_the_text(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """Evidence whose quote is not the l1 text at [char_start, char_end), in code points."""
    evidence = _standing_evidence(lake, partition).select("fact_id", "doc_id", "char_start", "char_end", "quote")
    span = pl.col("text").str.slice(pl.col("char_start"), pl.col("char_end") - pl.col("char_start"))
    # A negative start would count from the end of the text.
    sane = (pl.col("char_start") >= 0) & (pl.col("char_end") > pl.col("char_start"))
    read = (
        lake.scan("l1_filtered", partition)
        .select("doc_id", "text")
        .join(evidence, on="doc_id", how="inner")
        .filter(~(sane & (span == pl.col("quote"))).fill_null(False))
        .select(
            pl.col("fact_id").alias("key"),
            pl.format("[{}, {}) is not the quote {}", "char_start", "char_end", pl.col("quote").str.head(60)).alias(
                "found"
            ),
        )
    )
    rows = evidence.select(pl.col("fact_id").alias("key"), pl.col("doc_id").alias("id"))
    return pl.concat(
        [read, missing(rows, ids(lake.scan("l1_filtered", partition), "doc_id"), "doc_id={} is not in l1")]
    )


def evidence_names_its_bytes(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """Evidence whose byte_offset or num_bytes is not the l0 record's."""
    evidence = _standing_evidence(lake, partition).select("fact_id", "doc_id", "byte_offset", "num_bytes")
    raw = lake.scan("l0_raw", partition).select(
        "doc_id", pl.col("byte_offset").alias("offset"), pl.col("num_bytes").alias("size")
    )
    joined = evidence.join(raw, on="doc_id", how="left")
    same = (pl.col("byte_offset") == pl.col("offset")) & (pl.col("num_bytes") == pl.col("size"))
    return joined.filter(~same.fill_null(False)).select(
        pl.col("fact_id").alias("key"),
        pl.format(
            "bytes {}+{}, but l0 has {}+{}",
            *(pl.col(c).cast(pl.String).fill_null("nothing") for c in ("byte_offset", "num_bytes", "offset", "size")),
        ).alias("found"),
    )

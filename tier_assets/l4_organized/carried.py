"""Facts of documents that left L2: kept as they are, as long as their evidence still stands.

In: the documents, their standing facts, evidence and lineage. Out: an `Organized` of the facts that stay, and a verdict
for each that does not: what a fact says must stay in the text to the letter, and the records that it came from in L3.
Pure; memory is that of the frames, so callers pass batches.
"""

from __future__ import annotations

import polars as pl

from tier_assets.l4_organized.facts import RECORDS, Organized
from tier_tables import LINEAGE, VERDICTS
from tier_tables.refinement import L4_EVIDENCE, L4_FACTS


def carry(
    documents: pl.DataFrame, facts: pl.DataFrame, evidence: pl.DataFrame, lineage: pl.DataFrame, records: pl.Series
) -> Organized:
    """The `facts` that stay, in their order.

    Args:
        documents: [doc_id, text], as they are in L1.
        facts: rows of `l4_facts` about them.
        evidence: the facts' rows of `l4_evidence`.
        lineage: the facts' rows of `lineage`.
        records: ids of all records that stand in L3.
    """
    start, end = pl.col("char_start"), pl.col("char_end")
    span = pl.col("text").str.slice(start, end - start)
    stands = (start >= 0) & (span == pl.col("quote"))
    quoted = evidence.join(documents.select("doc_id", "text"), on="doc_id", how="left")
    moved = quoted.filter(~stands.fill_null(False)).select(
        "fact_id", reason=pl.lit("quote_not_in_text"), detail="quote"
    )
    bare = facts.join(evidence, on="fact_id", how="anti").select(
        "fact_id", reason=pl.lit("quote_not_in_text"), detail=pl.lit("no evidence stands")
    )
    from_records = lineage.filter(pl.col("parent_table") == RECORDS)
    orphans = from_records.filter(~pl.col("parent_id").is_in(records.implode())).select(
        fact_id="child_id", reason=pl.lit("record_not_kept"), detail="parent_id"
    )
    faults = pl.concat([moved, bare, orphans]).sort(pl.all()).unique("fact_id", keep="first", maintain_order=True)
    kept = facts.join(faults, on="fact_id", how="anti", maintain_order="left")
    return Organized(
        facts=kept.select(L4_FACTS.schema.names()),
        evidence=evidence.join(kept, on="fact_id", how="semi").select(L4_EVIDENCE.schema.names()),
        lineage=lineage.join(kept.select(child_id="fact_id"), on="child_id", how="semi").select(LINEAGE.schema.names()),
        verdicts=_verdicts(facts.join(faults, on="fact_id", how="inner")),
    )


def _verdicts(dropped: pl.DataFrame) -> pl.DataFrame:
    named = dropped.select("doc_id", "corpus", "snapshot", "reason", "detail", tier=pl.lit("l4"), record_id="fact_id")
    return pl.concat([VERDICTS.empty(), named], how="diagonal").select(VERDICTS.schema.names())

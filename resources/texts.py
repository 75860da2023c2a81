"""Texts of documents that may lie in any partition.

In: rows [doc_id, corpus, snapshot]. Out: their texts. Each partition is read once, and of it the texts asked for.
"""

from __future__ import annotations

import polars as pl

from resources.lake import Lake


def texts_of(lake: Lake, rows: pl.DataFrame) -> pl.DataFrame:
    """[doc_id, text] of L1's documents among the rows, each once, in no order."""
    found = [lake.scan("l1_filtered").head(0).select("doc_id", "text").collect()]
    for part in rows.partition_by("corpus", "snapshot"):
        partition = {column: part[column][0] for column in ("corpus", "snapshot")}
        texts = lake.scan("l1_filtered", partition).select("doc_id", "text")
        found.append(texts.join(part.select("doc_id").lazy(), on="doc_id", how="semi").collect(engine="streaming"))
    return pl.concat(found).unique("doc_id")

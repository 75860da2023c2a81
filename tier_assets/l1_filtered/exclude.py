"""Which documents leave L1 for what stands outside them: rules come from `l1_texts`, all else is joined in here.

In: small frames of ids. Out: ids with a reason. A document has one reason, by the first that holds:

    withdrawn_<why>      someone withdrew it
    superseded           its file was registered again, with other content, under the same name
    <rule>               a rule of `l1_texts`
    unexpected_language  its corpus expects others
    contaminated         it holds an item of a benchmark
    exact_duplicate, near_duplicate
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

from algorithms.superseded import superseded
from tier_assets.l1_filtered.language import unexpected_language
from tier_tables import VERDICTS

EXCLUDED: Final = pl.Schema({"doc_id": pl.String, "reason": pl.String, "detail": pl.String})


def excluded(
    texts: pl.DataFrame,
    sources: pl.DataFrame,
    withdrawals: pl.DataFrame,
    contaminated: pl.DataFrame,
    languages: Sequence[str],
) -> pl.DataFrame:
    """Of `texts` those that L1 does not keep, as EXCLUDED, one row each; duplicates are found among the others.

    Args:
        texts: doc_id, source_id, reason, detail, language, language_score of one partition's rows of L1_TEXTS.
        sources: the partition's rows of SOURCES.
        withdrawals: rows of WITHDRAWALS.
        contaminated: rows of L1_CONTAMINATED.
        languages: that the corpus expects; none: any.
    """
    old = superseded(sources).implode()
    unfit = [
        unexpected_language(language, score, languages) if language else None
        for language, score in texts.select("language", "language_score").iter_rows()
    ]
    told = texts.with_columns(pl.Series("unfit", unfit, dtype=pl.String))
    joined = told.join(standing(withdrawals), on="doc_id", how="left").join(
        contaminated.select("doc_id", "benchmark", "item", "overlap"), on="doc_id", how="left"
    )
    by_rule = pl.col("reason").is_not_null()
    reason = pl.coalesce(
        pl.format("withdrawn_{}", "withdrawn"),
        pl.when(pl.col("source_id").is_in(old)).then(pl.lit("superseded")),
        "reason",
        "unfit",
        pl.when(pl.col("benchmark").is_not_null()).then(pl.lit("contaminated")),
    )
    hit = pl.format("{} {}: {}", "benchmark", "item", pl.col("overlap").round(2))
    detail = (
        pl.when(pl.col("why") == "contaminated").then(hit)
        .when(pl.col("why") == "unexpected_language").then(pl.col("language"))
        .when(by_rule & (pl.col("why") == pl.col("reason"))).then(pl.col("detail"))
    )  # fmt: skip
    found = joined.with_columns(why=reason).filter(pl.col("why").is_not_null())
    return found.select("doc_id", reason="why", detail=detail).cast(EXCLUDED)


def standing(withdrawals: pl.DataFrame) -> pl.DataFrame:
    """The withdrawals that hold (doc_id, withdrawn: why): the last word on each document, unless it takes them back."""
    last = withdrawals.sort("withdrawn_at").unique("doc_id", keep="last")
    return last.filter(pl.col("reason").is_not_null()).select("doc_id", withdrawn="reason")


def verdicts(dropped: pl.DataFrame) -> pl.DataFrame:
    """`dropped` (doc_id, corpus, snapshot, reason and what else it has of VERDICTS) as verdicts of L1."""
    known = set(dropped.columns)
    return dropped.select(
        pl.lit("l1").alias(name)
        if name == "tier"
        else (pl.col(name).cast(dtype) if name in known else pl.lit(None, dtype).alias(name))
        for name, dtype in VERDICTS.schema.items()
    )


__all__ = ["EXCLUDED", "excluded", "standing", "verdicts"]

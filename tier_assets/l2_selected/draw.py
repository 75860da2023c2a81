"""The seed: which documents the language model rates.

In: L1, lazily. Out: a stratified sample with its texts. Strata are corpus, language, band of length and band of rule
margin, so that the rare, the short, the long and what barely passed the rules are all rated. Two passes: ids and
strata first (memory: `size` rows a stratum), then the texts of what was drawn. A hash of each doc_id costs some 1 us.
"""

from __future__ import annotations

import hashlib
from typing import Final

import polars as pl

# Upper edges of the length bands, in tokens: a screenful, a page, a chapter.
LENGTH_BANDS: Final = (200, 1_000)
# Upper edges of the bands of rule_margin: hardly passed, well within; no margin (text that no rule judges by a number)
# is a band of its own.
MARGIN_BANDS: Final = (0.1, 0.4)
STRATA: Final = ("corpus", "language", "length", "margin")
DRAW_COLUMNS: Final = ("doc_id", "corpus", "language", "num_tokens", "rule_margin")
FETCH_COLUMNS: Final = ("doc_id", "corpus", "snapshot", "text")


def draw_seed(pool: pl.LazyFrame, size: int, seed: int) -> pl.DataFrame:
    """At most `size` documents of the pool, rows of L1, as [doc_id, corpus, snapshot, text] in order of doc_id; each
    stratum has a share that grows with the square root of its size.

    The order within a stratum is a hash of (seed, doc_id): the same documents give the same sample, and a grown pool
    keeps most of it.
    """
    drawn = _draw_ids(pool.select(DRAW_COLUMNS), size, seed)
    if drawn.is_empty():
        return pool.select(FETCH_COLUMNS).head(0).collect()
    return (
        pool.select(FETCH_COLUMNS)
        .join(drawn.lazy(), on="doc_id", how="semi")
        .sort("doc_id")
        .collect(engine="streaming")
    )


def _draw_ids(pool: pl.LazyFrame, size: int, seed: int) -> pl.DataFrame:
    """The doc_ids drawn: rank within the stratum over the square root of the stratum's size, smallest first (power
    allocation, exponent 1/2, Bankier 1988): no corpus is lost and no stray stratum of three rows prevails."""
    kept, counts = pl.DataFrame(), pl.DataFrame()
    for batch in pool.collect_batches():
        rows = _stratified(batch, seed)
        counts = pl.concat([counts, rows.group_by(STRATA).len()], how="diagonal").group_by(STRATA).agg(pl.sum("len"))
        kept = pl.concat([kept, rows], how="diagonal").sort("order", "doc_id")
        kept = kept.filter(pl.int_range(pl.len()).over(STRATA) < size)
    if kept.is_empty():
        return pl.DataFrame(schema={"doc_id": pl.String})
    rank = pl.int_range(1, pl.len() + 1).over(STRATA, order_by=["order", "doc_id"])
    return (
        kept.join(counts, on=STRATA, nulls_equal=True)
        .with_columns(priority=rank / pl.col("len").sqrt())
        .sort("priority", "order", "doc_id")
        .head(size)
        .select("doc_id")
    )


def _stratified(batch: pl.DataFrame, seed: int) -> pl.DataFrame:
    return batch.select(
        "doc_id",
        "corpus",
        "language",
        length=pl.col("num_tokens").cut(list(LENGTH_BANDS)).cast(pl.String),
        margin=pl.col("rule_margin").cut(list(MARGIN_BANDS)).cast(pl.String),
        order=pl.Series([_order(seed, doc_id) for doc_id in batch["doc_id"]], dtype=pl.UInt64),
    )


def _order(seed: int, doc_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}:{doc_id}".encode(), digest_size=8).digest())

"""Diversity of a selection: which of the documents that a policy would keep repeat a better one, or crowd a cluster.

In: the documents that would be kept, with their values, and all candidates' embeddings. Out: those to drop, and why.
Pure and deterministic. Cost: the products of `semantic_duplicates`, one sort; embeddings are read by blocks.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from algorithms.semantic_duplicates import semantic_duplicates
from algorithms.spherical_kmeans import assign
from tier_assets.l2_selected.policy import Diversity

BLOCK: Final = 16_384  # embeddings assigned to clusters at once
NOWHERE: Final = -1  # cluster of a document without an embedding
DROPPED: Final = pl.Schema(
    {"doc_id": pl.String, "reason": pl.String, "detail": pl.String, "kept_doc_id": pl.String, "similarity": pl.Float64}
)


def clusters_of(vectors_ND: np.ndarray, order: np.ndarray, centroids_KD: np.ndarray | None) -> np.ndarray:
    """The cluster of each embedding [N], `NOWHERE` for a row that is zero or not a number.

    Without centroids all embeddings are one cluster. `order` has every position once: rows are taken in that order,
    so that what stands beside them in a block, and with it the last bit of a product, is the same each time.

    Raises:
        ValueError: a row is neither of length 1 nor empty, or the centroids have another number of dimensions.
    """
    if centroids_KD is not None and centroids_KD.shape[1] != vectors_ND.shape[1]:
        raise ValueError(f"centroids of shape {centroids_KD.shape} for embeddings of shape {vectors_ND.shape}")
    clusters_N = np.full(len(vectors_ND), NOWHERE, np.int64)
    for start in range(0, len(order), BLOCK):
        rows = order[start : start + BLOCK]
        block = vectors_ND[rows]
        lengths = np.sqrt(np.einsum("nd,nd->n", block, block))
        there = np.flatnonzero(lengths > 0)
        if len(wrong := there[np.abs(lengths[there] - 1) > 0.01]):
            raise ValueError(f"embedding {rows[wrong[0]]} is of length {lengths[wrong[0]]:.4f}; 1 was expected")
        clusters_N[rows[there]] = 0 if centroids_KD is None else assign(block[there], centroids_KD)
    return clusters_N


def repeated_or_crowded(
    rows: pl.DataFrame, vectors_ND: np.ndarray, clusters_N: np.ndarray, diversity: Diversity, margin: float
) -> pl.DataFrame:
    """The rows to drop [doc_id, reason, detail, kept_doc_id, similarity].

    Args:
        rows: documents that would be kept [doc_id, row, language, slice, value, allowance, member, guaranteed]. `row`
            is the position in `vectors_ND`; `allowance` is by how much another must be better to take a member's place,
            0 for who is none; `guaranteed` are those that a floor keeps.
        vectors_ND: embeddings of length 1.
        clusters_N: cluster of each embedding, `NOWHERE` where there is none.
        diversity: what to drop.
        margin: share of the cap, rounded up, by which a cluster's members may exceed it.

    Documents go in order: those guaranteed first, then by value, a member's lifted by its allowance. Translations are
    no repetition: only documents of one language are compared.
    """
    ordered = rows.sort(
        "guaranteed", pl.col("value") + pl.col("allowance"), "member", "doc_id", descending=[True, True, True, False]
    ).with_columns(cluster=pl.lit(clusters_N).gather("row") if len(rows) else pl.lit(NOWHERE, pl.Int64))
    judged = _with_cap(_with_repeated(ordered, vectors_ND, diversity.max_similarity), diversity.cluster_share, margin)
    dropped = judged.filter(pl.col("crowded") | pl.col("kept_doc_id").is_not_null())
    place = pl.format(
        "value {}, place {} of {} in cluster {}", pl.col("value").round(4), pl.col("place"), pl.col("room"), "cluster"
    )
    return dropped.select(
        "doc_id",
        reason=pl.when("crowded").then(pl.lit("cluster_cap")).otherwise(pl.lit("semantic_duplicate")),
        detail=pl.when("crowded")
        .then(place)
        .otherwise(pl.format("value {}, cluster {}", pl.col("value").round(4), "cluster")),
        kept_doc_id=pl.when(~pl.col("crowded")).then("kept_doc_id"),
        similarity=pl.when(~pl.col("crowded")).then("similarity"),
    ).cast(DROPPED)


def _with_repeated(ordered: pl.DataFrame, vectors_ND: np.ndarray, max_similarity: float) -> pl.DataFrame:
    """Adds `kept_doc_id`, the row that each repeats (null: none), and their `similarity`."""
    if max_similarity >= 1:
        return ordered.with_columns(kept_doc_id=pl.lit(None, pl.String), similarity=pl.lit(None, pl.Float64))
    group = pl.when(pl.col("cluster") >= 0).then(pl.struct("cluster", "language").rank("dense")).otherwise(NOWHERE)
    rows = ordered["row"].to_numpy()
    groups_N = np.full(len(vectors_ND), NOWHERE, np.int64)
    groups_N[rows] = ordered.select(group.cast(pl.Int64)).to_series().to_numpy()
    kept_N, similarity_N = semantic_duplicates(vectors_ND, rows, groups_N, max_similarity)
    found = pl.DataFrame({"kept_row": kept_N[rows], "similarity": similarity_N[rows]})
    names = ordered.select(kept_row=pl.col("row").cast(pl.Int64), kept_doc_id="doc_id")
    return (
        pl.concat([ordered, found], how="horizontal")
        .join(names, on="kept_row", how="left", maintain_order="left")
        .with_columns(pl.col("similarity").fill_nan(None))
    )


def _with_cap(ordered: pl.DataFrame, cluster_share: float, margin: float) -> pl.DataFrame:
    """Adds `crowded`: beyond the `room` of its slice's cluster by its `place`, or a repetition of one that is.

    What repeats a document beyond the room stands behind it in the same cluster, so it would have been beyond it too.
    """
    own = pl.col("kept_doc_id").is_null()
    cap = (own.sum().over("slice") * cluster_share).round(6).ceil()
    there = ["slice", "cluster"]
    members = (own & pl.col("member")).sum().over(there)
    room = pl.max_horizontal(cap, pl.min_horizontal(members, (cap * (1 + margin)).round(6).ceil()))
    placed = ordered.with_columns(room=room.cast(pl.Int64), place=own.cum_sum().over(there).cast(pl.Int64))
    beyond = own & ~pl.col("guaranteed") & (pl.col("cluster") >= 0) & (pl.col("place") > pl.col("room"))
    placed = placed.with_columns(crowded=beyond)
    gone = placed.filter("crowded").select(kept_doc_id="doc_id", kept_crowded=pl.lit(True))
    return placed.join(gone, on="kept_doc_id", how="left", maintain_order="left").with_columns(
        crowded=pl.col("crowded") | pl.col("kept_crowded").fill_null(False)
    )

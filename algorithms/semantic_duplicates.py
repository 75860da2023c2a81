"""Semantic near-duplicates: documents whose embeddings nearly coincide, within clusters.

SemDeDup: Abbas et al. 2023, "Data-efficient learning at web-scale through semantic deduplication", arXiv:2303.09540.
Embeddings are clustered by k-means, and only documents of one cluster are compared: n^2 / k pairs in place of n^2.

    drop b  if  cos(a, b) = v_a . v_b > 1 - eps      for an a that is kept

    v_ND            unit embeddings: N documents, D dimensions
    order           the documents to be compared, best first
    max_similarity  1 - eps

Where we differ: the paper keeps of each group the document that is farthest from its centroid, and drops whatever is
near to any other of its group. Here the caller's order decides: a document is dropped only for one that is kept and
stands before it, so a chain of small steps never joins distant texts, and the same documents in a new order in which
those kept have not fallen behind give the same answer.

Products of float32 differ in the last bit with the shape of a block. Pairs within `EDGE` of the limit are therefore
multiplied again in float64, so that the answer does not hang on what stood beside them.

Costs n^2 / 2 products a cluster at worst (all kept); memory: two blocks of vectors and their products, 40 MB.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

BLOCK: Final = 1_024  # rows judged at once
CHUNK: Final = 8_192  # kept rows that they are held against at once
PAIRS: Final = 16_384  # pairs multiplied again at once
EDGE: Final = 1e-5  # ten times the error of a float32 product of 1,000 dimensions
TOLERANCE: Final = 1e-6  # float32 vectors are of length 1 to about 1e-7


def semantic_duplicates(
    vectors_ND: np.ndarray, order: np.ndarray, clusters_N: np.ndarray, max_similarity: float
) -> tuple[np.ndarray, np.ndarray]:
    """For each row the kept row that it repeats, and their cosine.

    Args:
        vectors_ND: float32 rows of length 1. Only those in `order` whose cluster is not negative are read, by blocks.
        order: distinct positions of the rows to compare, best first.
        clusters_N: cluster of each row; rows of different clusters are not compared, those of a negative one with none.
        max_similarity: a row whose cosine with a kept row of its cluster is above this is dropped.

    Returns:
        `kept_N`, the position of the first (best) kept row that each dropped row repeats, -1 where a row is kept or was
        not compared; and `similarity_N`, their cosine rounded to 1e-4, NaN where `kept_N` is -1.
    """
    kept_N = np.full(len(vectors_ND), -1, np.int64)
    for rows in _by_cluster(order, clusters_N):
        _judge(vectors_ND, rows, max_similarity + TOLERANCE, kept_N)
    dropped = np.flatnonzero(kept_N >= 0)
    similarity_N = np.full(len(vectors_ND), np.nan)
    similarity_N[dropped] = _cosines(vectors_ND, dropped, vectors_ND, kept_N[dropped]).round(4)
    return kept_N, similarity_N


def _by_cluster(order: np.ndarray, clusters_N: np.ndarray) -> Iterator[np.ndarray]:
    """The rows of each cluster of more than one, best first."""
    rows = order[clusters_N[order] >= 0]
    rows = rows[np.argsort(clusters_N[rows], kind="stable")]
    ends = np.flatnonzero(np.diff(clusters_N[rows])) + 1
    return (group for group in np.split(rows, ends) if len(group) > 1)


def _judge(vectors_ND: np.ndarray, rows: np.ndarray, limit: float, kept_N: np.ndarray) -> None:
    """Writes into `kept_N` what each of a cluster's `rows` (best first) repeats."""
    kept = np.empty(0, np.int64)
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        for chunk in (kept[i : i + CHUNK] for i in range(0, len(kept), CHUNK)):
            hits = _above(vectors_ND[block], vectors_ND[chunk], limit)
            found = hits.any(axis=1)
            kept_N[block[found]] = chunk[hits[found].argmax(axis=1)]
            block = block[~found]
        near = np.tril(_above(vectors_ND[block], vectors_ND[block], limit), -1)
        alive = np.ones(len(block), np.bool_)
        for i in np.flatnonzero(near.any(axis=1)):
            before = np.flatnonzero(near[i] & alive)
            if len(before):
                kept_N[block[i]], alive[i] = block[before[0]], False
        kept = np.concatenate([kept, block[alive]])


def _above(left_ID: np.ndarray, right_JD: np.ndarray, limit: float) -> np.ndarray:
    """Which pairs of rows have a cosine above `limit` [I, J]."""
    cosines_IJ = left_ID @ right_JD.T
    above_IJ = cosines_IJ > np.float32(limit)
    cosines_IJ -= np.float32(limit)
    i, j = np.nonzero(np.abs(cosines_IJ, out=cosines_IJ) < EDGE)
    above_IJ[i, j] = _cosines(left_ID, i, right_JD, j) > limit
    return above_IJ


def _cosines(left: np.ndarray, i: np.ndarray, right: np.ndarray, j: np.ndarray) -> np.ndarray:
    """The float64 product of each pair `left[i]`, `right[j]`, each on its own."""
    found = np.empty(len(i))
    for start in range(0, len(i), PAIRS):
        part = slice(start, start + PAIRS)
        found[part] = (left[i[part]].astype(np.float64) * right[j[part]]).sum(axis=1)
    return found

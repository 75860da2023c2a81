"""Spherical k-means: clusters of directions, each with a centroid of length 1.

Papers: Dhillon and Modha, 2001, https://doi.org/10.1023/A:1007612920971; seeding (k-means++): Arthur and Vassilvitskii,
SODA 2007.

    a_n = argmax_k <x_n, c_k>        c_k = sum_{n: a_n = k} x_n / |sum|

    x_n   vector of length 1, N of them
    c_k   centroid of length 1, K of them
    a_n   cluster of vector n, the lower number on a tie

k-means++ draws the next seed with probability in proportion to 1 - max_k <x_n, c_k>, half the squared distance.

Where we differ: a cluster that lost all its vectors is seeded anew with the vector that lies farthest from its own
centroid, so that K stays K while there are K different vectors. Deterministic given the seed: sums are taken in the
order of the rows.

In: float32 [N, D]. Out: float32 [K, D], or int32 [N]. Costs 2 * N * K * D operations a round, in batches of BATCH rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from scipy import sparse

# Rows compared with all centroids at a time: 16 MB of products for a thousand clusters.
BATCH: Final = 4_096
# Vectors nearer than this are copies: what float32 leaves of 1 - <x, x>.
ROUNDING: Final = 1e-5


def fit(vectors: np.ndarray, k: int, seed: int, rounds: int) -> np.ndarray:
    """The centroids of `vectors` [N, D] after at most `rounds` rounds, the largest cluster first: float32 [K, D].

    K is `k`, or the number of different vectors where that is smaller.

    Raises:
        ValueError: k or rounds below 1, no vectors, or vectors that are not of length 1.
    """
    if k < 1 or rounds < 1:
        raise ValueError(f"k and rounds must be at least 1, got {k} and {rounds}")
    if len(vectors) == 0 or not np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-2):
        raise ValueError(f"k-means needs vectors of length 1, got {len(vectors)} rows")
    vectors_ND = np.ascontiguousarray(vectors, dtype=np.float32)
    centroids_KD = _seeds(vectors_ND, min(k, len(vectors)), np.random.default_rng(seed))
    assigned_N = np.full(len(vectors), -1, np.int32)
    for _ in range(rounds):
        before_N = assigned_N
        assigned_N, likeness_N = _nearest(vectors_ND, centroids_KD)
        if np.array_equal(before_N, assigned_N):
            break
        centroids_KD = _centroids(vectors_ND, assigned_N, likeness_N, len(centroids_KD))
    sizes_K = np.bincount(assign(vectors_ND, centroids_KD), minlength=len(centroids_KD))
    return centroids_KD[np.argsort(-sizes_K, kind="stable")]


def assign(vectors: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """The cluster of each of `vectors` [N, D] (may lie on disk): int32 [N]."""
    return _nearest(vectors, centroids)[0]


def _seeds(vectors_ND: np.ndarray, k: int, draw: np.random.Generator) -> np.ndarray:
    """k different rows by k-means++, while there are any."""
    chosen = [int(draw.integers(len(vectors_ND)))]
    far_N = np.full(len(vectors_ND), np.inf)
    for _ in range(1, k):
        distance_N = 1.0 - vectors_ND @ vectors_ND[chosen[-1]]
        far_N = np.minimum(far_N, np.where(distance_N > ROUNDING, distance_N, 0.0))
        far_N[chosen[-1]] = 0.0
        total = far_N.sum()
        if total == 0:  # what is left are copies of what was chosen
            break
        # The first row whose share of the whole is passed; the last with a share, where rounding would pass them all.
        row = int(np.searchsorted(np.cumsum(far_N), draw.random() * total, side="right"))
        chosen.append(min(row, int(np.flatnonzero(far_N)[-1])))
    return vectors_ND[chosen].copy()


def _nearest(vectors_ND: np.ndarray, centroids_KD: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cluster of each vector, and its cosine with that centroid."""
    assigned_N = np.empty(len(vectors_ND), np.int32)
    likeness_N = np.empty(len(vectors_ND), np.float32)
    for rows in _slices(len(vectors_ND)):
        products = vectors_ND[rows] @ centroids_KD.T
        assigned_N[rows] = products.argmax(axis=1)
        likeness_N[rows] = products.max(axis=1)
    return assigned_N, likeness_N


def _centroids(vectors_ND: np.ndarray, assigned_N: np.ndarray, likeness_N: np.ndarray, k: int) -> np.ndarray:
    """Each cluster's direction; an empty one takes the vector that is least like its own centroid."""
    sums_KD = np.zeros((k, vectors_ND.shape[1]))
    for rows in _slices(len(vectors_ND)):
        part = assigned_N[rows]
        members_KN = sparse.csc_array((np.ones(len(part)), part, np.arange(len(part) + 1)), shape=(k, len(part)))
        sums_KD += members_KN @ vectors_ND[rows]
    lengths_K = np.linalg.norm(sums_KD, axis=1)
    empty = np.flatnonzero((np.bincount(assigned_N, minlength=k) == 0) | (lengths_K < 1e-9))
    sums_KD[empty] = vectors_ND[np.argsort(likeness_N, kind="stable")[: len(empty)]]
    return (sums_KD / np.linalg.norm(sums_KD, axis=1, keepdims=True)).astype(np.float32)


def _slices(num: int) -> Iterator[slice]:
    for start in range(0, num, BATCH):
        yield slice(start, start + BATCH)

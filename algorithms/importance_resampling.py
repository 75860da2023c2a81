"""DSIR: importance weights of documents for a target, by hashed words and word pairs.

Xie et al. 2023, "Data Selection for Language Models via Importance Resampling", arXiv 2302.03169. Both the target and
the pool are bags of hashed n-grams, and a document's weight is their likelihood ratio:

    log w_d = sum_h c_dh log(p_h / q_h)

    c_dh  count of bucket h in document d
    p, q  shares of the buckets in the target and in the pool, smoothed

A draw without replacement by these weights is Gumbel-top-k over log w (`gumbel_top_k`, temperature 1).

Where we differ: the sum grows with a document's length, and the published code cuts documents into pieces of one
length; here it is scaled to a document of the pool's mean length, so that long documents are not all of the draw.
Shares are smoothed by SMOOTHING counts a bucket in place of 1e-8, under which one unseen word outweighs all others.

In: counts by block (CSR [n, BUCKETS], `ngram_counts`). Out: log weights [N]. Two passes over the pool's blocks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import sparse

SMOOTHING: Final = 1.0
Shares = npt.NDArray[np.float64]


def totals(blocks: Iterable[sparse.csr_matrix]) -> Shares:
    """The counts of all rows of all blocks [buckets].

    Raises:
        ValueError: no block.
    """
    total: Shares | None = None
    for block in blocks:
        found = np.bincount(block.indices, weights=block.data, minlength=block.shape[1]).astype(np.float64)
        total = found if total is None else total + found
    if total is None:
        raise ValueError("no texts to count")
    return total


def shares(total_H: Shares, smoothing: float = SMOOTHING) -> Shares:
    """Smoothed shares of the counts; they sum to 1."""
    return (total_H + smoothing) / (total_H.sum() + smoothing * len(total_H))


def log_ratios(target_H: Shares, pool_H: Shares) -> Shares:
    """log(p_h / q_h) of each bucket from the counts of the target and of the pool [buckets]."""
    ratios: Shares = np.log(shares(target_H)) - np.log(shares(pool_H))
    return ratios


def log_weights(blocks: Iterable[sparse.csr_matrix], ratios_H: Shares) -> Shares:
    """The log importance weight of every row of the blocks [N], as if all rows had the mean number of n-grams; 0 of an
    empty row."""
    sums, sizes = [np.empty(0)], [np.empty(0)]
    for block in blocks:
        sums.append(block @ ratios_H)
        sizes.append(np.asarray(block.sum(axis=1)).ravel())
    sum_N, size_N = np.concatenate(sums), np.concatenate(sizes)
    mean = size_N.mean() if size_N.any() else 1.0
    weights: Shares = sum_N * (mean / np.maximum(size_N, 1.0))
    return weights


__all__ = ["SMOOTHING", "log_ratios", "log_weights", "shares", "totals"]

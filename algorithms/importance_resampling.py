"""DSIR: importance weights of documents for a target, by hashed words and word pairs.

Xie et al. 2023, "Data Selection for Language Models via Importance Resampling", arXiv 2302.03169. Both the target and
the pool are bags of hashed n-grams, and a document's weight is their likelihood ratio:

    log w_d = sum_h c_dh log((p_h + e) / (q_h + e)),    e = 1e-8

    c_dh  count of bucket h in document d; 8,192 buckets (10,000 in the paper): few enough that the target fills them
    p, q  shares of the buckets in the target and in the pool

A draw without replacement by these weights is Gumbel-top-k over log w (`gumbel_top_k`, temperature 1).

Where we differ: the sum grows with a document's length, and the published code works on pieces of one length; here it
is scaled to a document of the pool's mean length, so that a long document's weight is not its length.

In: counts by block (CSR [n, BUCKETS], `ngram_counts`). Out: log weights [N]. Two passes over the pool's blocks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import sparse

SMOOTHING: Final = 1e-8
FOLDED: Final = 1 << 13
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


def log_ratios(target_H: Shares, pool_H: Shares) -> Shares:
    """log(p_h / q_h) of each bucket from the counts of the target and of the pool [buckets], which are folded into
    FOLDED buckets first: buckets that fall together have the same ratio.

    Raises:
        ValueError: no n-gram in the target or the pool.
    """
    if target_H.sum() <= 0 or pool_H.sum() <= 0:
        raise ValueError("texts without a word have no n-grams to compare")
    folded = min(FOLDED, len(target_H))
    target, pool = (total.reshape(-1, folded).sum(axis=0) for total in (target_H, pool_H))
    ratios: Shares = np.log(target / target.sum() + SMOOTHING) - np.log(pool / pool.sum() + SMOOTHING)
    return np.tile(ratios, len(target_H) // folded)


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


__all__ = ["FOLDED", "SMOOTHING", "log_ratios", "log_weights", "totals"]

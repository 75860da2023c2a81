"""Boosted trees for a share between 0 and 1: fitted in numba on histograms, small enough to ship as an array file.

Friedman 2001, "Greedy function approximation: a gradient boosting machine" (doi:10.1214/aos/1013203451), with the
second-order gains of XGBoost (Chen & Guestrin, arXiv:1603.02754) and histograms as in LightGBM.

    y_N in [0, 1], weights w_N, margin m, p = 1 / (1 + exp(-m))
    g = w (p - y),  h = w p (1 - p)                       of each row
    gain = GL^2 / (HL + l2) + GR^2 / (HR + l2) - G^2 / (H + l2),   leaf = -rate * G / (H + l2)

Where we differ: every tree is complete and of one depth, so that a tree is three flat arrays and a row takes `depth`
comparisons; a node without a useful split sends all rows left. Features are float32, NaN is not allowed.
In: features, shares, weights. Out: `Trees`. Costs about 30 s for 150 trees on 100,000 rows of 160 features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numba
import numpy as np

MAX_BINS: Final = 64


@dataclass(frozen=True)
class TreeSettings:
    """How trees are grown: each sees `row_share` of the rows and `feature_share` of the features."""

    num_trees: int = 150
    depth: int = 5
    rate: float = 0.08
    l2: float = 20.0
    min_weight: float = 20.0  # of each side of a split, in h
    row_share: float = 0.7
    feature_share: float = 0.4
    seed: int = 0


@dataclass(frozen=True)
class Trees:
    """`feature_TM`, `threshold_TM`: the M = 2^depth - 1 splits of each tree, breadth first (left: value <= threshold);
    `leaf_TL`: the margin that each of its 2^depth leaves adds; `bias`: the margin to begin with."""

    feature_TM: np.ndarray
    threshold_TM: np.ndarray
    leaf_TL: np.ndarray
    bias: float

    def predict(self, features_NF: np.ndarray) -> np.ndarray:
        """The share of each row, float64."""
        margin_N = np.full(len(features_NF), self.bias)
        _add_trees(features_NF, self.feature_TM, self.threshold_TM, self.leaf_TL, margin_N)
        return 1 / (1 + np.exp(-margin_N))


def fit(features_NF: np.ndarray, share_N: np.ndarray, weight_N: np.ndarray, settings: TreeSettings) -> Trees:
    """Trees for the weighted log loss of `share_N`.

    Raises:
        ValueError: a feature is NaN.
    """
    if np.isnan(features_NF).any():
        raise ValueError("features must not be NaN")
    draw = np.random.default_rng(settings.seed)
    num_rows, num_features = features_NF.shape
    edges = [_edges(features_NF[:, f]) for f in range(num_features)]
    bins_NF = np.empty((num_rows, num_features), np.uint8)
    for f in range(num_features):
        bins_NF[:, f] = np.searchsorted(edges[f], features_NF[:, f])
    num_splits = 2**settings.depth - 1
    feature_TM = np.zeros((settings.num_trees, num_splits), np.uint16)
    threshold_TM = np.full((settings.num_trees, num_splits), np.inf, np.float32)
    leaf_TL = np.zeros((settings.num_trees, num_splits + 1), np.float32)
    mean = float(np.average(share_N, weights=weight_N))
    bias = float(np.log(mean / (1 - mean)))
    margin_N = np.full(num_rows, bias)
    for tree in range(settings.num_trees):
        p_N = 1 / (1 + np.exp(-margin_N))
        used_N = np.flatnonzero(draw.random(num_rows) < settings.row_share)
        chance_F: np.ndarray = draw.random((num_features,))
        columns = np.flatnonzero(chance_F <= max(settings.feature_share, chance_F.min()))  # one at the least
        gradient_N, curve_N = weight_N * (p_N - share_N), weight_N * p_N * (1 - p_N)
        split_M, cut_M, leaf_L = _grow(
            np.ascontiguousarray(bins_NF[np.ix_(used_N, columns)]),
            gradient_N[used_N], curve_N[used_N], settings.depth, settings.l2, settings.min_weight,
        )  # fmt: skip
        feature_TM[tree], leaf_TL[tree] = columns[split_M], settings.rate * leaf_L
        for m in np.flatnonzero(cut_M >= 0):
            threshold_TM[tree, m] = edges[feature_TM[tree, m]][cut_M[m]]
        one = slice(tree, tree + 1)
        _add_trees(features_NF, feature_TM[one], threshold_TM[one], leaf_TL[one], margin_N)
    return Trees(feature_TM, threshold_TM, leaf_TL, bias)


def _edges(values: np.ndarray) -> np.ndarray:
    """Split points between the bins of a feature: at most MAX_BINS - 1, at its quantiles."""
    distinct = np.unique(values)
    if len(distinct) > MAX_BINS:
        distinct = np.unique(np.quantile(values, np.linspace(0, 1, MAX_BINS), method="lower"))
    return distinct[:-1].astype(np.float32)


@numba.njit(cache=True)
def _histogram(bins_UC, order_U, start, end, gradient_U, curve_U, hist_CB2):  # type: ignore[no-untyped-def]
    """Sums of g and h by feature and bin over the rows `order_U[start:end]`."""
    hist_CB2[:] = 0
    for i in range(start, end):
        row = order_U[i]
        gradient, curve = gradient_U[row], curve_U[row]
        for c in range(bins_UC.shape[1]):
            cell = hist_CB2[c, bins_UC[row, c]]
            cell[0] += gradient
            cell[1] += curve


@numba.njit(cache=True)
def _best_split(hist_CB2, l2, min_weight):  # type: ignore[no-untyped-def]
    """Column and bin of the split that gains most; bin -1: none does."""
    whole_g, whole_h = hist_CB2[0, :, 0].sum(), hist_CB2[0, :, 1].sum()
    best, column, cut, without = 0.0, 0, -1, whole_g**2 / (whole_h + l2)
    for c in range(len(hist_CB2)):
        left_g, left_h = 0.0, 0.0
        for b in range(MAX_BINS - 1):
            left_g += hist_CB2[c, b, 0]
            left_h += hist_CB2[c, b, 1]
            right_g, right_h = whole_g - left_g, whole_h - left_h
            if left_h < min_weight or right_h < min_weight:
                continue
            gain = left_g**2 / (left_h + l2) + right_g**2 / (right_h + l2) - without
            if gain > best:
                best, column, cut = gain, c, b
    return column, cut


@numba.njit(cache=True)
def _partition(bins_U, order_U, start, end, cut, spare_U):  # type: ignore[no-untyped-def]
    """Put the rows of `order_U[start:end]` that go left first, each side in its order; where the right ones begin."""
    left, right = start, 0
    for i in range(start, end):
        if cut >= 0 and bins_U[order_U[i]] > cut:
            spare_U[right] = order_U[i]
            right += 1
        else:
            order_U[left] = order_U[i]
            left += 1
    order_U[left:end] = spare_U[:right]
    return left


@numba.njit(cache=True)
def _grow(bins_UC, gradient_U, curve_U, depth, l2, min_weight):  # type: ignore[no-untyped-def]
    """One tree: column and bin of each split (-1: all left), and the value of each leaf.

    The histogram of the larger child is its parent's less its sibling's, which halves the work.
    """
    num_splits, num_rows = 2**depth - 1, len(bins_UC)
    split_M, cut_M = np.zeros(num_splits, np.int64), np.full(num_splits, -1, np.int64)
    bounds_N = np.zeros((2 * num_splits + 1, 2), np.int64)  # of each node's rows in `order_U`
    bounds_N[0, 1] = num_rows
    order_U, spare_U = np.arange(num_rows), np.empty(num_rows, np.int64)
    hists = np.zeros((num_splits, bins_UC.shape[1], MAX_BINS, 2))
    _histogram(bins_UC, order_U, 0, num_rows, gradient_U, curve_U, hists[0])
    for m in range(num_splits):
        start, end = bounds_N[m]
        split_M[m], cut_M[m] = _best_split(hists[m], l2, min_weight)
        middle = _partition(bins_UC[:, split_M[m]], order_U, start, end, cut_M[m], spare_U)
        left, right = 2 * m + 1, 2 * m + 2
        bounds_N[left, 0], bounds_N[left, 1] = start, middle
        bounds_N[right, 0], bounds_N[right, 1] = middle, end
        if right < num_splits:
            small, large = (left, right) if middle - start < end - middle else (right, left)
            _histogram(bins_UC, order_U, bounds_N[small, 0], bounds_N[small, 1], gradient_U, curve_U, hists[small])
            hists[large] = hists[m] - hists[small]
    leaf_L = np.zeros(num_splits + 1)
    for leaf in range(num_splits + 1):
        rows = order_U[bounds_N[num_splits + leaf, 0] : bounds_N[num_splits + leaf, 1]]
        leaf_L[leaf] = -gradient_U[rows].sum() / (curve_U[rows].sum() + l2)
    return split_M, cut_M, leaf_L


@numba.njit("void(float32[:, ::1], uint16[:, ::1], float32[:, ::1], float32[:, ::1], float64[::1])", cache=True)
def _add_trees(features_NF, feature_TM, threshold_TM, leaf_TL, margin_N):  # type: ignore[no-untyped-def]
    # All indices unsigned: signed ones are checked for counting from the end, which halves the speed.
    num_splits, one = np.uint64(feature_TM.shape[1]), np.uint64(1)
    for t in range(np.uint64(len(feature_TM))):
        for n in range(np.uint64(len(features_NF))):
            m = np.uint64(0)
            while m < num_splits:
                m = m + m + one + np.uint64(features_NF[n, feature_TM[t, m]] > threshold_TM[t, m])
            margin_N[n] += leaf_TL[t, m - num_splits]


__all__ = ["TreeSettings", "Trees", "fit"]

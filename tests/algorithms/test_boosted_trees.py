"""Boosted trees against what they must learn, and prediction against the slow version."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from algorithms.boosted_trees import Trees, TreeSettings, fit

SETTINGS = TreeSettings(num_trees=60, depth=3, rate=0.2, l2=1.0, min_weight=1.0, row_share=1.0, feature_share=1.0)


def drawn(num_rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows whose share is high where exactly one of two features is positive."""
    features = np.random.default_rng(seed).normal(size=(num_rows, 4)).astype(np.float32)
    return features, ((features[:, 0] > 0) != (features[:, 1] > 0.5)).astype(float)


def slow_predict(trees: Trees, row: np.ndarray) -> float:
    margin = trees.bias
    for feature_M, threshold_M, leaf_L in zip(trees.feature_TM, trees.threshold_TM, trees.leaf_TL):
        m = 0
        while m < len(feature_M):
            m = 2 * m + (2 if row[feature_M[m]] > threshold_M[m] else 1)
        margin += leaf_L[m - len(feature_M)]
    return float(1 / (1 + np.exp(-margin)))


def test_fit_exclusive_or_of_two_features_is_learnt():
    trees = fit(*drawn(4000, 1), np.ones(4000), SETTINGS)
    features, share = drawn(1000, 2)
    assert ((trees.predict(features) > 0.5) == (share > 0.5)).mean() > 0.97


def test_predict_rows_equal_the_slow_version():
    features, share = drawn(500, 3)
    trees = fit(features, share, np.ones(500), replace(SETTINGS, num_trees=5))
    assert trees.predict(features[:50]) == pytest.approx([slow_predict(trees, row) for row in features[:50]])


def test_fit_weights_of_rows_count():
    features = np.zeros((100, 1), np.float32)
    share = np.array([0.0] * 50 + [1.0] * 50)
    weights = np.array([1.0] * 50 + [3.0] * 50)
    assert fit(features, share, weights, SETTINGS).predict(features[:1]) == pytest.approx([0.75], abs=1e-3)


def test_fit_same_seed_gives_the_same_trees():
    data = *drawn(300, 4), np.ones(300)
    first, second = (fit(*data, replace(SETTINGS, row_share=0.5, feature_share=0.5)) for _ in range(2))
    assert (first.threshold_TM == second.threshold_TM).all()
    assert (first.leaf_TL == second.leaf_TL).all()


def test_fit_nan_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        fit(np.full((3, 1), np.nan, np.float32), np.zeros(3), np.ones(3), SETTINGS)

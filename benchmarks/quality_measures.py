"""How well values order a truth: AUC or Spearman, and paired bootstrap intervals of differences.

In: columns of values and a truth. Out: figures. A resample is a count of each row, so that ranks need no sorting again:
a column of 36,000 values takes under a millisecond a resample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

RESAMPLES: Final = 1_000
SEED: Final = 4


@dataclass(frozen=True, slots=True)
class Measured:
    """Of each column the figure, and its figures in the resamples [RESAMPLES]; the same resamples for all columns."""

    figures: dict[str, float]
    resampled: dict[str, np.ndarray]

    def interval(self, name: str) -> tuple[float, float]:
        """The 95% interval of a column's figure."""
        low, high = np.percentile(self.resampled[name], (2.5, 97.5))
        return float(low), float(high)

    def difference(self, name: str, other: str) -> tuple[float, float, float]:
        """A column's figure less another's, and its paired 95% interval."""
        low, high = np.percentile(self.resampled[name] - self.resampled[other], (2.5, 97.5))
        return self.figures[name] - self.figures[other], float(low), float(high)


def measured(columns: Mapping[str, np.ndarray], truth: np.ndarray, group: pl.Series, binary: bool) -> Measured:
    """AUC (`binary`) or Spearman of each column [N] against `truth` [N]; rows of one `group` are drawn together."""
    codes = {name: _codes(values) for name, values in columns.items()}
    true_codes = _codes(truth)
    members = _codes(group.to_numpy())
    num_groups = int(members.max()) + 1
    draw = np.random.default_rng(SEED)
    resampled = {name: np.empty(RESAMPLES) for name in columns}
    for number in range(RESAMPLES):
        drawn = np.bincount(draw.integers(0, num_groups, num_groups), minlength=num_groups)
        counts = drawn[members].astype(np.float64)
        for name, code in codes.items():
            resampled[name][number] = _figure(code, truth, true_codes, counts, binary)
    ones = np.ones(len(truth))
    return Measured({name: _figure(code, truth, true_codes, ones, binary) for name, code in codes.items()}, resampled)


def _codes(values: np.ndarray) -> np.ndarray:
    """0 for the smallest value, 1 for the next ... equal values alike."""
    return np.unique(values, return_inverse=True)[1]


def _figure(code: np.ndarray, truth: np.ndarray, true_codes: np.ndarray, counts: np.ndarray, binary: bool) -> float:
    ranks = _ranks(code, counts)
    if binary:
        positive = counts * (truth > 0)
        num, rest = positive.sum(), counts.sum() - positive.sum()
        if num == 0 or rest == 0:
            return 0.5
        return float(((positive * ranks).sum() - num * num / 2) / (num * rest))
    other = _ranks(true_codes, counts)
    total = counts.sum()
    x, y = ranks - (counts * ranks).sum() / total, other - (counts * other).sum() / total
    spread = np.sqrt((counts * x * x).sum() * (counts * y * y).sum())
    return float((counts * x * y).sum() / spread) if spread > 0 else 0.0


def _ranks(code: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The middle rank of each row among rows that stand `counts` times each."""
    held = np.bincount(code, weights=counts)
    return (np.cumsum(held) - held / 2)[code]

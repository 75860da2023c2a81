"""The strongest influence model: a ridge regression on the training model's own mean hidden states, and on the domain.

In: mean hidden states [N, width] of the probed windows. Out: a weight a state and an intercept a domain. Learning takes
milliseconds; what costs is the forward pass that the states come from (2 FLOPs a parameter and token).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from tier_assets.m2_influence.cross_validation import Arrays

# A domain's column beside standardised states, as a share of their common length.
DOMAIN_WEIGHT: Final = 1.0


class HiddenRidge:
    """Learns from `hidden_ND` and `domains` [N]; a learner of `cross_validation`."""

    def __init__(self, hidden_ND: np.ndarray, domains: pl.Series, ridges: tuple[float, ...]) -> None:
        self.settings = ridges
        self.flops = 0.0
        self._domains = sorted(set(domains.to_list()))
        self._mean = hidden_ND.mean(axis=0, dtype=np.float64)
        spread = hidden_ND.std(axis=0, dtype=np.float64)
        self._scale = np.where(spread > 0, spread, 1.0) * np.sqrt(hidden_ND.shape[1])
        own = domains.to_numpy()[:, None] == np.array(self._domains)[None, :]
        self._design = np.hstack([(hidden_ND - self._mean) / self._scale, own * DOMAIN_WEIGHT])

    def learn(self, rows: np.ndarray, target: np.ndarray, ridge: float) -> Arrays:
        """The coefficients learnt from `rows`, whose targets are `target` [len(rows)]."""
        design, mean = self._design[rows], float(target.mean())
        num, width = design.shape
        squares = design.T @ design
        squares[np.diag_indices(width)] += ridge
        found = np.linalg.solve(squares, design.T @ (target - mean))
        self.flops += 2.0 * num * width * (width + 1) + 2.0 / 3.0 * width**3
        return {"coefficients": found, "mean": np.array([mean])}

    def values(self, learnt: Arrays, rows: np.ndarray) -> np.ndarray:
        """What `learnt` predicts for `rows`."""
        return np.asarray(self._design[rows] @ learnt["coefficients"] + learnt["mean"][0])

    def packed(self, learnt: Arrays) -> Arrays:
        """What `predict` needs of `learnt`, and no more."""
        states, own = np.split(learnt["coefficients"], [len(self._mean)])
        weights = states / self._scale
        return {
            "weights": weights,
            "constant": learnt["mean"] - self._mean @ weights,
            "intercepts": own * DOMAIN_WEIGHT,
            "domains": np.array(self._domains),
        }


def predict(arrays: Arrays, hidden_ND: np.ndarray, domains: pl.Series) -> np.ndarray:
    """The model's value of each row of states [N]; a domain that it does not know adds nothing.

    Raises:
        ValueError: the states are of another width.
    """
    if hidden_ND.ndim != 2 or hidden_ND.shape[1] != len(arrays["weights"]):
        raise ValueError(f"hidden states of shape {hidden_ND.shape}; the model was learnt on {len(arrays['weights'])}")
    intercepts = dict(zip(arrays["domains"].tolist(), arrays["intercepts"].tolist(), strict=True))
    own = np.array([intercepts.get(name, 0.0) for name in domains])
    return np.asarray(hidden_ND.astype(np.float64) @ arrays["weights"] + arrays["constant"][0] + own)

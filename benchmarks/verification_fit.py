"""`python -m benchmarks.verification_fit --data DATA`: the constants of `answer_fit` and `turned_claims`, fitted anew.

Only records of the development half take part; `benchmarks.verification` reports on the other. Prints weights, bias,
and for `answer_fit` what share of right answers each threshold would lose and of wrong ones find (cross-validated).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from algorithms import answer_fit, turned_claims
from benchmarks.verification_sets import DEVELOPMENT, in_half, span_pairs, turned_pairs
from tests.l3_refined.hard_negatives import Pair

RIDGE: Final = 1.0
NEWTON_STEPS: Final = 50
FOLDS: Final = 5


def examples(
    pairs: Sequence[Pair], features: Callable[[Pair, str], Sequence[float]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features [2N, F] of each pair's right and wrong output, truth [2N], and weights that make kinds count alike."""
    kinds = [pair.kind for pair in pairs]
    rows = [features(pair, text) for pair in pairs for text in (pair.right, pair.wrong)]
    share = {kind: len(kinds) / len(set(kinds)) / kinds.count(kind) for kind in set(kinds)}
    weights = [share[kind] for kind in kinds for _ in range(2)]
    return np.array(rows, float), np.tile([1.0, 0.0], len(pairs)), np.array(weights)


def logistic(x_NF: np.ndarray, y_N: np.ndarray, weights_N: np.ndarray) -> np.ndarray:
    """Weights [F + 1] of a ridge logistic regression by Newton's method; the last is the bias, which is not shrunk."""
    x = np.column_stack([x_NF, np.ones(len(x_NF))])
    ridge = np.append(np.full(x_NF.shape[1], RIDGE), 1e-6)
    w = np.zeros(x.shape[1])
    for _ in range(NEWTON_STEPS):
        p = 1 / (1 + np.exp(-np.clip(x @ w, -30, 30)))
        gradient = x.T @ (weights_N * (p - y_N)) + ridge * w
        hessian = (x * (weights_N * p * (1 - p))[:, None]).T @ x + np.diag(ridge)
        w -= np.linalg.solve(hessian, gradient)
    return w


def cross_validated(x_NF: np.ndarray, y_N: np.ndarray, weights_N: np.ndarray) -> np.ndarray:
    """The probability of each row from the other folds' fit; the two rows of a pair are in one fold."""
    fold = np.arange(len(y_N)) // 2 % FOLDS
    found = np.zeros(len(y_N))
    for number in range(FOLDS):
        rest = fold != number
        w = logistic(x_NF[rest], y_N[rest], weights_N[rest])
        found[~rest] = 1 / (1 + np.exp(-(x_NF[~rest] @ w[:-1] + w[-1])))
    return found


def main() -> None:
    """Fit both and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    folder = parser.parse_args().data
    spans = in_half(span_pairs(folder), DEVELOPMENT)
    turned = in_half(turned_pairs(folder), DEVELOPMENT)
    x, y, weights = examples(spans, lambda pair, text: answer_fit.features(pair.question, text, pair.source))
    _show("answer_fit", answer_fit.FEATURES, logistic(x, y, weights))
    scores = cross_validated(x, y, weights)
    for share in (0.005, 0.01, 0.02, 0.05):
        threshold = float(np.quantile(scores[y > 0], share))
        print(
            f"  below {threshold:.3f}: {share:.1%} of the right, {np.mean(scores[y == 0] < threshold):.1%} of the wrong"
        )
    x, y, weights = examples(turned, lambda pair, text: turned_claims.features(text, pair.source))
    _show("turned_claims", turned_claims.FEATURES, logistic(x, y, weights))


def _show(name: str, features: Sequence[str], w: np.ndarray) -> None:
    print(f"{name}: WEIGHTS = {tuple(round(float(v), 2) for v in w[:-1])}, BIAS = {w[-1]:.2f}")
    for feature, value in zip(features, w, strict=False):
        print(f"  {value:6.2f}  {feature}")


if __name__ == "__main__":
    main()

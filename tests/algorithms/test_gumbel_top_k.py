"""The largest of s/T + g are a sample without replacement from the softmax."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from algorithms.gumbel_top_k import gumbel_top_k

SCORES = np.array([0.0, 1.0, 2.0, 0.5])


def inclusion(scores: np.ndarray, k: int, temperature: float) -> np.ndarray:
    """The probability of each item to be among k drawn one by one by the softmax of those left: all orders, summed."""
    weights = np.exp(scores / temperature)
    found = np.zeros(len(scores))
    for order in permutations(range(len(scores)), k):
        probability, left = 1.0, weights.sum()
        for item in order:
            probability *= weights[item] / left
            left -= weights[item]
        found[list(order)] += probability
    return found


@pytest.mark.parametrize(("k", "temperature"), [(1, 1.0), (2, 1.0), (2, 0.5), (3, 2.0)])
def test_gumbel_top_k_over_many_draws_includes_items_as_the_softmax_does(k: int, temperature: float) -> None:
    random = np.random.default_rng(1)
    draws = 20_000
    counts = np.bincount(
        np.concatenate([gumbel_top_k(SCORES, k, temperature, random) for _ in range(draws)]), minlength=len(SCORES)
    )
    # Four standard errors of a share.
    assert np.abs(counts / draws - inclusion(SCORES, k, temperature)).max() < 4 * 0.5 / np.sqrt(draws)


def test_gumbel_top_k_at_temperature_zero_takes_the_highest() -> None:
    assert gumbel_top_k(SCORES, 3, 0.0, np.random.default_rng(0)).tolist() == [2, 1, 3]


def test_gumbel_top_k_of_more_than_there_are_gives_each_once() -> None:
    assert sorted(gumbel_top_k(SCORES, 9, 1.0, np.random.default_rng(0)).tolist()) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("scores", "k", "temperature"), [([0.0, np.nan], 1, 1.0), ([np.inf], 1, 1.0), ([0.0], -1, 1.0), ([0.0], 1, -1.0)]
)
def test_gumbel_top_k_of_bad_input_raises(scores: list[float], k: int, temperature: float) -> None:
    with pytest.raises(ValueError, match=r"finite|not -1|below 0"):
        gumbel_top_k(np.array(scores), k, temperature, np.random.default_rng(0))

"""What weighs in a residual: tokens that the model does not know and the reference itself could tell."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from algorithms.ngram_counts import BUCKETS, count_tokens
from algorithms.token_residual import excess, target

# 1 is always followed by 2; what follows 2 is anything.
RANDOM = np.random.default_rng(0)
CHUNKS = np.stack(
    [np.stack([np.full(20, 1), np.full(20, 2), RANDOM.integers(3, 99, 20)], 1).ravel() for _ in range(30)]
)
BLANK = np.zeros((30, 59))


def slow(chunks: np.ndarray, losses: np.ndarray) -> np.ndarray:
    """The equation, token by token."""
    size = int(chunks.max()) + 1
    after = [int(b) for chunk in chunks for b in chunk[1:]]
    pairs = [(int(a), int(b)) for chunk in chunks for a, b in pairwise(chunk)]
    found = []
    for (a, b), loss in zip(pairs, losses.ravel(), strict=True):
        share = (after.count(b) + 0.5) / (len(after) + 0.5 * size)
        before = sum(1 for first, _ in pairs if first == a)
        told = (pairs.count((a, b)) - 1 + 5.0 * share) / (before - 1 + 5.0)
        found.append(max(0.0, loss + np.log(told)))
    return np.array(found).reshape(losses.shape)


def test_excess_agrees_with_the_equation() -> None:
    losses = RANDOM.uniform(0, 9, (3, 59))
    assert excess(CHUNKS[:3], losses) == pytest.approx(slow(CHUNKS[:3], losses))


def test_excess_of_what_the_model_knows_is_nothing() -> None:
    assert excess(CHUNKS, BLANK).max() == 0.0


def test_excess_of_a_model_that_knows_nothing_is_where_the_reference_tells() -> None:
    found = excess(CHUNKS, BLANK + 5.0)
    told, anything = found[:, 0::3], found[:, 1::3]  # 2 after 1; anything after 2
    assert told.min() > 4.5
    assert anything.max() < 2.0


def test_target_weighs_the_ngrams_of_such_tokens() -> None:
    found = target(CHUNKS, BLANK + 5.0)
    (known,), (other,) = ([count_tokens([np.array(ids)])] for ids in ([1, 2], [2, int(CHUNKS[0, 2])]))
    assert found.shape == (BUCKETS,)
    assert found[known.indices].max() > 50 * found[other.indices].min()


def test_excess_of_losses_of_another_shape_raises() -> None:
    with pytest.raises(ValueError, match="one fewer"):
        excess(CHUNKS, np.zeros((30, 60)))
    with pytest.raises(ValueError, match="one fewer"):
        excess(CHUNKS[:0], BLANK[:0])

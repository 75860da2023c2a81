"""Weights are log likelihood ratios, and find a planted target."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from algorithms.importance_resampling import log_ratios, log_weights, totals
from algorithms.ngram_counts import count


def test_log_weights_of_a_planted_target_rank_its_kind_first() -> None:
    texts = pl.Series(["red green blue", "one two three", "green red red", "two two one"])
    counts = count(texts)
    ratios = log_ratios(totals([count(pl.Series(["blue red green"]))]), totals([counts]))
    weights = log_weights([counts], ratios)
    assert min(weights[[0, 2]]) > max(weights[[1, 3]])


def test_log_weights_of_a_text_twice_as_long_are_the_same() -> None:
    once, twice = count(pl.Series(["a b a b a"])), count(pl.Series(["a b a b a b a b a b"]))
    blocks = [once, twice]
    ratios = log_ratios(totals([count(pl.Series(["a a a"]))]), totals(blocks))
    found = log_weights(blocks, ratios)
    assert found[1] == pytest.approx(found[0], rel=0.2)


def test_log_weights_by_block_are_those_of_one_block() -> None:
    random = np.random.default_rng(0)
    texts = pl.Series([" ".join(random.choice(list("abcdefgh"), 12)) for _ in range(30)])
    counts = count(texts)
    ratios = log_ratios(totals([counts[:5]]), totals([counts]))
    blocks = [counts[:7], counts[7:20], counts[20:]]
    assert log_weights(blocks, ratios) == pytest.approx(log_weights([counts], ratios))
    assert totals(blocks) == pytest.approx(totals([counts]))


def test_totals_of_nothing_raises() -> None:
    with pytest.raises(ValueError, match="no texts"):
        totals([])


def test_log_ratios_of_texts_without_a_word_raise() -> None:
    empty, full = totals([count(pl.Series([""]))]), totals([count(pl.Series(["a"]))])
    for pair in ((empty, full), (full, empty)):
        with pytest.raises(ValueError, match="without a word"):
            log_ratios(*pair)

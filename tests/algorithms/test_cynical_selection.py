"""A set that covers the target, within budget and quota."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from algorithms.cynical_selection import Pool, Settings, mixed_target, select
from algorithms.importance_resampling import totals
from algorithms.ngram_counts import BUCKETS, count

NONE = np.zeros(BUCKETS)
WORDS = np.array([f"w{n}" for n in range(400)])


def texts(random: np.random.Generator, words: np.ndarray, num: int) -> pl.Series:
    return pl.Series([" ".join(random.choice(words, 30)) for _ in range(num)], dtype=pl.String)


def pool_of(found: pl.Series, groups: list[int] | None = None, blocks: int = 1, tokens: int = 30) -> Pool:
    counts = count(found)
    edges = np.linspace(0, len(found), blocks + 1).astype(int)
    return Pool(
        [counts[start:end] for start, end in pairwise(edges)],
        np.arange(len(found)),
        np.full(len(found), tokens),
        np.array(groups or [0] * len(found)),
        np.ones(len(found), dtype=bool),
    )


def covered(found: pl.Series, positions: np.ndarray, target: np.ndarray, floor: float = 5.0) -> float:
    """The objective: mean log count of the target's n-grams."""
    return float(target @ np.log(floor + totals([count(found.gather(positions))])))


def test_select_with_a_planted_target_beats_random() -> None:
    random = np.random.default_rng(0)
    found = pl.concat([texts(random, WORDS[:200], 50), texts(random, WORDS[200:], 50)])
    target = mixed_target([totals([count(texts(random, WORDS[200:], 20))])], [1.0])
    chosen = select(pool_of(found), 20 * 30, target, NONE, Settings()).positions
    assert len(chosen) == 20
    assert (chosen >= 50).all()
    drawn = [covered(found, random.choice(100, 20, replace=False), target) for _ in range(20)]
    assert covered(found, chosen, target) > max(drawn)


def test_select_in_rounds_beats_one_round_on_redundant_texts() -> None:
    random = np.random.default_rng(1)
    # Ten copies of the best text, and others that cover what it lacks.
    found = pl.concat([pl.Series([" ".join(WORDS[:30])] * 10), texts(random, WORDS[:60], 40)])
    target = mixed_target([totals([count(pl.Series([" ".join(WORDS[:60])]))])], [1.0])
    many, one = (select(pool_of(found), 10 * 30, target, NONE, Settings(rounds=r, floor=0.1)) for r in (10, 1))
    assert covered(found, many.positions, target, 0.1) > covered(found, one.positions, target, 0.1)


def test_select_knowing_what_was_trained_on_takes_the_rest() -> None:
    found = pl.Series([" ".join(WORDS[:30]), " ".join(WORDS[30:60])])
    target = mixed_target([totals([count(found)])], [1.0])
    for seen, expected in ((0, 1), (1, 0)):
        warmup = 50 * totals([count(found[seen : seen + 1])])
        assert select(pool_of(found), 30, target, warmup, Settings()).positions.tolist() == [expected]


def test_select_by_block_and_in_another_order_is_the_same() -> None:
    random = np.random.default_rng(2)
    found = texts(random, WORDS, 60)
    target = mixed_target([totals([count(texts(random, WORDS[:100], 9))])], [1.0])
    whole = select(pool_of(found), 15 * 30, target, NONE, Settings()).positions
    places = random.permutation(60)
    shuffled = pool_of(found.gather(places), blocks=4)
    shuffled = Pool(shuffled.blocks, places, shuffled.tokens_N, shuffled.groups_N, shuffled.open_N)
    assert select(shuffled, 15 * 30, target, NONE, Settings()).positions.tolist() == whole.tolist()


@pytest.mark.parametrize(("quota", "least"), [(0.0, 0), (0.5, 5), (1.0, 10)])
def test_select_with_a_quota_keeps_that_share_of_every_group(quota: float, least: int) -> None:
    random = np.random.default_rng(3)
    found = pl.concat([texts(random, WORDS[:200], 50), texts(random, WORDS[200:], 50)])
    target = mixed_target([totals([count(texts(random, WORDS[200:], 20))])], [1.0])
    pool = pool_of(found, [0] * 50 + [1] * 50)
    chosen = select(pool, 20 * 30, target, NONE, Settings(rounds=4, quota=quota)).positions
    assert len(chosen) == 20
    assert (chosen < 50).sum() == least


def test_select_with_a_correction_follows_it() -> None:
    random = np.random.default_rng(4)
    found = texts(random, WORDS, 40)
    target = mixed_target([totals([count(texts(random, WORDS, 20))])], [1.0])
    wanted = np.where(np.arange(40) % 4 == 0, 10.0, 0.0)
    chosen = select(pool_of(found), 10 * 30, target, NONE, Settings(), correction_N=wanted).positions
    assert sorted(chosen.tolist()) == list(range(0, 40, 4))


def test_select_beyond_the_pool_takes_all_once() -> None:
    found = texts(np.random.default_rng(5), WORDS, 7)
    target = mixed_target([totals([count(found)])], [1.0])
    assert sorted(select(pool_of(found), 1e9, target, NONE, Settings()).positions.tolist()) == list(range(7))


def test_mixed_target_of_two_texts_has_their_shares() -> None:
    found = mixed_target([np.array([2.0, 0.0]), np.array([0.0, 8.0])], [0.7, 0.3])
    assert found == pytest.approx([0.7, 0.3])
    with pytest.raises(ValueError, match="without a word"):
        mixed_target([np.zeros(2)], [1.0])

"""Cross-validation of influence models: what is not seen is not seen."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tier_assets.m2_influence.cross_validation import (
    Arrays,
    domain_means,
    folds_of,
    left_out,
    out_of_fold,
    spearman,
    within,
)


class Guesses:
    """A learner whose settings are seeds of guesses; `seen` keeps what it learnt from."""

    refits = True

    def __init__(self, num: int, settings: int) -> None:
        self.settings = tuple(float(seed) for seed in range(settings))
        self.flops = 0.0
        self.guesses = np.random.default_rng(0).normal(size=(settings, num))
        self.seen: list[set[int]] = []

    def learn(self, rows: np.ndarray, target: np.ndarray, setting: float) -> Arrays:
        self.seen.append(set(rows.tolist()))
        return {"setting": np.array([int(setting)])}

    def values(self, learnt: Arrays, rows: np.ndarray) -> np.ndarray:
        return self.guesses[learnt["setting"][0], rows]

    def packed(self, learnt: Arrays) -> Arrays:
        return learnt


def test_out_of_fold_best_of_many_guesses_shows_no_skill() -> None:
    found = []
    domains, fold = np.full(100, "one"), np.arange(100) % 5
    for seed in range(20):
        target = np.random.default_rng([seed, 1]).normal(size=100)
        found.append(within(out_of_fold(Guesses(100, 50), target, domains, fold).values, target, domains).spearman)
    # The best of 50 guesses on these same rows has .2.
    assert abs(np.mean(found)) < 0.1


def test_out_of_fold_setting_that_ranks_best_within_domains_is_chosen() -> None:
    learner = Guesses(60, 3)
    target = learner.guesses[1] + 0.01
    found = out_of_fold(learner, target, np.full(60, "one"), np.arange(60) % 3)
    assert found.setting == 1.0
    assert spearman(found.values, target) == pytest.approx(1.0)


def test_left_out_no_row_is_predicted_from_its_own_part() -> None:
    learner, parts = Guesses(6, 1), np.array(["a", "a", "b", "b", "c", "c"])
    left_out(learner, np.arange(6.0), parts, 0.0)
    assert learner.seen == [{2, 3, 4, 5}, {0, 1, 4, 5}, {0, 1, 2, 3}]


def test_folds_rows_of_one_document_lie_together_in_any_order() -> None:
    ids = pl.Series([f"d{n % 40}" for n in range(120)])
    found = folds_of(ids, 4)
    assert np.bincount(found).tolist() == [30] * 4
    assert all(len(set(found[ids.to_numpy() == name])) == 1 for name in set(ids))
    assert np.array_equal(folds_of(ids.reverse(), 4), found[::-1])


def test_domain_means_are_of_the_other_folds() -> None:
    target, fold = np.array([1.0, 3.0, 10.0, 20.0, 7.0]), np.array([0, 1, 0, 1, 0])
    found = domain_means(target, np.array(["a", "a", "b", "b", "c"]), fold)
    # The only document of `c` has none elsewhere: the mean of fold 1.
    assert found.tolist() == [3.0, 1.0, 20.0, 10.0, 11.5]


@pytest.mark.parametrize(("num", "spearman_within"), [(19, None), (20, 1.0)])
def test_within_domains_of_twenty_labels_count(num: int, spearman_within: float | None) -> None:
    values = np.arange(float(num))
    assert within(values, values, np.full(num, "a")).spearman == spearman_within


def test_within_shift_between_domains_is_no_skill() -> None:
    random, domains = np.random.default_rng(0), np.repeat(["a", "b"], 200)
    shift = np.where(domains == "a", 10.0, 0.0)
    found = within(shift + random.normal(size=400), shift + random.normal(size=400), domains)
    assert found.spearman == pytest.approx(0.0, abs=0.1)
    assert found.standard_errors == pytest.approx(0.0, abs=2.6)


def test_within_constant_side_counts_as_nothing() -> None:
    values, domains = np.arange(40.0), np.repeat(["a", "b"], 20)
    found = within(np.where(domains == "a", values, 0.0), values, domains)
    assert found.spearman == pytest.approx(0.5)

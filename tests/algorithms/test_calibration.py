"""Calibration brings values to targets, never turns or ties an order, and equals the slow version of its blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms import calibration as cal


def slow_isotonic(target: np.ndarray) -> np.ndarray:
    """The best rising fit by the min-max formula, for values 0, 1, 2 ..."""
    num = len(target)
    means = [[target[a : b + 1].mean() if b >= a else np.nan for b in range(num)] for a in range(num)]
    return np.array([max(min(means[a][b] for b in range(i, num)) for a in range(i + 1)) for i in range(num)])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=25))
def test_isotonic_groups_of_one_equals_the_slow_version(ratings: list[int]) -> None:
    target = np.repeat(np.array(ratings, dtype=float), cal.MIN_BLOCK)
    values = np.repeat(np.arange(len(ratings), dtype=float), cal.MIN_BLOCK)
    knots, means = cal.isotonic(values, target)
    fitted = slow_isotonic(np.array(ratings, dtype=float))
    assert np.allclose(means, np.unique(np.round(fitted, 9)))
    assert (np.diff(knots) > 0).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 120), st.integers(0, 10_000))
def test_apply_any_fit_keeps_every_order(num: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    values = np.round(draw.normal(size=num), 1)
    found = cal.fit(values, draw.uniform(0, 5, num))
    grid = np.linspace(-6, 6, 200)
    assert (np.diff(cal.apply(found, grid)) > 0).all()


def test_fit_bent_relation_is_calibrated_better_than_by_a_line() -> None:
    draw = np.random.default_rng(3)
    values = draw.normal(size=2_000)
    target = 2.5 + 2 * np.tanh(2 * values)
    error = np.abs(cal.apply(cal.fit(values, target), values) - target).mean()
    slope, intercept = np.polyfit(values, target, 1)
    assert error < 0.5 * np.abs(slope * values + intercept - target).mean()


def test_apply_plateau_rises_as_a_tenth_of_the_line_does() -> None:
    values = np.arange(200.0)
    target = np.where(values < 100, 1.0 + 1e-9 * values, 3.0)
    found = cal.fit(values, target)
    steps = np.diff(cal.apply(found, values[20:80]))
    assert steps == pytest.approx(np.full(59, 0.1 * found.slope), rel=1e-3)


@pytest.mark.parametrize(
    ("values", "target"), [([0.0, 1, 2], [5.0, 3, 1]), ([1.0, 1, 1], [5.0, 3, 1]), ([2.0], [3.0]), ([0.0, 1], [3.0, 3])]
)
def test_fit_without_skill_scores_near_the_mean_and_keeps_the_order(values: list[float], target: list[float]) -> None:
    found = cal.fit(np.array(values), np.array(target))
    mean = float(np.mean(target))
    assert cal.apply(found, np.array([np.mean(values)]))[0] == pytest.approx(mean)
    low, high = cal.apply(found, np.array([0.0, 1.0]))
    assert low < high


@pytest.mark.parametrize(
    ("values", "target", "message"),
    [
        ([], [], "at least one"),
        ([1.0], [1.0, 2.0], "as many"),
        ([np.nan], [1.0], "finite"),
        ([1.0], [np.inf], "finite"),
    ],
)
def test_fit_rows_that_do_not_fit_are_refused(values: list[float], target: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cal.fit(np.array(values), np.array(target))

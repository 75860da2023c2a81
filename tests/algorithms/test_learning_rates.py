"""Warm-up rises to the peak, the stable phase stays there, the decay ends at 0."""

from __future__ import annotations

import pytest

from algorithms.learning_rates import wsd


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 2.5), (3, 10.0), (4, 10.0), (8, 10.0), (9, 10.0), (10, 5.0), (12, 1.3397), (13, 0.0), (99, 0.0)],
)
def test_wsd_at_each_edge_has_the_rate_of_its_phase(step: int, rate: float) -> None:
    assert wsd(step, 4, 5, 4, 10.0) == pytest.approx(rate, abs=1e-4)


def test_wsd_without_warmup_starts_at_the_peak() -> None:
    assert wsd(0, 0, 3, 2, 1.0) == 1.0


def test_wsd_without_decay_ends_at_once() -> None:
    assert [wsd(step, 1, 1, 0, 1.0) for step in range(3)] == [1.0, 1.0, 0.0]


def test_wsd_decay_never_rises() -> None:
    rates = [wsd(step, 3, 4, 50, 1.0) for step in range(7, 58)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == 1.0


def test_wsd_negative_steps_raise() -> None:
    with pytest.raises(ValueError, match="not negative"):
        wsd(-1, 1, 1, 1, 1.0)

"""Worked solutions of GSM8K: with the answer given every verdict is the flag's, without it the figures hold a floor.

The floors are below the intervals measured (`python -m benchmarks.solutions`): arithmetic .538 [.528, .547],
self-consistency .881 [.864, .898].
"""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from benchmarks.quality_measures import measured
from benchmarks.quality_sets import gold_folder
from benchmarks.solutions import FILE, VOTES, accepted, columns, combined, solutions, sums, votes

# Some 5 s in all.
pytestmark = pytest.mark.slow

HOLD = "equations that hold"
GOLD = pytest.mark.skipif(not (gold_folder() / FILE).exists(), reason=f"no gold data at {gold_folder()}")


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return solutions(gold_folder())


@GOLD
def test_accepted_with_the_answer_given_is_the_flag(rows: pl.DataFrame) -> None:
    assert len(rows) == 2_664
    # Answers compared as strings reach 0.997.
    assert np.mean(accepted(rows) == rows["is_correct"].to_numpy()) >= 0.999


@GOLD
def test_columns_without_the_answer_hold_their_floors(rows: pl.DataFrame) -> None:
    truth = rows["is_correct"].to_numpy().astype(np.float64)
    held = {name: values for name, values in columns(rows).items() if name in (HOLD, VOTES, "majority class")}
    found = measured(held, truth, rows["question"], binary=True)
    assert found.figures[HOLD] >= 0.52
    assert found.interval(HOLD)[0] > 0.5
    assert found.figures[VOTES] >= 0.85
    assert found.figures["majority class"] == 0.5


def test_sums_of_a_solution_say_what_holds_and_follows() -> None:
    right = sums("Ada sold 48 clips, then half as many. How many?", "48 / 2 = 24\n48 + 24 = 72\nA: 72", "72")
    wrong = sums("Ada sold 48 clips, then half as many. How many?", "48 / 2 = 25\n48 + 25 = 73\nA: 73", "73")
    assert (right.hold, right.all_hold, right.operands_follow, right.answer_follows, right.numbers_used) == (1,) * 5
    assert (wrong.hold, wrong.all_hold, wrong.operands_follow, wrong.answer_follows) == (0.5, 0, 0.5, 0)


def test_sums_of_a_solution_without_equations_are_nothing() -> None:
    assert sums("How many?", "There are many.", None).hold == 0.0


def test_votes_are_the_share_of_other_answers_that_are_equal() -> None:
    assert votes(["18", "$18.00", "20", None]) == pytest.approx([1 / 3, 1 / 3, 0, 0])


def test_combined_learns_from_its_half_and_orders_the_other() -> None:
    draw = np.random.default_rng(0)
    truth = draw.integers(0, 2, 400).astype(np.float64)
    held = {"good": truth + draw.normal(0, 0.5, 400), "noise": draw.normal(0, 1, 400)}
    learns = np.arange(400) < 200
    score = combined(held, ("good", "noise"), truth, learns)
    found = measured({"score": score[~learns]}, truth[~learns], pl.Series(np.arange(200)), binary=True)
    assert found.figures["score"] > 0.85
    flipped = np.where(learns, truth, 1 - truth)
    assert np.array_equal(score, combined(held, ("good", "noise"), flipped, learns))

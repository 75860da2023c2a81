"""The slice audit of L3: what is lost by task, language, topic and word, both sides of every limit."""

from __future__ import annotations

import polars as pl
import pytest

from algorithms.slice_losses import Alarm
from tier_assets.l3_refined.audit import (
    MIN_ALL,
    MIN_TASK,
    Counts,
    WordsLost,
    all_lost,
    collapses,
    count,
    slices_lost,
    task_alarms,
    words_lost,
)
from tier_tables.refinement import L3_DIVERSITY

Slice = tuple[int, str | None, str | None, str | None, str | None]
CANDIDATES = pl.Schema(dict.fromkeys(("doc_id", "task", "language", "topic", "reason"), pl.String))


def counted(*slices: Slice) -> Counts:
    """So many candidates of a task, language, topic and reason, each slice; every other of one document."""
    flat = [rest for num, *rest in slices for _ in range(num)]
    rows = [(f"d{number // 2:04}", *rest) for number, rest in enumerate(flat)]
    return count(pl.DataFrame(rows, schema=CANDIDATES, orient="row").iter_slices(17))


def said(alarms: list[Alarm]) -> list[tuple[str, str, str | None]]:
    return [(alarm.name, alarm.severity, alarm.slice) for alarm in alarms]


@pytest.mark.parametrize(
    ("slices", "alarms"),
    [
        ([(MIN_ALL, "qa", "en", None, "echo")], [("nothing_survives", "error", None)]),
        ([(MIN_ALL - 1, "qa", "en", None, "echo")], []),
        ([(MIN_ALL, "qa", "en", None, "echo"), (1, "edit", "en", None, None)], []),
        ([(MIN_ALL, None, "en", None, "over_budget")], []),
        ([], []),
    ],
)
def test_all_lost_is_an_error_of_many_candidates_of_which_none_is_kept(
    slices: list[Slice], alarms: list[tuple[str, str, str | None]]
) -> None:
    assert said(all_lost(counted(*slices))) == alarms


@pytest.mark.parametrize(
    ("slices", "alarms"),
    [
        ([(MIN_TASK, "qa", "en", None, "echo")], [("task_lost", "warn", "qa")]),
        ([(MIN_TASK - 1, "qa", "en", None, "echo")], []),
        ([(MIN_TASK, "qa", "en", None, "echo"), (1, "qa", "de", None, None)], []),
        ([(MIN_TASK, None, "en", None, "no_passage")], []),
    ],
)
def test_task_that_keeps_nothing_is_told(slices: list[Slice], alarms: list[tuple[str, str, str | None]]) -> None:
    assert said(task_alarms(counted(*slices))) == alarms


def test_task_alarm_says_what_took_most_and_of_which_documents() -> None:
    (alarm,) = task_alarms(counted((30, "qa", "en", None, "echo"), (20, "qa", "en", None, "copied")))
    assert alarm.detail == "none of 50 candidates of qa is kept; echo takes most"
    assert alarm.doc_ids == ("d0000", "d0001", "d0002", "d0003", "d0004")


@pytest.mark.parametrize("kind", ["language", "topic"])
@pytest.mark.parametrize(
    ("slices", "alarms"),
    [
        ([(90, "a", None), (10, "a", "x"), (50, "b", "y")], ["lost"]),
        ([(90, "a", None), (10, "a", "x"), (49, "b", "y")], []),
        ([(90, "a", None), (10, "a", "x"), (49, "b", "y"), (1, "b", None)], ["cut"]),
        ([(10, "a", None), (90, "a", "y"), (50, "b", "y")], ["lost"]),
        ([(8, "a", None), (92, "a", "y"), (50, "b", "y")], []),
        ([(90, "a", None), (10, "a", "x"), (80, None, "y")], []),
    ],
)
def test_language_or_topic_that_is_lost_is_told_unless_it_may_be_chance(
    kind: str, slices: list[tuple[int, str | None, str | None]], alarms: list[str]
) -> None:
    of_kind: list[Slice] = [
        (num, "qa", name if kind == "language" else "en", name if kind == "topic" else "law", reason)
        for num, name, reason in slices
    ]
    assert said(slices_lost(counted(*of_kind), kind)) == [(f"{kind}_{alarm}", "warn", "b") for alarm in alarms]


@pytest.mark.parametrize(
    ("num", "distinct", "source", "collapsed"),
    [
        (20, 0.47, 0.96, True),
        (20, 0.48, 0.96, False),
        (19, 0.1, 0.96, False),
        (20, 0.0, 0.0, False),
    ],
)
def test_task_whose_records_repeat_each_other_is_told(
    num: int, distinct: float, source: float, collapsed: bool
) -> None:
    row = {"corpus": "c", "snapshot": "s", "task": "qa", "num_records": num, "num_words": 900}
    row |= {"distinct_2": 0.5, "source_distinct_2": 0.5, "distinct_4": distinct, "source_distinct_4": source}
    found = collapses(pl.DataFrame([row], schema=L3_DIVERSITY.schema))
    assert said(found) == [("task_collapsed", "warn", "qa")] * collapsed
    if collapsed:
        assert found[0].detail == "of the 4-grams of 20 records 47% are different, of their sources' 96%"


def test_words_lost_counts_rare_words_of_the_sources_that_no_record_has() -> None:
    sources = pl.Series(["pier girder common"] * 3 + ["arch span common"] * 3 + ["once common"] + ["common"] * 20)
    records = pl.Series(["the pier", "the arch", "invented invented"])
    assert words_lost([sources[:2], sources[2:]], [records]) == WordsLost(num_words=4, num_lost=2)
    assert words_lost([], []) == WordsLost(0, 0)

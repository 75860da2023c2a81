"""Alarms about what a tier removes: both sides of every limit, and words against the slow count."""

from __future__ import annotations

import random
import re
from collections import defaultdict

import polars as pl
import pytest

from algorithms.slice_losses import (
    Alarm,
    AuditSettings,
    count_words,
    lost_words,
    share_alarms,
    slice_alarms,
    tally,
    word_alarms,
)

ROWS = pl.Schema({"doc_id": pl.String, "language": pl.String, "reason": pl.String})


def rows(*slices: tuple[int, str | None, str | None]) -> pl.DataFrame:
    """So many rows of a language and reason, each slice; ids count up."""
    flat = [(language, reason) for num, language, reason in slices for _ in range(num)]
    return pl.DataFrame([(f"d{n:04}", *row) for n, row in enumerate(flat)], schema=ROWS, orient="row")


def said(alarms: list[Alarm]) -> list[tuple[str, str, str | None, str | None]]:
    return [(alarm.name, alarm.severity, alarm.rule, alarm.slice) for alarm in alarms]


def test_tally_of_batches_equals_that_of_the_whole() -> None:
    whole = rows((30, "en", None), (9, "de", "too_short"), (3, "en", "too_short"), (2, None, "no_text")).sample(
        fraction=1, shuffle=True, seed=1
    )
    counts = tally([whole])
    assert counts.equals(tally(whole.iter_slices(7)))
    assert counts.select("slice", "reason", "num").rows() == [
        ("de", "too_short", 9),
        ("en", None, 30),
        ("en", "too_short", 3),
        ("none", "no_text", 2),
    ]
    assert counts["examples"][0].to_list() == ["d0030", "d0031", "d0032", "d0033", "d0034"]


def test_tally_rows_taken_on_purpose_are_not_counted() -> None:
    purpose = rows(
        (5, "en", "superseded"),
        (5, "en", "over_budget"),
        (5, "en", "withdrawn_takedown"),
        (5, "de", "unexpected_language"),
    )
    assert tally([purpose]).is_empty()
    assert share_alarms(tally([purpose])) == slice_alarms(tally([purpose])) == []


@pytest.mark.parametrize(
    ("slices", "alarms"),
    [
        ([(20, "en", "too_short")], [("nothing_survives", "error", "too_short", None)]),
        ([(19, "en", "too_short")], []),
        (
            [(19, "en", "too_short"), (1, "en", "near_duplicate")],
            [("too_much_removed", "warn", None, None), ("one_rule_removes_much", "warn", "too_short", None)],
        ),
        ([(90, "en", "a"), (10, "en", None)], [("one_rule_removes_much", "warn", "a", None)]),
        ([(46, "en", "a"), (45, "en", "b"), (9, "en", None)], [("too_much_removed", "warn", None, None)]),
        ([(50, "en", "a"), (40, "en", "b"), (10, "en", None)], []),
        ([(51, "en", "a"), (49, "en", None)], [("one_rule_removes_much", "warn", "a", None)]),
        ([(18, "en", "a"), (1, "en", None)], []),
        ([], []),
    ],
)
def test_share_alarms_both_sides_of_each_limit(
    slices: list[tuple[int, str, str | None]], alarms: list[tuple[str, str, str | None, None]]
) -> None:
    assert said(share_alarms(tally([rows(*slices)]))) == alarms


@pytest.mark.parametrize(
    ("slices", "alarms"),
    [
        ([(100, "en", None), (20, "de", "a")], [("language_lost", "warn", "a", "de")]),
        ([(100, "en", None), (19, "de", "a")], []),
        ([(100, "en", None), (12, "de", "a"), (8, "de", "b")], [("language_lost", "warn", "a", "de")]),
        ([(90, "en", None), (10, "en", "a"), (65, "de", None), (35, "de", "a")], [("language_cut", "warn", "a", "de")]),
        ([(90, "en", None), (10, "en", "a"), (70, "de", None), (30, "de", "a")], []),
        ([(100, "en", "a")], []),
        ([(30, "en", "a"), (30, "de", "a")], []),
        ([(100, "en", None), (50, "und", "a"), (50, None, "no_text")], []),
        ([(100, "en", None), (30, "de", "unexpected_language")], []),
        # Of the others a fifth is kept: none of 20 is chance once in 87 times, none of 21 once in 108.
        ([(20, "en", None), (80, "en", "b"), (20, "de", "b")], []),
        ([(20, "en", None), (80, "en", "b"), (21, "de", "b")], [("language_lost", "warn", "b", "de")]),
    ],
)
def test_slice_alarms_both_sides_of_each_limit(
    slices: list[tuple[int, str | None, str | None]], alarms: list[tuple[str, str, str, str]]
) -> None:
    assert said(slice_alarms(tally([rows(*slices)]))) == alarms


def test_slice_alarms_of_another_kind_name_it_and_what_was_counted() -> None:
    frame = rows((100, "law", None), (20, "sport", "echo")).rename({"language": "topic"})
    (alarm,) = slice_alarms(tally([frame], "topic"), kind="topic", unit="candidates")
    assert (alarm.name, alarm.slice) == ("topic_lost", "sport")
    assert alarm.detail == "none of 20 candidates in sport survives; echo takes 100%"


def test_language_alarm_names_shares_and_documents() -> None:
    (alarm,) = slice_alarms(tally([rows((100, "en", None), (10, "de", None), (40, "de", "too_few_stop_words"))]))
    assert (alarm.value, alarm.limit) == (0.8, 0.2)
    assert alarm.detail == "too_few_stop_words removes 80% of 50 documents in de, 0% of the others"
    assert alarm.doc_ids == ("d0110", "d0111", "d0112", "d0113", "d0114")


def slow_lost_words(frame: pl.DataFrame, low: int, high: int) -> dict[str, int]:
    """For each rule the words of `low` to `high` documents that it removes, all of them."""
    reasons = defaultdict(list)
    for text, reason in frame.select("text", "reason").iter_rows():
        for word in set(re.findall(r"[^\W\d_]+", (text or "").lower())):
            reasons[word].append(reason)
    lost: dict[str, int] = defaultdict(int)
    for of_word in reasons.values():
        if low <= len(of_word) <= high and len(set(of_word)) == 1 and of_word[0] is not None:
            lost[of_word[0]] += 1
    return dict(lost)


@pytest.mark.parametrize("seed", range(5))
def test_lost_words_equal_the_slow_count(seed: int) -> None:
    draw = random.Random(seed)
    words = [f"{a}{b}ö" for a in "abcdefghij" for b in "klmnopqrst"] + ["12", "x_1"]
    texts = [" ".join(draw.choices(words, k=draw.randint(0, 8)) * 2).title() for _ in range(120)] + [None]
    reasons = [draw.choice([None, "too_short", "too_long"]) for _ in texts]
    frame = pl.DataFrame({"text": texts, "reason": reasons}, schema={"text": pl.String, "reason": pl.String})
    found = lost_words(count_words(frame.iter_slices(50)), AuditSettings(rare=(2, 4)))
    assert dict(found.select("reason", "num_lost").iter_rows()) == slow_lost_words(frame, 2, 4)
    removed = dict(found.select("reason", "removed_share").iter_rows())
    assert removed == {rule: pytest.approx(reasons.count(rule) / 121) for rule in removed}


def corpus(num_lost: int) -> pl.DataFrame:
    """200 documents with 90 words of two or more; a rule takes 10 documents, and all of `num_lost` further words."""
    rare = ["".join(chr(97 + int(digit)) for digit in f"{n:04}") for n in range(100 + num_lost)]
    texts = [f"the common words {rare[n % 100]}" for n in range(190)]
    texts += [f"the common words {rare[n]} {' '.join(rare[100:])}" for n in range(10)]
    reasons = [None] * 190 + ["listed_word"] * 10
    frame = pl.DataFrame({"text": texts, "reason": reasons}, schema_overrides={"reason": pl.String})
    return frame.with_row_index("doc_id").with_columns(pl.format("d{}", "doc_id").alias("doc_id"))


@pytest.mark.parametrize(("num_lost", "alarms"), [(9, []), (10, [("rare_words_lost", "warn", "listed_word", None)])])
def test_word_alarms_both_sides_of_the_limit(num_lost: int, alarms: list[tuple[str, str, str, None]]) -> None:
    frame = corpus(num_lost)
    settings = AuditSettings(rare=(2, 20))
    assert said(word_alarms(count_words([frame]), [frame], settings)) == alarms


def test_word_alarm_names_words_and_documents() -> None:
    frame = corpus(30)
    (alarm,) = word_alarms(count_words([frame]), frame.iter_slices(32), AuditSettings(rare=(2, 20)))
    assert alarm.value == pytest.approx((30 / 120) / (10 / 200))
    assert alarm.detail == (
        "listed_word removes 5.0% of documents, and with them every one that has one of 30 rare words (25.0% of such "
        "words): abaa, abab, abac, abad, abae, ..."
    )
    assert alarm.doc_ids == ("d190",)


def test_word_alarms_of_a_rule_that_takes_at_random_are_none() -> None:
    draw = random.Random(3)
    frame = corpus(0).with_columns(reason=pl.Series([draw.choice([None, None, None, "at_random"]) for _ in range(200)]))
    assert word_alarms(count_words([frame]), [frame], AuditSettings(rare=(2, 20))) == []


def test_audit_of_no_rows_finds_nothing() -> None:
    vocabulary = count_words([])
    assert lost_words(vocabulary).is_empty()
    assert word_alarms(vocabulary, []) == []
    assert share_alarms(tally([])) == []


def test_lost_words_numbers_are_no_words() -> None:
    frame = pl.DataFrame({"text": ["In 1999 x86 and 2,000."] * 3, "reason": ["too_short"] * 3})
    assert lost_words(count_words([frame]))["num_lost"].to_list() == [3]

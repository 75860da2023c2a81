"""N-grams in common with known passages, against the slow obvious version."""

from __future__ import annotations

import random
import re

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.ngram_overlap import LONG, SHORT, build_index, overlaps

NONE = pl.Series([], dtype=pl.String)


def words_of(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def ngrams(text: str, size: int) -> set[tuple[str, ...]]:
    words = words_of(text)
    return {tuple(words[i : i + size]) for i in range(len(words) - size + 1)}


def telling(ngram: tuple[str, ...]) -> bool:
    return len({w for w in ngram if len(w.encode()) >= 3 and re.search(r"[^\W\d_]", w)}) >= 0.375 * len(ngram)


def slow_overlaps(texts: list[str], passages: list[str]) -> set[tuple[int, int, int, int, int]]:
    """(row, passage, long, short, whole) of each pair that has an n-gram in common."""
    found = set()
    for row, text in enumerate(texts):
        for number, passage in enumerate(passages):
            size = len(words_of(passage))
            sizes = (LONG, SHORT) if size >= LONG else (size,) if size >= SHORT else ()
            counts = [sum(map(telling, ngrams(text, n) & ngrams(passage, n))) for n in sizes]
            long, short, whole = (*counts, 0) if len(counts) == 2 else (0, 0, sum(counts))
            if long or short or whole:
                found.add((row, number, long, short, whole))
    return found


@pytest.mark.parametrize("seed", range(10))
def test_overlaps_of_copied_runs_equal_the_slow_version(seed: int) -> None:
    draw = random.Random(seed)
    word = [f"{letter}{letter}é{number}" for letter in "abcdefg" for number in range(3)] + ["x", "1", "of"]
    passages = [" ".join(draw.choices(word, k=draw.choice([7, 8, 9, 12, 13, 14, 40]))) for _ in range(30)]
    texts = []
    for _ in range(20):
        cut = [" ".join(draw.choice(passages).split()[draw.choice([0, 0, 1, 9]) :]) for _ in range(3)]
        texts.append(" ".join(cut).title())
    index = build_index(pl.Series(passages), pl.Series(["set"] * 30), NONE, max_shared=30)
    assert set(overlaps(pl.Series(texts), index).iter_rows()) == slow_overlaps(texts, passages)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(alphabet="abé 一二\n.", max_size=60), max_size=4))
def test_overlaps_of_any_texts_with_themselves_never_exceed_what_is_known(texts: list[str]) -> None:
    series = pl.Series(texts, dtype=pl.String)
    index = build_index(series, pl.Series(["set"] * len(texts), dtype=pl.String), NONE, max_shared=9)
    known = index.passages
    for row, passage, long, short, whole in overlaps(series, index).iter_rows():
        at_most = known.row(passage, named=True)
        assert (long <= at_most["long"], short <= at_most["short"], whole <= at_most["whole"]) == (True,) * 3
        if row == passage:
            assert (long, short, whole) == (at_most["long"], at_most["short"], at_most["whole"])


PASSAGE = "Seven brave sailors rowed their leaking wooden boat across the frozen northern strait"  # 13 words


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (PASSAGE, (1, 6, 0)),
        (PASSAGE.upper().replace(" ", "\n-- "), (1, 6, 0)),
        (PASSAGE.replace("strait", "sea"), (0, 5, 0)),
        ("Seven brave sailors rowed their leaking wooden boat", (0, 1, 0)),
        ("Seven brave sailors rowed their leaking wooden", None),
        (f"{PASSAGE}. {PASSAGE}", (1, 6, 0)),
    ],
)
def test_overlaps_of_a_passage_of_13_words(text: str, found: tuple[int, int, int] | None) -> None:
    index = build_index(pl.Series([PASSAGE]), pl.Series(["set"]), NONE, max_shared=9)
    assert [row[2:] for row in overlaps(pl.Series([text]), index).iter_rows()] == ([] if found is None else [found])


@pytest.mark.parametrize(("num_words", "known"), [(7, (0, 0, 0)), (8, (0, 0, 1)), (12, (0, 0, 1)), (13, (1, 6, 0))])
def test_index_passage_of_some_words_is_known_by(num_words: int, known: tuple[int, int, int]) -> None:
    text = " ".join(PASSAGE.split()[:num_words])
    index = build_index(pl.Series([text]), pl.Series(["set"]), NONE, max_shared=9)
    assert index.passages.select("long", "short", "whole").row(0) == known


@pytest.mark.parametrize(
    "text", ["a b c d e f g h i j k l m n o p", "1 2 3 4 5 6 7 8 9 10 11 12 13", "x = y + 2 z " * 5, "no no no " * 9]
)
def test_index_leaves_out_what_says_little(text: str) -> None:
    index = build_index(pl.Series([text]), pl.Series(["set"]), NONE, max_shared=9)
    assert overlaps(pl.Series([text]), index).is_empty()


def test_index_leaves_out_boilerplate_and_keeps_the_rest() -> None:
    licence = "Permission is hereby granted to any person obtaining a copy of this software free of charge"
    index = build_index(pl.Series([f"{licence} {PASSAGE}"]), pl.Series(["set"]), pl.Series([licence]), max_shared=9)
    assert overlaps(pl.Series([licence]), index).is_empty()
    assert overlaps(pl.Series([PASSAGE]), index)["long"].to_list() == [1]


@pytest.mark.parametrize(("num_passages", "kept"), [(3, True), (4, False)])
def test_index_leaves_out_ngrams_that_many_passages_of_a_set_share(num_passages: int, kept: bool) -> None:
    passages = [f"{PASSAGE} {number}a {number}b" for number in range(num_passages)]
    alone = build_index(pl.Series(passages), pl.Series(["set"] * num_passages), NONE, max_shared=3)
    assert bool(overlaps(pl.Series([PASSAGE]), alone).height) == kept
    apart = build_index(pl.Series(passages), pl.Series(["one", "other"] * 8).head(num_passages), NONE, max_shared=3)
    assert overlaps(pl.Series([PASSAGE]), apart).height == num_passages


def test_overlaps_script_without_spaces_counts_characters() -> None:
    text = "春天的花园里有许多红色和黄色的小花开放"
    index = build_index(pl.Series([text]), pl.Series(["set"]), NONE, max_shared=9)
    assert index.passages.select("long", "short", "unspaced").row(0) == (len(text) - 12, len(text) - 7, True)
    assert overlaps(pl.Series([f"说:{text[3:]}。"]), index)["long"].to_list() == [len(text) - 15]


def test_overlaps_without_passages_or_texts_are_none() -> None:
    empty = build_index(NONE, NONE, NONE, max_shared=9)
    assert overlaps(pl.Series([PASSAGE, None, ""]), empty).is_empty()
    full = build_index(pl.Series([PASSAGE]), pl.Series(["set"]), NONE, max_shared=9)
    assert overlaps(NONE, full).is_empty()


def test_overlaps_passage_that_repeats_itself_counts_each_ngram_once() -> None:
    twice = f"{PASSAGE}. {PASSAGE}"
    index = build_index(pl.Series([twice]), pl.Series(["set"]), NONE, max_shared=9)
    assert index.passages.select("long", "short").row(0) == (13, 13)
    assert overlaps(pl.Series([twice]), index).select("long", "short").row(0) == (13, 13)


@pytest.mark.parametrize(("text", "unspaced"), [("春天 花 red rose", True), ("春天 red rose", False)])
def test_index_passage_is_unspaced_where_most_of_its_words_are(text: str, unspaced: bool) -> None:
    index = build_index(pl.Series([text]), pl.Series(["set"]), NONE, max_shared=9)
    assert index.passages["unspaced"].to_list() == [unspaced]

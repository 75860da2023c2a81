"""Diversity: what repeats itself has few distinct n-grams and little spread, whatever the batches."""

from __future__ import annotations

import random

import polars as pl
import pytest

from resources.encoder import ScriptedEncoder
from tier_assets.l3_refined import diversity as room
from tier_assets.l3_refined.diversity import distinct, diversity, spread
from tier_tables.refinement import L3_DIVERSITY

WORDS = "pier girder arch span rivet pylon cable deck truss anchor caisson strut beam bolt".split()


def passage(number: int) -> str:
    """Forty words that hardly any other number has in this order."""
    return " ".join(random.Random(number).choices(WORDS, k=40))


def records(texts: list[str], sources: list[str | None], task: str = "qa") -> pl.DataFrame:
    return pl.DataFrame({"text": texts, "source": pl.Series(sources, dtype=pl.String)}).with_columns(
        record_id=pl.format("{}{}", pl.lit(task), pl.int_range(pl.len()).cast(pl.String).str.zfill(4)),
        corpus=pl.lit("c"), snapshot=pl.lit("s"), task=pl.lit(task),
    )  # fmt: skip


PASSAGES = [passage(number) for number in range(100)]


@pytest.mark.parametrize(
    ("texts", "n", "share"),
    [
        ([["a", "b", "a", "b"]], 2, 0.6667),
        ([["a", "b"], ["a", "b"]], 2, 0.5),
        ([["a", "b"], ["b", "a"]], 2, 1.0),
        ([["a", "b", "c"]], 4, 0.0),
        ([], 2, 0.0),
    ],
)
def test_distinct_counts_different_ngrams_within_texts(texts: list[list[str]], n: int, share: float) -> None:
    assert distinct(texts, n) == share


def test_spread_is_one_minus_the_mean_cosine_of_all_pairs() -> None:
    encoder = ScriptedEncoder()
    texts = PASSAGES[:7]
    vectors = encoder.encode(texts)
    cosines = [float(vectors[i] @ vectors[j]) for i in range(7) for j in range(7) if i != j]
    assert spread(texts, encoder) == pytest.approx(1 - sum(cosines) / len(cosines), abs=1e-4)
    assert spread(["the same", "the same"], encoder) == 0.0
    assert spread(["alone"], encoder) is None


def test_diversity_of_records_like_their_sources_is_theirs() -> None:
    (row,) = diversity([records(PASSAGES, PASSAGES)], ScriptedEncoder()).to_dicts()
    assert (row["num_records"], row["num_words"]) == (100, 4000)
    assert row["distinct_2"] == row["source_distinct_2"]
    assert row["distinct_4"] == row["source_distinct_4"] > 0.9
    assert row["spread"] == row["source_spread"]


def test_diversity_of_a_model_that_says_the_same_of_half_the_passages_shows() -> None:
    texts = [PASSAGES[0] if number % 2 else text for number, text in enumerate(PASSAGES)]
    (row,) = diversity([records(texts, PASSAGES)], ScriptedEncoder()).to_dicts()
    assert row["distinct_4"] < 0.6 * row["source_distinct_4"]
    assert row["spread"] < 0.8 * row["source_spread"]


def test_diversity_compares_over_as_many_words_of_each_source() -> None:
    # Ten words of each passage, though the passages have forty: the sources count with ten of theirs as well.
    short = [" ".join(text.split()[30:]) for text in PASSAGES]
    begun = [" ".join(text.split()[:10]) for text in PASSAGES]
    (row,) = diversity([records(short, PASSAGES)], None).to_dicts()
    (same,) = diversity([records(short, begun)], None).to_dicts()
    assert row["source_distinct_2"] == same["source_distinct_2"]
    assert row["spread"] is None


def test_diversity_counts_a_passage_of_many_records_once() -> None:
    texts = [f"{text} {PASSAGES[(number + 50) % 100]}" for number, text in enumerate(PASSAGES)]
    repeated = records(texts, [PASSAGES[number % 10] for number in range(100)])
    (row,) = diversity(repeated.iter_slices(25), None).to_dicts()
    (once,) = diversity([records(texts, [*PASSAGES[:10], *[None] * 90])], None).to_dicts()
    assert row == once


def test_diversity_is_the_same_whatever_the_batches_and_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "WORDS", 400)
    monkeypatch.setattr(room, "SOURCE_WORDS", 1_600)
    monkeypatch.setattr(room, "EMBEDDED", 8)
    whole = pl.concat([records(PASSAGES, PASSAGES[::-1]), records(PASSAGES[:50], PASSAGES[50:], "rewrite")])
    wanted = diversity([whole], ScriptedEncoder())
    assert wanted["task"].to_list() == ["qa", "rewrite"]
    assert wanted.schema == L3_DIVERSITY.schema
    assert diversity(whole.sample(fraction=1, shuffle=True, seed=3).iter_slices(7), ScriptedEncoder()).equals(wanted)


def test_diversity_holds_a_bounded_number_of_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "WORDS", 400)
    monkeypatch.setattr(room, "EMBEDDED", 8)
    encoder = ScriptedEncoder()
    diversity(records(PASSAGES, PASSAGES).iter_slices(7), encoder)
    assert len(encoder.texts) == 16
    kept = room._first(room._counted(records(PASSAGES, PASSAGES).with_columns(key="record_id")), 400)
    assert kept["num_words"].sum() == 400


def test_diversity_of_chinese_counts_letters() -> None:
    (row,) = diversity([records(["今天天气很好。"], ["今天天气很好。"])], None).to_dicts()
    assert (row["num_words"], row["distinct_2"]) == (6, 1.0)


def test_diversity_of_records_without_sources_has_none_of_theirs() -> None:
    (row,) = diversity([records(PASSAGES, [None] * 100)], ScriptedEncoder()).to_dicts()
    assert (row["source_distinct_2"], row["source_distinct_4"], row["source_spread"]) == (0.0, 0.0, None)
    assert row["distinct_4"] > 0.9
    assert diversity([], None).equals(L3_DIVERSITY.empty())

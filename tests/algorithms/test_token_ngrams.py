"""Shares of tokens and pairs, compiled, against the tokenizer itself and the slow obvious version."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithms.token_ngrams import (
    BUCKETS,
    SPELLINGS,
    Vocabulary,
    Weights,
    num_columns,
    parse_vocabulary,
    predict,
    read_vocabulary,
    shares,
)
from resources.training_data import learn_tokenizer

LEARNT_FROM = [
    "the cat sat on the mat, the cat ate the rat",
    "Wörter und Sätze, Käse über alles",
    "数据 数据 是 的",
] * 20
TOKENIZER = learn_tokenizer(LEARNT_FROM, 340)
MERGES = [tuple(pair) for pair in json.loads(TOKENIZER.to_str())["model"]["merges"]]
VOCABULARY = read_vocabulary(MERGES)
NOTHING = (np.zeros(BUCKETS, np.float32), np.zeros(SPELLINGS, np.float32))


def tokens(text: str) -> list[str]:
    """By the tokenizer itself, whose pre-tokens are the same where there are no digits."""
    return TOKENIZER.encode(text, add_special_tokens=False).tokens


@given(st.text(alphabet="the cat,sWörü数据\n.'", max_size=60))
def test_shares_any_text_counts_the_tokenizers_tokens_and_pairs(text: str) -> None:
    found, least = shares(pl.Series([text]), VOCABULARY, 10_000)
    expected = tokens(text)
    assert least == max(1, len(expected))
    counts = np.sort(found[0, : VOCABULARY.size].data * max(1, len(expected)))
    assert np.allclose(counts, np.sort(np.unique(expected, return_counts=True)[1]) if expected else [])
    num_pairs = found[0, VOCABULARY.size : VOCABULARY.size + BUCKETS].sum() * max(1, len(expected))
    assert np.isclose(num_pairs, max(0, len(expected) - 1))


def test_shares_short_text_counts_as_filled_up_to_the_median() -> None:
    texts = pl.Series(["cat", "cat cat cat cat", "cat cat cat cat"])
    found, least = shares(texts, VOCABULARY, 1_000)
    assert least > 1
    assert found[0, : VOCABULARY.size].sum() < found[1, : VOCABULARY.size].sum() == pytest.approx(1.0)


def test_shares_null_and_empty_texts_have_none() -> None:
    found, least = shares(pl.Series([None, ""], dtype=pl.String), VOCABULARY, 100)
    assert (found.nnz, least) == (0, 1)


def test_shares_bytes_and_their_pairs_are_counted() -> None:
    found, _ = shares(pl.Series(["aba"]), VOCABULARY, 100)
    spellings = found[0, VOCABULARY.size + BUCKETS :]
    a, b = ord("a"), ord("b")
    expected = {a: 2 / 3, b: 1 / 3, 256 + 256 * a + b: 1 / 3, 256 + 256 * b + a: 1 / 3}
    assert dict(zip(spellings.indices.tolist(), spellings.data.tolist())) == pytest.approx(expected)


def test_shares_pair_is_told_from_its_reverse() -> None:
    found, _ = shares(pl.Series(["xy", "yx"]), VOCABULARY, 100)
    assert (found[0, : VOCABULARY.size] != found[1, : VOCABULARY.size]).nnz == 0
    # Of tokens and of bytes.
    assert (found[0, VOCABULARY.size :] != found[1, VOCABULARY.size :]).nnz == 4


@given(st.lists(st.text(alphabet="the cat,sWö数\n", max_size=40), min_size=1, max_size=5))
def test_predict_short_texts_equal_the_matrix_product(texts: list[str]) -> None:
    random = np.random.default_rng(0)
    weights = Weights(
        *(random.normal(size=size).astype(np.float32) for size in ((2, VOCABULARY.size), BUCKETS, SPELLINGS))
    )
    groups = random.integers(0, 2, len(texts))
    found, least = shares(pl.Series(texts), VOCABULARY, 1_000)
    tokens, rest = found[:, : VOCABULARY.size], found[:, VOCABULARY.size :]
    expected = np.where(groups == 0, tokens @ weights.tokens_GV[0], tokens @ weights.tokens_GV[1])
    values = predict(weights, VOCABULARY, pl.Series(texts), groups, 1_000, 4, least)
    assert np.allclose(values, expected + rest @ np.concatenate([weights.pairs, weights.spellings]))


def test_predict_long_text_reads_windows_from_its_beginning_to_its_end() -> None:
    weights = Weights(np.zeros((1, VOCABULARY.size), np.float32), *NOTHING)
    weights.tokens_GV[0, _token("z")] = 1.0
    text = "z" * 50 + "q" * 900 + "z" * 50
    texts = pl.Series([text, "q" * 950 + "z" * 50, "q" * 1_000])
    found = predict(weights, VOCABULARY, texts, np.zeros(3, np.int64), 100, 2, 1)
    assert found.tolist() == [0.5, 0.25, 0.0]


def test_predict_window_within_characters_reads_whole_ones() -> None:
    weights = Weights(np.ones((1, VOCABULARY.size), np.float32), *NOTHING)
    assert predict(weights, VOCABULARY, pl.Series(["数据" * 50]), np.zeros(1, np.int64), 20, 4, 1).tolist() == [1.0]


def test_predict_more_words_than_the_table_holds_equal_the_matrix_product() -> None:
    random = np.random.default_rng(0)
    letters = random.integers(ord("a"), ord("m"), (300_000, 9), dtype=np.uint8)
    letters[:, 8] = ord(" ")
    texts = pl.Series([part.tobytes().decode() for part in np.split(letters, 75)])
    weights = Weights(
        *(random.normal(size=size).astype(np.float32) for size in ((1, VOCABULARY.size), BUCKETS, SPELLINGS))
    )
    groups = np.zeros(len(texts), np.int64)
    alone = [predict(weights, VOCABULARY, texts[n : n + 1], groups, 40_000, 1, 1)[0] for n in range(len(texts))]
    assert predict(weights, VOCABULARY, texts, groups, 40_000, 1, 1).tolist() == alone


def test_shares_word_above_the_longest_loses_nothing() -> None:
    found, least = shares(pl.Series(["😀" * 100]), VOCABULARY, 1_000)
    assert found[0, : VOCABULARY.size].sum() == pytest.approx(1.0)
    # Four bytes, none of them merged, a hundred times each.
    assert least == 400
    assert found[0, : VOCABULARY.size].data.tolist() == pytest.approx([0.25] * 4)


def test_vocabulary_written_and_read_is_the_same() -> None:
    again = parse_vocabulary(VOCABULARY.written)
    assert isinstance(again, Vocabulary)
    assert again.size == VOCABULARY.size
    assert np.array_equal(again.merges.pair_P, VOCABULARY.merges.pair_P)
    assert num_columns(again) == again.size + BUCKETS + SPELLINGS
    assert parse_vocabulary(b"").size == 256


def test_vocabulary_that_is_not_byte_level_is_refused() -> None:
    with pytest.raises(ValueError, match="of no byte-level vocabulary"):
        read_vocabulary([("▁", "a")])


def _token(character: str) -> int:
    found, _ = shares(pl.Series([character]), VOCABULARY, 10)
    return int(found.indices[0])

"""The numba pass against a slow, obvious version of the same features, and the ridge against its normal equations."""

from __future__ import annotations

import math
import re

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from algorithms import hashed_ngrams as hn

WORD = re.compile(r"[A-Za-z0-9\u00c0-\u00d6\u00d8-\u00ff]+|[^\sA-Za-z0-9\u00c0-\u00d6\u00d8-\u00ff]")


def slow_features(text: str) -> set[str]:
    """Distinct words and pairs (separated by a space) of Latin text, as the module's docstring says."""
    words = [re.sub(r"\d", "0", word).lower() for word in WORD.findall(text)]
    return set(words) | {f"{a} {b}" for a, b in zip(["", *words], words)}


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="abcXYZ019 ,.!éÉß\n-", max_size=80))
def test_features_latin_text_has_as_many_ngrams_as_the_slow_version(text: str) -> None:
    found = hn.features(pl.Series([text]), 10_000)
    # Two n-grams of one text may share a bucket; with 262,144 buckets and 160 n-grams rarely more than one pair does.
    assert found.ngrams.nnz <= len(slow_features(text)) <= found.ngrams.nnz + 2


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Hello World", "hello   world"),
        ("Année 1984", "ANNÉE 2021"),
        ("Москва", "москва"),
        ("ΑΘΗΝΑ", "αθηνα"),
    ],
)
def test_features_case_digits_and_white_space_do_not_count(left: str, right: str) -> None:
    found = hn.features(pl.Series([left, right]), 1_000).ngrams
    assert (found[0] != found[1]).nnz == 0


def test_features_rows_have_length_one_and_a_repeat_adds_nothing() -> None:
    found = hn.features(pl.Series(["a b", "a b a b a b", "", None]), 1_000).ngrams
    assert np.allclose(np.sqrt(np.asarray(found.multiply(found).sum(axis=1)).ravel()), [1, 1, 0, 0])
    # The longer text's one new pair is "b a".
    assert [found[i].nnz for i in range(4)] == [4, 5, 0, 0]


def test_features_script_without_spaces_takes_each_character_as_a_word() -> None:
    found = hn.features(pl.Series(["水は百度"]), 1_000)
    assert found.ngrams.nnz == 8
    assert found.dense[0, hn.DENSE.index("unspaced_share")] == 1.0


def test_features_statistics_are_what_their_names_say() -> None:
    found = hn.features(pl.Series(["The CAT sat, 12 times on extraordinary & ordinary mats. The end!"]), 1_000).dense[0]
    values = dict(zip(hn.DENSE, found.tolist()))
    words, shown = 11, 53
    assert values == pytest.approx({
        "letters_per_word": 49 / words,
        "upper_share": 5 / shown,
        "digit_share": 2 / shown,
        "punctuation_share": 3 / shown,
        "symbol_share": 1 / shown,
        "unspaced_share": 0.0,
        "capitalised_share": 3 / words,
        "short_word_share": 7 / words,
        "long_word_share": 2 / words,
        "commas_per_word": 1 / words,
        "log_words_per_sentence": math.log(words / 3),
        "distinct_share": 10 / words,
    })  # fmt: skip


def test_features_max_bytes_cuts_and_half_a_character_is_harmless() -> None:
    long = hn.features(pl.Series(["one two three"]), 7).ngrams
    assert (long != hn.features(pl.Series(["one two"]), 100).ngrams).nnz == 0
    assert hn.features(pl.Series(["ab é"]), 4).ngrams.nnz == 4


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=60), min_size=2, max_size=12))
def test_predict_any_text_equals_the_matrix_product(texts: list[str]) -> None:
    series = pl.Series(texts, dtype=pl.String)
    found = hn.features(series, 50)
    model = hn.fit(found, np.linspace(0, 5, len(texts)), 0.5)
    assert np.allclose(hn.predict(model, series, 50).to_numpy(), hn.predict_features(model, found), atol=1e-9)


def test_predict_sliced_series_equals_whole() -> None:
    series = pl.Series(["a b c", "zwei drei", "vier", "five six"])
    model = hn.fit(hn.features(series, 100), np.array([0.0, 1, 2, 3]), 0.1)
    assert hn.predict(model, series[1:3], 100).to_list() == hn.predict(model, series, 100).to_list()[1:3]


def test_fit_equals_the_normal_equations_on_the_columns_in_use() -> None:
    texts = pl.Series([f"word{i % 3} other{'.' * (i % 4)} tail" for i in range(12)])
    found = hn.features(texts, 100)
    target = np.arange(12, dtype=float) % 5
    model = hn.fit(found, target, 0.3)
    design = hn._design(found, model.mean, model.scale)
    dense = sparse.csr_matrix(design).toarray()
    used = np.flatnonzero(np.abs(dense).sum(axis=0))
    block = dense[:, used]
    weights = np.linalg.solve(block.T @ block + 0.3 * np.eye(len(used)), block.T @ target)
    assert np.allclose(hn.predict_features(model, found), block @ weights, atol=1e-4)


def test_fit_target_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="2 texts need as many finite targets, got 1"):
        hn.fit(hn.features(pl.Series(["a", "b"]), 10), np.array([1.0]), 1.0)

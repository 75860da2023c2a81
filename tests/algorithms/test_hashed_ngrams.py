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


SHAPES = ("short", "long", "Cap", "CAPS", "number", ",", "stop", "mark", "sign", "char", "edge")


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", ["edge edge"]),
        ("the house.", ["edge short", "short long", "long stop", "stop edge"]),
        ("NATO & Anna, 3rd", ["edge CAPS", "CAPS sign", "sign Cap", "Cap ,", ", number", "number edge"]),
        ("(水！", ["edge mark", "mark char", "char stop", "stop edge"]),
        ("I am, I am,", ["edge CAPS", "CAPS short", "CAPS short", "short ,", "short ,", ", CAPS", ", edge"]),
    ],
)
def test_features_shapes_are_the_square_roots_of_the_shares_of_neighbours(text: str, pairs: list[str]) -> None:
    shares = hn.features(pl.Series([text]), 100).shapes[0, :-1] ** 2
    found = {
        f"{SHAPES[k // len(SHAPES)]} {SHAPES[k % len(SHAPES)]}": shares[k] * len(pairs) for k in np.flatnonzero(shares)
    }
    assert found == pytest.approx({pair: pairs.count(pair) for pair in pairs})


@pytest.mark.parametrize(("words", "full"), [(0, 0.0), (1, 0.198), (31, 0.991), (32, 1.0), (33, 1.0), (500, 1.0)])
def test_features_fullness_grows_with_words_up_to_a_windows_worth(words: int, full: float) -> None:
    assert hn.features(pl.Series(["word " * words]), 10_000).shapes[0, -1] == pytest.approx(full, abs=1e-3)


def test_features_max_bytes_cuts_and_half_a_character_is_harmless() -> None:
    long = hn.features(pl.Series(["one two three"]), 7).ngrams
    assert (long != hn.features(pl.Series(["one two"]), 100).ngrams).nnz == 0
    assert hn.features(pl.Series(["ab é"]), 4).ngrams.nnz == 4


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=60), min_size=2, max_size=12))
def test_predict_any_text_equals_the_matrix_product(texts: list[str]) -> None:
    series = pl.Series(texts, dtype=pl.String)
    found = hn.features(series, 50)
    standard = hn.standard_of(found)
    design = hn.design_of(found, standard)
    targets = (np.linspace(0, 5, len(texts)), np.arange(len(texts)) % 3)
    weights = np.column_stack([hn.solve(design, target, 0.5) for target in targets])
    values = hn.predict(hn.linear_of(weights, standard), series, 50, 1)
    assert np.allclose(values, design @ weights, atol=1e-5)


def fitted(texts: list[str], ridge: float) -> hn.Linear:
    """A model of 0, 1, 2 ... for the texts."""
    found = hn.features(pl.Series(texts), 100)
    standard = hn.standard_of(found)
    weights = hn.solve(hn.design_of(found, standard), np.arange(len(texts), dtype=float), ridge)
    return hn.linear_of(weights[:, None], standard)


def test_predict_sliced_series_equals_whole() -> None:
    series = pl.Series(["a b c", "zwei drei", "vier", "five six"])
    model = fitted(series.to_list(), 0.1)
    assert hn.predict(model, series[1:3], 100, 2).tolist() == hn.predict(model, series, 100, 2).tolist()[1:3]


def test_predict_windows_lie_evenly_from_the_first_byte_to_the_last() -> None:
    model = fitted(["aa bb", "cc dd", "ee ff", "gg hh"], 0.01)

    def value(*texts: str) -> float:
        return float(hn.predict(model, pl.Series(texts), 5, 3).mean())

    def windowed(text: str, size: int, windows: int) -> float:
        return hn.predict(model, pl.Series([text]), size, windows).item()

    assert windowed("aa bb", 5, 3) == pytest.approx(value("aa bb"))
    assert windowed("aa bb gg hh", 5, 2) == pytest.approx(value("aa bb", "gg hh"))
    # Eleven bytes hold three windows of five that overlap: bytes 0 to 5, 3 to 8, 6 to 11.
    assert windowed("aa bb gg hh", 5, 3) == pytest.approx(value("aa bb", "bb gg", "gg hh"))
    # The last four bytes are the second half of the "é" and "gg ": the half is left out.
    assert windowed("aabb égg ", 4, 2) == pytest.approx(value("aabb", "gg "))


def test_solve_weighted_rows_equals_the_normal_equations_on_the_columns_in_use() -> None:
    texts = pl.Series([f"word{i % 3} other{'.' * (i % 4)} tail" for i in range(12)])
    found = hn.features(texts, 100)
    target, rows = np.arange(12, dtype=float) % 5, np.arange(1.0, 13.0)
    design = hn.design_of(found, hn.standard_of(found))
    solution = hn.solve(design, target, 0.3, rows)
    dense = sparse.csr_matrix(design).toarray()
    used = np.flatnonzero(np.abs(dense).sum(axis=0))
    block = dense[:, used]
    weights = np.linalg.solve(block.T @ (rows[:, None] * block) + 0.3 * np.eye(len(used)), block.T @ (rows * target))
    assert np.allclose(design @ solution, block @ weights, atol=1e-3)


@pytest.mark.parametrize("target", [[1.0], [1.0, np.nan]])
def test_solve_target_of_another_length_or_not_finite_is_refused(target: list[float]) -> None:
    found = hn.features(pl.Series(["a", "b"]), 10)
    with pytest.raises(ValueError, match="2 texts need as many finite targets"):
        hn.solve(hn.design_of(found, hn.standard_of(found)), np.array(target), 1.0)


def test_standard_of_no_texts_is_refused() -> None:
    with pytest.raises(ValueError, match="no texts"):
        hn.standard_of(hn.features(pl.Series([], dtype=pl.String), 10))

"""Counts agree with a dictionary of words and pairs."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from algorithms.ngram_counts import BUCKETS, count, count_tokens

WORD = re.compile(r"[a-z0-9\u00c0-\u07ff]+|\S")


def slow(text: str) -> list[int]:
    """The counts of different words and pairs, sorted: what hashing keeps where nothing collides."""
    words = WORD.findall(text.lower() if text.isascii() else text)
    return sorted((Counter(words) + Counter(zip(["", *words], words))).values())


def test_count_of_a_text_counts_words_and_pairs_whatever_their_case() -> None:
    row = count(pl.Series(["The cat, the CAT."]))
    # the 2, cat 2, "," and "." 1; pairs: (start, the), (the, cat) twice, (cat, ","), (",", the), (cat, ".").
    assert sorted(row.data.tolist()) == slow("The cat, the CAT.") == [1, 1, 1, 1, 1, 1, 2, 2, 2]


@given(st.text(alphabet="aAbB01 .,\néяあ中", max_size=60))
def test_count_of_any_text_agrees_with_a_dictionary(text: str) -> None:
    assert sorted(count(pl.Series([text])).data.tolist()) == slow(text.replace("A", "a").replace("B", "b"))


def test_count_cut_at_bytes_is_the_count_of_the_beginning() -> None:
    texts = pl.Series(["one two three four", None, ""])
    whole, cut = count(texts.str.slice(0, 7)), count(texts, max_bytes=7)
    assert (whole != cut).nnz == 0
    assert whole.shape == (3, BUCKETS)
    assert np.diff(whole.indptr).tolist() == [4, 0, 0]


def test_count_of_words_not_folded_tells_case_and_space_apart() -> None:
    pairs = (("a The", "a the"), ("a , b", "a, b"), ("a\nb", "a b"))
    for one, other in pairs:
        folded, told = (count(pl.Series([one, other]), folded=f) for f in (True, False))
        assert (folded[0] != folded[1]).nnz == 0
        assert (told[0] != told[1]).nnz > 0


def test_count_tokens_counts_ids_and_pairs() -> None:
    found = count_tokens([np.array([7, 8, 7, 8]), np.array([], dtype=np.int64), np.array([8])])
    # 7 and 8 twice, (7, 8) twice, (8, 7) and (start, 7) once.
    assert sorted(found[0].data.tolist()) == [1, 1, 2, 2, 2]
    assert np.diff(found.indptr).tolist() == [5, 0, 2]


def test_count_tokens_with_weights_counts_a_token_and_its_pair_as_much() -> None:
    ids = [np.array([7, 8, 7]), np.array([8])]
    found = count_tokens(ids, [np.array([0.0, 2.0, 0.5]), np.array([3.0])])
    assert found.sum(axis=1).ravel().tolist() == [[5.0, 6.0]]
    assert (count_tokens(ids, [np.ones(3), np.ones(1)]) != count_tokens(ids)).nnz == 0

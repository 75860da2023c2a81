"""Counts agree with a dictionary of words and pairs."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from algorithms.ngram_counts import BUCKETS, count

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

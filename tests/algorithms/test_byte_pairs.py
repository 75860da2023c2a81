"""Byte pairs, compiled, against the slow obvious version."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithms.byte_pairs import MAX_BYTES, byte_characters, count_merged, read_merges

MERGES = [
    ("a", "b"),
    ("b", "c"),
    ("ab", "c"),
    ("c", "c"),
    ("abc", "abc"),
    ("a", "a"),
    ("aa", "aa"),
    ("Ġ", "a"),
    ("bc", "c"),
]
VOCABULARY = {token: n for n, token in enumerate([*"abcĠ", *(left + right for left, right in MERGES)])}


def slow_count(word: bytes) -> int:
    shown = {byte: character for character, byte in byte_characters().items()}
    parts = [shown[byte] for byte in word if shown[byte] in VOCABULARY]
    while True:
        pairs = [MERGES.index(pair) for pair in pairwise(parts) if pair in MERGES]
        if not pairs:
            return len(parts)
        left, right = MERGES[min(pairs)]
        at = next(i for i in range(len(parts)) if parts[i : i + 2] == [left, right])
        parts[at : at + 2] = [left + right]


def counts(words: list[bytes]) -> list[int]:
    ends = np.cumsum([0, *map(len, words)])
    spans = np.stack([ends[:-1], ends[1:]], 1).astype(np.int64)
    merges = read_merges(VOCABULARY, MERGES)
    data = np.frombuffer(b"".join(words) or b" ", np.uint8)
    return count_merged(data, spans, merges.byte_V, merges.pair_P, merges.rank_P, merges.token_P).tolist()


@given(st.lists(st.text(alphabet="abc d\n", max_size=12).map(str.encode), min_size=1, max_size=9))
def test_count_merged_any_words_equal_the_slow_version(words):
    assert counts(words) == [slow_count(word) for word in words]


@pytest.mark.parametrize(
    ("word", "count"),
    [(b"", 0), (b"abc", 1), (b"abcabc", 1), (b"aabcc", 3), (b" ab", 2), (b"\x16", 0), (b"a\x16b", 1)],
)
def test_count_merged_word_has_so_many_tokens(word, count):
    assert counts([word]) == [count]


def test_count_merged_word_above_the_limit_is_left_alone():
    assert counts([b"d" * MAX_BYTES, b"d" * (MAX_BYTES + 1), b"abc"]) == [0, -1, 1]


def test_byte_characters_are_one_for_each_byte():
    assert sorted(byte_characters().values()) == list(range(256))
    assert byte_characters()["Ġ"] == 32

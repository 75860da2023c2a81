"""How often hashed n-grams occur in texts, compiled: what n-gram selection counts. One and two units, of two kinds.

**Words** (`count`): a word is a run of ASCII letters and digits or of two-byte letters (Latin, Greek, Cyrillic, Hebrew,
Arabic); any other character, and any of three bytes or more (Chinese, kana, Thai), is a word of its own. Folded, ASCII
capitals count as small letters and white space is not seen, as in DSIR; else the case and whether a word follows a
space, a line's end or nothing make it another word, as they make other tokens in a language model.

**Tokens** (`count_tokens`): the token ids of a model's own tokenizer.

In: a polars String series, or arrays of ids. Out: a CSR matrix of counts [N, BUCKETS] (float32, no column twice in a
row). About 3 us a kB on one core. Deterministic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numba
import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

from algorithms.hashed_text import mix

BITS: Final = 16
BUCKETS: Final = 1 << BITS
SHIFT: Final = np.uint64(64 - BITS)
FIRST: Final = np.uint64(0xCBF29CE484222325)
PRIME: Final = np.uint64(0x100000001B3)
SALT: Final = np.uint64(0x9E3779B97F4A7C15)
# What a word follows; 0 is another word or mark.
SPACE: Final = np.uint64(1)
LINE: Final = np.uint64(2)


def count(texts: pl.Series, max_bytes: int | None = None, folded: bool = True) -> sparse.csr_matrix:
    """Counts of the words and word pairs of each text [N, BUCKETS], of its first `max_bytes` UTF-8 bytes where that is
    given; null counts as empty. See above for `folded`."""
    array = texts.cast(pl.String).fill_null("").rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = array.buffers()
    starts_N1 = np.frombuffer(offsets, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    bytes_B = np.frombuffer(data or b"", dtype=np.uint8)
    sizes = np.diff(starts_N1)
    spans = sizes if max_bytes is None else np.minimum(sizes, max_bytes)
    # A byte begins at most one word and one pair.
    buckets = np.empty(2 * int(spans.sum()) + 1, dtype=np.int32)
    ends_N = np.empty(len(sizes) + 1, dtype=np.int64)
    _read(bytes_B, starts_N1, spans, folded, buckets, ends_N)
    return _matrix(buckets[: ends_N[-1]], ends_N)


def count_tokens(
    documents: Sequence[npt.NDArray[np.integer]], weights: Sequence[npt.NDArray[np.floating]] | None = None
) -> sparse.csr_matrix:
    """Counts of the tokens and token pairs of each document [N, BUCKETS]; token ids by document. With `weights`, one a
    token, a token and the pair that it ends count as much as that."""
    sizes_N = np.array([len(ids) for ids in documents], dtype=np.int64)
    ends_N = np.concatenate([[0], np.cumsum(2 * sizes_N)])
    flat = np.concatenate([np.empty(0, np.int64), *documents]).astype(np.int64)
    buckets = np.empty(len(flat) * 2, dtype=np.int32)
    _read_tokens(flat, ends_N // 2, buckets)
    return _matrix(buckets, ends_N, None if weights is None else np.repeat(np.concatenate(weights), 2))


def _matrix(
    buckets: npt.NDArray[np.int32], ends_N: npt.NDArray[np.int64], weights: npt.NDArray[np.floating] | None = None
) -> sparse.csr_matrix:
    values = np.ones(len(buckets)) if weights is None else weights
    matrix = sparse.csr_matrix((values.astype(np.float32), buckets, ends_N), shape=(len(ends_N) - 1, BUCKETS))
    matrix.sum_duplicates()
    return matrix


@numba.njit(cache=True, inline="always")
def _in_word(byte: int) -> bool:
    """A letter or digit of ASCII, or a byte of a two-byte character."""
    if byte < 0x80:
        return 48 <= byte <= 57 or 65 <= byte <= 90 or 97 <= byte <= 122
    return 0xC3 <= byte < 0xE0


@numba.njit(cache=True, nogil=True)
def _read_tokens(ids, ends, buckets):  # type: ignore[no-untyped-def]
    for n in range(len(ends) - 1):
        previous = np.uint64(0)
        for i in range(ends[n], ends[n + 1]):
            word = mix(np.uint64(ids[i] + 1) * SALT)
            buckets[2 * i] = np.int32(word >> SHIFT)
            buckets[2 * i + 1] = np.int32(mix(previous * SALT + word) >> SHIFT)
            previous = word


@numba.njit(cache=True, nogil=True)
def _read(data, starts, spans, folded, buckets, ends):  # type: ignore[no-untyped-def]
    at = 0
    ends[0] = 0
    for n in range(len(spans)):
        i, end = starts[n], starts[n] + spans[n]
        previous, gap = np.uint64(0), LINE
        while i < end:
            byte = data[i]
            if byte <= 32:
                gap = LINE if byte == 10 else SPACE
                i += 1
                continue
            value = FIRST if folded else (FIRST ^ gap) * PRIME
            gap = np.uint64(0)
            if _in_word(byte):
                while i < end and _in_word(data[i]):
                    wide = data[i] >= 0x80
                    letter = data[i] + 32 if folded and 65 <= data[i] <= 90 else data[i]
                    value = (value ^ np.uint64(letter)) * PRIME
                    i += 1
                    if wide and i < end:
                        value = (value ^ np.uint64(data[i])) * PRIME
                        i += 1
            else:
                value = (value ^ np.uint64(byte)) * PRIME
                i += 1
                while i < end and 0x80 <= data[i] < 0xC0:
                    value = (value ^ np.uint64(data[i])) * PRIME
                    i += 1
            word = mix(value)
            buckets[at] = np.int32(word >> SHIFT)
            buckets[at + 1] = np.int32(mix(previous * SALT + word) >> SHIFT)
            at += 2
            previous = word
        ends[n + 1] = at


__all__ = ["BITS", "BUCKETS", "count", "count_tokens"]

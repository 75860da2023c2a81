"""How often hashed words and word pairs occur in texts, compiled: what n-gram selection counts.

A word is a run of ASCII letters and digits or of two-byte letters (Latin, Greek, Cyrillic, Hebrew, Arabic), ASCII
folded to lower case; any other character, and any of three bytes or more (Chinese, kana, Thai), is a word of its own.

In: a polars String series. Out: a CSR matrix of counts [N, BUCKETS] (float32, no column twice in a row). About 3 us a
kB on one core. Deterministic.
"""

from __future__ import annotations

from typing import Final

import numba
import numpy as np
import polars as pl
from scipy import sparse

BITS: Final = 16
BUCKETS: Final = 1 << BITS


def count(texts: pl.Series, max_bytes: int | None = None) -> sparse.csr_matrix:
    """Counts of the words and word pairs of each text [N, BUCKETS], of its first `max_bytes` UTF-8 bytes where that is
    given; null counts as empty."""
    array = texts.cast(pl.String).fill_null("").rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = array.buffers()
    starts_N1 = np.frombuffer(offsets, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    bytes_B = np.frombuffer(data or b"", dtype=np.uint8)
    sizes = np.diff(starts_N1)
    spans = sizes if max_bytes is None else np.minimum(sizes, max_bytes)
    # A byte begins at most one word and one pair.
    buckets = np.empty(2 * int(spans.sum()) + 1, dtype=np.int32)
    ends_N = np.empty(len(sizes) + 1, dtype=np.int64)
    _read(bytes_B, starts_N1, spans, buckets, ends_N)
    found = buckets[: ends_N[-1]]
    matrix = sparse.csr_matrix((np.ones(len(found), np.float32), found, ends_N), shape=(len(sizes), BUCKETS))
    matrix.sum_duplicates()
    return matrix


@numba.njit(cache=True, inline="always")
def _mixed(value: np.uint64) -> np.uint64:
    """MurmurHash3's 64-bit finaliser."""
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xFF51AFD7ED558CCD)
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xC4CEB9FE1A85EC53)
    return value ^ (value >> np.uint64(33))


@numba.njit(cache=True, inline="always")
def _in_word(byte: int) -> bool:
    """A letter or digit of ASCII, or a byte of a two-byte character."""
    if byte < 0x80:
        return 48 <= byte <= 57 or 65 <= byte <= 90 or 97 <= byte <= 122
    return 0xC3 <= byte < 0xE0


@numba.njit(cache=True, nogil=True)
def _read(data, starts, spans, buckets, ends):  # type: ignore[no-untyped-def]
    shift = np.uint64(64 - BITS)
    prime, salt = np.uint64(0x100000001B3), np.uint64(0x9E3779B97F4A7C15)
    at = 0
    ends[0] = 0
    for n in range(len(spans)):
        i, end = starts[n], starts[n] + spans[n]
        previous = np.uint64(0)
        while i < end:
            byte = data[i]
            if byte <= 32:
                i += 1
                continue
            value = np.uint64(0xCBF29CE484222325)
            if _in_word(byte):
                while i < end and _in_word(data[i]):
                    wide = data[i] >= 0x80
                    folded = data[i] + 32 if 65 <= data[i] <= 90 else data[i]
                    value = (value ^ np.uint64(folded)) * prime
                    i += 1
                    if wide and i < end:
                        value = (value ^ np.uint64(data[i])) * prime
                        i += 1
            else:
                value = (value ^ np.uint64(byte)) * prime
                i += 1
                while i < end and 0x80 <= data[i] < 0xC0:
                    value = (value ^ np.uint64(data[i])) * prime
                    i += 1
            word = _mixed(value)
            buckets[at] = np.int32(word >> shift)
            buckets[at + 1] = np.int32(_mixed(previous * salt + word) >> shift)
            at += 2
            previous = word
        ends[n + 1] = at


__all__ = ["BITS", "BUCKETS", "count"]

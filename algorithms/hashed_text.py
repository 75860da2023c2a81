"""A text read once by compiled code: hashes of its words and pairs, the transitions of its word shapes, statistics.

In: UTF-8 bytes of texts in one buffer. Out: distinct buckets (each counted once), shares of neighbouring shapes with
the fullness behind them (SHAPES), and STATISTICS, as `hashed_ngrams` explains them. About 8 us a kB on one core. No
Python objects, no threads, and the interpreter's lock is not held.
"""

from __future__ import annotations

from typing import Final

import numba
import numpy as np

BITS: Final = 18
BUCKETS: Final = 1 << BITS
DENSE: Final = (
    "letters_per_word",
    "upper_share",
    "digit_share",
    "punctuation_share",
    "symbol_share",
    "unspaced_share",
    "capitalised_share",
    "short_word_share",
    "long_word_share",
    "commas_per_word",
    "log_words_per_sentence",
    "distinct_share",
)
STATISTICS: Final = len(DENSE)

# Classes of code points.
SPACE, LETTER, UPPER, DIGIT, PUNCTUATION, SYMBOL, UNSPACED = range(7)
# Shapes of tokens; EDGE is the beginning and the end of the text.
SHORT, LONG, CAPITALISED, CAPITALS, NUMBER, COMMA, STOP, MARK, SIGN, CHARACTER, EDGE = range(11)
NUM_SHAPES: Final = 11
FULLNESS: Final = NUM_SHAPES * NUM_SHAPES  # where the fullness stands, behind the pairs of shapes
SHAPES: Final = FULLNESS + 1
# A text of so many words is full: a window of any language has more, a line or a caption has less.
FULL_WORDS: Final = 32
# What is counted along the way.
WORDS, LETTERS, STARTS_UPPER, SHORT_WORDS, LONG_WORDS, COMMAS, STOPS, DISTINCT, TOKENS = range(9)


@numba.njit(cache=True, inline="always")
def _decode(data: np.ndarray, at: int, end: int) -> tuple[np.uint32, int]:
    """The code point at byte `at` and the byte after it; a sequence cut short is one byte long."""
    lead = data[at]
    if lead < 0xC0:
        return np.uint32(lead), at + 1
    size = 2 if lead < 0xE0 else (3 if lead < 0xF0 else 4)
    if at + size > end:
        return np.uint32(0xFFFD), end
    point = np.uint32(lead & (0xFF >> (size + 1)))
    for i in range(1, size):
        point = (point << np.uint32(6)) | np.uint32(data[at + i] & 0x3F)
    return point, at + size


@numba.njit(cache=True)
def _classify(point: np.uint32) -> tuple[int, np.uint32]:
    """The class of a code point and its lower case (ASCII, Latin-1, Greek and Cyrillic capitals are folded)."""
    if point < 0x80:
        if 0x61 <= point <= 0x7A:
            return LETTER, point
        if 0x41 <= point <= 0x5A:
            return UPPER, point + 32
        if 0x30 <= point <= 0x39:
            return DIGIT, np.uint32(0x30)
        if point <= 0x20 or point == 0x7F:
            return SPACE, point
        # ! " ' ( ) , - . : ; ?
        if point in (0x21, 0x22, 0x27, 0x28, 0x29, 0x2C, 0x2D, 0x2E, 0x3A, 0x3B, 0x3F):
            return PUNCTUATION, point
        return SYMBOL, point
    if point < 0xC0:
        return (SPACE if point <= 0xA0 else SYMBOL), point
    if point <= 0xDE or 0x391 <= point <= 0x3A9 or 0x410 <= point <= 0x42F:
        return (SYMBOL, point) if point == 0xD7 else (UPPER, point + 32)
    if 0x400 <= point <= 0x40F:
        return UPPER, point + 80
    if 0x2000 <= point <= 0x206F:
        return (SPACE if point <= 0x200B or 0x2028 <= point <= 0x202F else PUNCTUATION), point
    if (
        0x2070 <= point <= 0x2BFF
        or 0xE000 <= point <= 0xF8FF
        or 0xFFF0 <= point <= 0xFFFF
        or 0x1F000 <= point <= 0x1FAFF
    ):
        return SYMBOL, point
    if 0x3000 <= point <= 0x303F or 0xFF00 <= point <= 0xFF0F or 0xFF1A <= point <= 0xFF20:
        return (SPACE if point == 0x3000 else PUNCTUATION), point
    if 0x0E00 <= point <= 0x0EFF or 0x3040 <= point <= 0x9FFF or 0xF900 <= point <= 0xFAFF or point >= 0x20000:
        return UNSPACED, point
    return LETTER, point


@numba.njit(cache=True, inline="always")
def mix(value: np.uint64) -> np.uint64:
    """MurmurHash3's 64-bit finaliser."""
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xFF51AFD7ED558CCD)
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xC4CEB9FE1A85EC53)
    return value ^ (value >> np.uint64(33))


@numba.njit(cache=True, inline="always")
def _hashed(value: np.uint64, point: np.uint32) -> np.uint64:
    """FNV-1a over code points."""
    return (value ^ np.uint64(point)) * np.uint64(0x100000001B3)


@numba.njit(cache=True)
def _read_word(
    data: np.ndarray, at: int, end: int, kind: int, value: np.uint64, counts: np.ndarray, tally: np.ndarray
) -> tuple[int, np.uint64, int]:
    """The rest of a word whose first code point, of class `kind`, was read: the byte after it, its hash, its shape."""
    first, length = kind, 1
    while at < end:
        point, then = _decode(data, at, end)
        following, folded = _classify(point)
        if following not in (LETTER, UPPER, DIGIT):
            break
        kind = following
        counts[kind] += 1
        length += 1
        value = _hashed(value, folded)
        at = then
    tally[WORDS] += 1
    tally[LETTERS] += length
    tally[STARTS_UPPER] += first == UPPER
    tally[SHORT_WORDS] += length <= 3
    tally[LONG_WORDS] += length >= 8
    if first == DIGIT:
        return at, value, NUMBER
    if first == LETTER:
        return at, value, (SHORT if length <= 3 else LONG)
    return at, value, (CAPITALS if kind == UPPER else CAPITALISED)


@numba.njit(cache=True, inline="always")
def _read_mark(point: np.uint32, kind: int, tally: np.ndarray) -> int:
    """Counts a token of one code point and returns its shape."""
    if kind == UNSPACED:
        tally[WORDS] += 1
        tally[LETTERS] += 1
        return CHARACTER
    if point == 0x2C or point == 0x3001 or point == 0xFF0C or point == 0x60C:
        tally[COMMAS] += 1
        return COMMA
    if point in (0x2E, 0x21, 0x3F, 0x3002, 0xFF01, 0xFF1F):
        tally[STOPS] += 1
        return STOP
    return MARK if kind == PUNCTUATION else SIGN


@numba.njit(cache=True, inline="always")
def _add(bucket: int, stamp: np.ndarray, mark: int, buckets: np.ndarray, at: int) -> int:
    """Writes a bucket that this text has not had (`stamp[bucket] != mark`); returns the next place."""
    if stamp[bucket] != mark:
        stamp[bucket] = mark
        buckets[at] = bucket
        return at + 1
    return at


@numba.njit(cache=True)
def read(
    data: np.ndarray,
    start: int,
    end: int,
    stamp: np.ndarray,
    mark: int,
    buckets: np.ndarray,
    at: int,
    shapes: np.ndarray,
    statistics: np.ndarray,
) -> int:
    """Writes one text's distinct buckets to `buckets[at:]`, its shapes and its statistics; returns the next `at`.

    `stamp` [BUCKETS] and `mark` remember what was seen: a mark is used for one text only.
    """
    shift = np.uint64(64 - BITS)
    counts, tally = np.zeros(7, dtype=np.int64), np.zeros(9, dtype=np.int64)
    shapes[:] = 0.0
    previous, before = np.uint64(0), EDGE
    i = start
    while i < end:
        point, after = _decode(data, i, end)
        kind, folded = _classify(point)
        if kind == SPACE:
            i = after
            continue
        counts[kind] += 1
        value = _hashed(np.uint64(0xCBF29CE484222325), folded)
        if kind in (LETTER, UPPER, DIGIT):
            after, value, shape = _read_word(data, after, end, kind, value, counts, tally)
        else:
            shape = _read_mark(point, kind, tally)
        word = mix(value)
        then = _add(np.int64(word >> shift), stamp, mark, buckets, at)
        if shape <= NUMBER or shape == CHARACTER:
            tally[DISTINCT] += then - at
        pair = np.int64(mix(previous * np.uint64(0x9E3779B97F4A7C15) + word) >> shift)
        at = _add(pair, stamp, mark, buckets, then)
        shapes[before * NUM_SHAPES + shape] += 1.0
        tally[TOKENS] += 1
        previous, before, i = word, shape, after
    shapes[before * NUM_SHAPES + EDGE] += 1.0
    for k in range(FULLNESS):
        if shapes[k] > 0.0:
            shapes[k] = np.sqrt(shapes[k] / (tally[TOKENS] + 1))
    shapes[FULLNESS] = np.log1p(min(tally[WORDS], FULL_WORDS)) / np.log1p(FULL_WORDS)
    _measure(counts, tally, statistics)
    return at


@numba.njit(cache=True)
def _measure(counts: np.ndarray, tally: np.ndarray, statistics: np.ndarray) -> None:
    """DENSE from what was counted: shares of what is shown, and of words."""
    shown, num_words = max(counts.sum(), 1), max(tally[WORDS], 1)
    statistics[0] = tally[LETTERS] / num_words
    statistics[1] = counts[UPPER] / shown
    statistics[2] = counts[DIGIT] / shown
    statistics[3] = counts[PUNCTUATION] / shown
    statistics[4] = counts[SYMBOL] / shown
    statistics[5] = counts[UNSPACED] / shown
    statistics[6] = tally[STARTS_UPPER] / num_words
    statistics[7] = tally[SHORT_WORDS] / num_words
    statistics[8] = tally[LONG_WORDS] / num_words
    statistics[9] = tally[COMMAS] / num_words
    statistics[10] = np.log(num_words / (tally[STOPS] + 1.0))
    statistics[11] = tally[DISTINCT] / num_words

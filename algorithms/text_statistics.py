"""Counts behind the published quality rules, one pass over the bytes of a batch of texts.

Gopher, Rae et al. 2021, arXiv:2112.11446, A1.1 (words, symbols, lines, repetition); FineWeb, Penedo et al. 2024,
arXiv:2406.17557, 3.6 (line ends, short lines, duplicated lines). In: a String series. Out: one row of `STATISTICS`
a text. About 20 MB/s a core after a compilation of some seconds that numba caches on disk.

A token is a run of letters and digits (`1,000.5` is one; `'s` starts one), a run of one and the same symbol, or
one ideograph; a word is a token with a letter or digit in it. Lengths count code points.

    top_n     share of characters in the commonest n-gram of tokens (its length with blanks, times its count)
    dup_n     share of characters in n-grams seen before, where each character counts once

Where we differ: the rules were published over other tokenisers (Gopher's own, spaCy's in datatrove). Contractions
and numbers follow spaCy's counts; addresses and code are split where spaCy keeps one token. Equality of tokens and
lines is equality of 64-bit hashes.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Final

import numba
import numpy as np
import polars as pl

SPACE, LETTER, DIGIT, SYMBOL, IDEOGRAPH = 0, 1, 2, 3, 4
TOP_SIZES: Final = (2, 3, 4)
DUP_SIZES: Final = (5, 6, 7, 8, 9, 10)
STOP_WORDS: Final = ("the", "be", "to", "of", "and", "that", "have", "with")  # Gopher A1.1
TERMINALS: Final = ".!?\"'”’…。！？"
SIGNS: Final = "=+^_\\{}[]()<>∈≤≥∑∫√→;`$&"  # of code and mathematics
BULLETS: Final = "-*•‣▶◀◦■□▪▫–"
SHORT_LINE_CHARS: Final = 30  # FineWeb 3.6
STATISTICS: Final = (
    "num_chars",
    "num_all_tokens",
    "num_words",
    "word_chars",
    "num_alpha_tokens",
    "num_signs",
    "num_hashes",
    "num_ellipses",
    "num_stop_words",
    "num_lines",
    "bullet_lines",
    "ellipsis_lines",
    "terminal_lines",
    "short_lines",
    "num_breaks",
    "dup_lines",
    "dup_line_chars",
    "num_paragraphs",
    "dup_paragraphs",
    "dup_paragraph_chars",
    "longest_word",
    *(f"top_{n}" for n in TOP_SIZES),
    *(f"dup_{n}" for n in DUP_SIZES),
)
COLUMN: Final = {name: position for position, name in enumerate(STATISTICS)}
(
    CHARS, TOKENS, WORDS, WORD_CHARS, ALPHA, SIGN,
    HASHES, ELLIPSES, STOPS, LINES, BULLET, ELLIPSIS, TERMINAL, SHORT, BREAKS,
    DUP_LINES, DUP_LINE_CHARS, PARAGRAPHS, DUP_PARAGRAPHS, DUP_PARAGRAPH_CHARS, LONGEST, TOP,
) = range(22)  # fmt: skip
DUP: Final = TOP + len(TOP_SIZES)
PRIME: Final = np.uint64(0x9E3779B97F4A7C15)
SEED: Final = np.uint64(0xCBF29CE484222325)


def text_statistics(texts: pl.Series) -> pl.DataFrame:
    """One row a text of `texts` (nulls count as empty), columns `STATISTICS`, Float64: counts and shares.

    >>> text_statistics(pl.Series(["the cat. The cat."]))["num_words"].to_list()
    [4.0]
    """
    array = texts.fill_null("").rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = array.buffers()
    ends_D = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    bytes_B = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8)
    out_DS = np.zeros((len(array), len(STATISTICS)))
    points = _code_points(TERMINALS), _code_points(BULLETS), _code_points(SIGNS)
    _statistics(bytes_B, ends_D, _classes(), _stop_hashes(), *points, out_DS)
    return pl.DataFrame(out_DS, schema=list(STATISTICS), orient="row")


@cache
def _classes() -> np.ndarray:
    """Class of every code point of the basic plane."""
    return np.array([_class(chr(point)) for point in range(0x10000)], np.uint8)


def _class(character: str) -> int:
    category = unicodedata.category(character)
    if character.isspace():
        return SPACE
    if 0x3040 <= ord(character) <= 0x30FF or 0x3400 <= ord(character) <= 0x9FFF:
        return IDEOGRAPH
    if category[0] in "LM":  # a mark belongs to the letter before it
        return LETTER
    return DIGIT if category[0] == "N" else SYMBOL


def _code_points(characters: str) -> np.ndarray:
    return np.array(sorted(map(ord, characters)), np.int64)


@cache
def _stop_hashes() -> np.ndarray:
    return np.array([_hash_points(np.array([ord(c) for c in word], np.int64)) for word in STOP_WORDS], np.uint64)


@numba.njit("uint64(uint64, int64)", cache=True, inline="always")
def _mix(state: np.uint64, value: int) -> np.uint64:
    state = (state ^ np.uint64(value)) * PRIME
    return state ^ (state >> np.uint64(29))


@numba.njit("uint64(int64[:])", cache=True)
def _hash_points(points: np.ndarray) -> np.uint64:
    state = SEED
    for point in points:
        state = _mix(state, point)
    return state


@numba.njit(cache=True, inline="always")
def _contains(points: np.ndarray, point: int) -> bool:
    found = False
    for known in points:
        found = found or known == point
    return found


@numba.njit(cache=True, inline="always")
def _slot(keys, stamps, stamp, mask, key):  # type: ignore[no-untyped-def]
    """Where `key` is or belongs in the open-addressing table; entries of an older stamp count as free."""
    position = np.int64(key >> np.uint64(20)) & mask
    while stamps[position] == stamp and keys[position] != key:
        position = (position + 1) & mask
    return position


@numba.njit(cache=True)
def _add_block(keys, stamps, stamp, mask, key):  # type: ignore[no-untyped-def]
    """Whether `key` was seen under this stamp already; notes it."""
    position = _slot(keys, stamps, stamp, mask, key)
    if stamps[position] == stamp:
        return True
    stamps[position], keys[position] = stamp, key
    return False


@numba.njit(cache=True)
def _decode(data, start, end, points):  # type: ignore[no-untyped-def]
    """Code points of valid UTF-8 `data[start:end]` into `points`; how many."""
    count, i = 0, start
    while i < end:
        byte = np.int64(data[i])
        if byte < 0x80:
            point, i = byte, i + 1
        elif byte < 0xE0:
            point, i = (byte & 0x1F) << 6 | (np.int64(data[i + 1]) & 0x3F), i + 2
        elif byte < 0xF0:
            point = (byte & 0x0F) << 12 | (np.int64(data[i + 1]) & 0x3F) << 6 | (np.int64(data[i + 2]) & 0x3F)
            i += 3
        else:
            point = (byte & 0x07) << 18 | (np.int64(data[i + 1]) & 0x3F) << 12
            point |= (np.int64(data[i + 2]) & 0x3F) << 6 | (np.int64(data[i + 3]) & 0x3F)
            i += 4
        points[count] = point
        count += 1
    return count


@numba.njit(cache=True, inline="always")
def _class_of(classes, point):  # type: ignore[no-untyped-def]
    if point < 0x10000:
        return classes[point]
    # Above the basic plane: historic letters, pictographs, then ideographs.
    return LETTER if point < 0x1D000 else SYMBOL if point < 0x20000 else IDEOGRAPH


@numba.njit(cache=True)
def _tokens(points, num_points, classes, stops, signs, hashes, lengths, out):  # type: ignore[no-untyped-def]
    """Token hashes and lengths of one text; counts of tokens, words, symbols, stop words into `out`."""
    count, i, seen_stops = 0, 0, 0
    while i < num_points:
        point = points[i]
        kind = _class_of(classes, point)
        if kind == SPACE:
            i += 1
            continue
        start, state, alpha = i, _mix(SEED, point), kind in (LETTER, IDEOGRAPH)
        i += 1
        if kind == SYMBOL and point == 39 and i < num_points and _class_of(classes, points[i]) == LETTER and start > 0:
            before = _class_of(classes, points[start - 1])
            kind = LETTER if before == LETTER else SYMBOL  # 's, 't, 'll
        if kind in (LETTER, DIGIT):
            while i < num_points:
                inner = _class_of(classes, points[i])
                joins = inner in (LETTER, DIGIT)
                if not joins and (points[i] == 44 or points[i] == 46) and i + 1 < num_points:  # 1,000.5
                    digit_before = _class_of(classes, points[i - 1]) == DIGIT
                    joins = digit_before and _class_of(classes, points[i + 1]) == DIGIT
                if not joins:
                    break
                alpha = alpha or inner == LETTER
                state = _mix(state, points[i])
                i += 1
        elif kind == SYMBOL:
            while i < num_points and points[i] == point:
                state = _mix(state, point)
                i += 1
            out[SIGN] += _contains(signs, point)
            if point == 35 and start > 0 and points[start - 1] != 10:  # at a line's start it marks a heading
                out[HASHES] += i - start
            elif point == 0x2026 or (point == 46 and i - start >= 3):
                out[ELLIPSES] += 1
        hashes[count], lengths[count] = state, i - start
        count += 1
        if alpha:
            out[ALPHA] += 1
        if kind != SYMBOL:
            out[WORDS] += 1
            out[WORD_CHARS] += i - start
            out[LONGEST] = max(out[LONGEST], i - start)
            for position in range(len(stops)):
                if stops[position] == state:
                    seen_stops |= 1 << position
    out[TOKENS] = count
    while seen_stops:
        out[STOPS] += seen_stops & 1
        seen_stops >>= 1
    return count


@numba.njit(cache=True)
def _lines(points, num_points, classes, terminals, bullets, keys, stamps, stamp, mask, out):  # type: ignore[no-untyped-def]
    """Counts over lines and paragraphs (blocks between blank lines) of one text into `out`. Uses two stamps."""
    position, paragraph, paragraph_chars = 0, SEED, 0
    while position <= num_points:
        start, state, first, last, before_last, before_that = position, SEED, 0, 0, 0, 0
        while position < num_points and points[position] != 10:
            point = points[position]
            state = _mix(state, point)
            if _class_of(classes, point) != SPACE:
                first = point if first == 0 else first
                before_that, before_last, last = before_last, last, point
            position += 1
        length = position - start
        if position < num_points:
            out[BREAKS] += 1
        if first != 0:
            out[LINES] += 1
            out[BULLET] += _contains(bullets, first)
            out[ELLIPSIS] += last == 0x2026 or (last == 46 and before_last == 46 and before_that == 46)
            out[TERMINAL] += _contains(terminals, last)
            out[SHORT] += length <= SHORT_LINE_CHARS
            if _add_block(keys, stamps, stamp, mask, state):
                out[DUP_LINES] += 1
                out[DUP_LINE_CHARS] += length
            paragraph, paragraph_chars = _mix(paragraph, np.int64(state >> np.uint64(1))), paragraph_chars + length
        if paragraph_chars and (first == 0 or position >= num_points):
            out[PARAGRAPHS] += 1
            if _add_block(keys, stamps, stamp + 1, mask, paragraph):
                out[DUP_PARAGRAPHS] += 1
                out[DUP_PARAGRAPH_CHARS] += paragraph_chars
            paragraph, paragraph_chars = SEED, 0
        position += 1


@numba.njit(cache=True)
def _repetition(hashes, lengths, count, num_chars, keys, stamps, counts, firsts, stamp, mask, out):  # type: ignore[no-untyped-def]
    """Shares of repeated n-grams of one text into `out`. Uses one stamp for each n from 2 to 10."""
    for n in range(2, 11):
        best_count, best_first, best_chars, repeated, blocked = 0, 0, 0, 0, 0
        chars = 0
        for i in range(count):
            chars += lengths[i]
            if i >= n:
                chars -= lengths[i - n]
            first = i - n + 1
            if first < 0 or (n > 4 and first < blocked):
                continue
            state = SEED
            for j in range(first, i + 1):
                state = _mix(state, np.int64(hashes[j] >> np.uint64(1)))
            slot = _slot(keys, stamps, stamp + n, mask, state)
            seen = stamps[slot] == stamp + n
            if n <= 4:
                counts[slot] = counts[slot] + 1 if seen else 1
                firsts[slot] = firsts[slot] if seen else first
                # Of equally common n-grams the one seen first, as Counter.most_common has it.
                if counts[slot] > best_count or (counts[slot] == best_count and firsts[slot] < best_first):
                    best_count, best_first, best_chars = counts[slot], firsts[slot], chars + n - 1
            elif seen:
                repeated += chars
                blocked = first + n
            stamps[slot], keys[slot] = stamp + n, state
        if n <= 4:
            out[TOP + n - 2] = best_count * best_chars / num_chars
        else:
            out[DUP + n - 5] = repeated / num_chars


@numba.njit(cache=True, nogil=True)
def _statistics(data, ends_D, classes, stops, terminals, bullets, signs, out_DS):  # type: ignore[no-untyped-def]
    longest = 1
    for d in range(len(ends_D) - 1):
        longest = max(longest, ends_D[d + 1] - ends_D[d])
    points = np.empty(longest, np.int64)
    hashes, lengths = np.empty(longest, np.uint64), np.empty(longest, np.int64)
    keys, stamps = np.empty(1, np.uint64), np.zeros(1, np.int64)
    counts, firsts = np.empty(1, np.int64), np.empty(1, np.int64)
    for d in range(len(ends_D) - 1):
        out = out_DS[d]
        num_points = _decode(data, ends_D[d], ends_D[d + 1], points)
        out[CHARS] = num_points
        if num_points == 0:
            continue
        count = _tokens(points, num_points, classes, stops, signs, hashes, lengths, out)
        size = 16
        while size < 2 * max(count, out[BREAKS] + 2, num_points // 8):
            size *= 2
        if size > len(keys):
            keys, stamps = np.empty(size, np.uint64), np.zeros(size, np.int64)
            counts, firsts = np.empty(size, np.int64), np.empty(size, np.int64)
        mask, stamp = size - 1, 16 * (d + 1)
        _lines(points, num_points, classes, terminals, bullets, keys, stamps, stamp, mask, out)
        _repetition(hashes, lengths, count, num_points, keys, stamps, counts, firsts, stamp, mask, out)


__all__ = ["DUP_SIZES", "STATISTICS", "TOP_SIZES", "text_statistics"]

"""Counts behind the published quality rules, one pass over the bytes of a batch of texts.

Gopher, Rae et al. 2021, arXiv:2112.11446, A1.1 (words, symbols, lines, repetition); FineWeb, Penedo et al. 2024,
arXiv:2406.17557, 3.6 (line ends, short lines, duplicated lines). In: a String series. Out: one row of `STATISTICS`
a text. About 20 MB/s a core after a compilation of some seconds that numba caches on disk.

A token is that of `rule_tokens`; a word is a token with a letter or digit in it. Lengths count code points.

    top_n     share of characters in the commonest n-gram of tokens (its length with blanks, times its count)
    dup_n     share of characters in n-grams seen before, where each character counts once

Where we differ: a `#` at a line's start marks a heading and is not counted; equality of tokens and lines is equality of
64-bit hashes.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numba
import numpy as np
import polars as pl

from algorithms import prose_lines
from algorithms.code_points import (
    SEED,
    SPACE,
    SYMBOL,
    add,
    capitals,
    class_of,
    classes,
    code_points,
    contains,
    decode,
    mix,
    slot,
    word_hashes,
)
from algorithms.rule_tokens import ABBREVIATIONS, next_token

TOP_SIZES: Final = (2, 3, 4)
DUP_SIZES: Final = (5, 6, 7, 8, 9, 10)
STOP_WORDS: Final = ("the", "be", "to", "of", "and", "that", "have", "with")  # Gopher A1.1
SIGNS: Final = "=+^_\\{}[]()<>∈≤≥∑∫√→;`$&"  # of code and mathematics
BULLETS: Final = "-•‣▶◀◦■□▪▫–"  # and `*` before a blank
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
    "num_breaks",
    "dup_lines",
    "dup_line_chars",
    "num_paragraphs",
    "dup_paragraphs",
    "dup_paragraph_chars",
    "longest_word",
    *(f"top_{n}" for n in TOP_SIZES),
    *(f"dup_{n}" for n in DUP_SIZES),
    *prose_lines.COUNTS,
)
(
    CHARS, TOKENS, WORDS, WORD_CHARS, ALPHA, SIGN,
    HASHES, ELLIPSES, STOPS, LINES, BULLET, ELLIPSIS, BREAKS,
    DUP_LINES, DUP_LINE_CHARS, PARAGRAPHS, DUP_PARAGRAPHS, DUP_PARAGRAPH_CHARS, LONGEST, TOP,
) = range(20)  # fmt: skip
DUP: Final = TOP + len(TOP_SIZES)
PROSE: Final = DUP + len(DUP_SIZES)


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
    _statistics(bytes_B, ends_D, *_tables(), out_DS)
    return pl.DataFrame(out_DS, schema=list(STATISTICS), orient="row")


@cache
def _tables() -> tuple[tuple[np.ndarray, ...], np.ndarray, tuple[np.ndarray, ...]]:
    """The tables of tokens, the bullets, and the tables of `prose_lines`."""
    stops, quotes = code_points(prose_lines.STOPS), code_points(prose_lines.QUOTES)
    prose = classes(), stops, quotes, prose_lines.notice_points()
    words = classes(), capitals(), word_hashes(ABBREVIATIONS), word_hashes(STOP_WORDS), code_points(SIGNS)
    return words, code_points(BULLETS), prose


@numba.njit(cache=True)
def _tokens(points, num_points, tables, starts, hashes, lengths, out):  # type: ignore[no-untyped-def]
    """Token hashes and lengths of one text; counts of tokens, words, symbols, stop words into `out`."""
    classes, capitals, short, stops, signs = tables
    count, i, seen_stops = 0, 0, 0
    while i < num_points:
        point = points[i]
        if class_of(classes, point) == SPACE:
            i += 1
            continue
        start = i
        i, state, kind, alpha = next_token(points, start, num_points, classes, capitals, short)
        if kind >= SYMBOL:
            out[SIGN] += contains(signs, point)
            if point == 35 and start > 0 and points[start - 1] != 10:  # at a line's start it marks a heading
                out[HASHES] += i - start
            elif point == 0x2026 or (point == 46 and i - start >= 3):
                out[ELLIPSES] += 1
        starts[count], hashes[count], lengths[count] = start, state, i - start
        count += 1
        if alpha:
            out[ALPHA] += 1
        if kind < SYMBOL:
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
def _lines(points, num_points, classes, bullets, keys, stamps, stamp, mask, states, sizes, out):  # type: ignore[no-untyped-def]
    """Counts over lines of one text into `out`; hash and length of each into `states` and `sizes` (0: blank).

    Uses one stamp. Returns the number of lines, blank ones too.
    """
    position, count = 0, 0
    while position <= num_points:
        start, state, first, second, last, before_last, before_that = position, SEED, 0, 0, 0, 0, 0
        while position < num_points and points[position] != 10:
            point = points[position]
            state = mix(state, point)
            if class_of(classes, point) != SPACE:
                if first == 0:
                    first = point
                    second = points[position + 1] if position + 1 < num_points else 10
                before_that, before_last, last = before_last, last, point
            position += 1
        length = position - start
        if position < num_points:
            out[BREAKS] += 1
        states[count], sizes[count] = state, length if first != 0 else 0
        count += 1
        if first != 0:
            out[LINES] += 1
            out[BULLET] += contains(bullets, first) or (first == 42 and class_of(classes, second) == SPACE)
            out[ELLIPSIS] += last == 0x2026 or (last == 46 and before_last == 46 and before_that == 46)
            if add(keys, stamps, stamp, mask, state):
                out[DUP_LINES] += 1
                out[DUP_LINE_CHARS] += length
        position += 1
    return count


@numba.njit(cache=True)
def _paragraphs(states, sizes, count, keys, stamps, stamp, mask, out):  # type: ignore[no-untyped-def]
    """Counts over paragraphs, blocks of lines between blank ones, into `out`. Uses one stamp."""
    paragraph, chars = SEED, 0
    for line in range(count):
        if sizes[line]:
            paragraph, chars = mix(paragraph, np.int64(states[line] >> np.uint64(1))), chars + sizes[line]
        if chars and (sizes[line] == 0 or line == count - 1):
            out[PARAGRAPHS] += 1
            if add(keys, stamps, stamp, mask, paragraph):
                out[DUP_PARAGRAPHS] += 1
                out[DUP_PARAGRAPH_CHARS] += chars
            paragraph, chars = SEED, 0


@numba.njit(cache=True)
def _repetition(hashes, lengths, grams, count, num_chars, keys, stamps, counts, firsts, stamp, mask, out):  # type: ignore[no-untyped-def]
    """Shares of repeated n-grams of one text into `out`. Uses one stamp for each n from 2 to 10."""
    for i in range(count):
        grams[i] = mix(SEED, np.int64(hashes[i] >> np.uint64(1)))
    for n in range(2, 11):
        best_count, best_first, best_chars, repeated, blocked = 0, 0, 0, 0, 0
        chars = 0
        for i in range(count):
            chars += lengths[i]
            if i >= n:
                chars -= lengths[i - n]
            first = i - n + 1
            if first >= 0:  # the n-gram's hash goes on from that of the (n-1)-gram
                grams[first] = mix(grams[first], np.int64(hashes[i] >> np.uint64(1)))
            if first < 0 or (n > 4 and first < blocked):
                continue
            state = grams[first]
            place = slot(keys, stamps, stamp + n, mask, state)
            seen = stamps[place] == stamp + n
            if n <= 4:
                counts[place] = counts[place] + 1 if seen else 1
                firsts[place] = firsts[place] if seen else first
                # Of equally common n-grams the one seen first, as Counter.most_common has it.
                if counts[place] > best_count or (counts[place] == best_count and firsts[place] < best_first):
                    best_count, best_first, best_chars = counts[place], firsts[place], chars + n - 1
            elif seen:
                repeated += chars
                blocked = first + n
            stamps[place], keys[place] = stamp + n, state
        if n <= 4:
            out[TOP + n - 2] = best_count * best_chars / num_chars
        else:
            out[DUP + n - 5] = repeated / num_chars


@numba.njit(cache=True, nogil=True)
def _statistics(data, ends_D, words, bullets, prose, out_DS):  # type: ignore[no-untyped-def]
    longest = 1
    for d in range(len(ends_D) - 1):
        longest = max(longest, ends_D[d + 1] - ends_D[d])
    points, starts = np.empty(longest, np.int64), np.empty(longest, np.int64)
    hashes, lengths = np.empty(longest, np.uint64), np.empty(longest, np.int64)
    states, sizes = np.empty(longest + 1, np.uint64), np.empty(longest + 1, np.int64)
    keys, stamps = np.empty(1, np.uint64), np.zeros(1, np.int64)
    counts, firsts = np.empty(1, np.int64), np.empty(1, np.int64)
    for d in range(len(ends_D) - 1):
        out = out_DS[d]
        num_points = decode(data, ends_D[d], ends_D[d + 1], points)
        out[CHARS] = num_points
        if num_points == 0:
            continue
        count = _tokens(points, num_points, words, starts, hashes, lengths, out)
        size = 16
        while size < 2 * count:  # no fewer than lines, paragraphs or n-grams
            size *= 2
        if size > len(keys):
            keys, stamps = np.empty(size, np.uint64), np.zeros(size, np.int64)
            counts, firsts = np.empty(size, np.int64), np.empty(size, np.int64)
        mask, stamp = size - 1, 16 * (d + 1)
        num_lines = _lines(points, num_points, words[0], bullets, keys, stamps, stamp, mask, states, sizes, out)
        _paragraphs(states, sizes, num_lines, keys, stamps, stamp + 1, mask, out)
        _repetition(hashes, lengths, states, count, num_points, keys, stamps, counts, firsts, stamp, mask, out)
        prose_lines.count_prose(
            points, num_points, starts, lengths, count, prose, keys, stamps, stamp + 11, mask, out[PROSE:]
        )


__all__ = ["DUP_SIZES", "STATISTICS", "TOP_SIZES", "text_statistics"]

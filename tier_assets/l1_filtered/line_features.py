"""Features of a text's lines: what a model tells noise (navigation, buttons, boilerplate) from text by.

In: a text. Out: a row of numbers a line, of the line, of copies of it and of the lines around; and the hashed words of
each line (feature hashing, Weinberger et al., arXiv:0902.2206), every digit as 0. One pass over its UTF-8 bytes in
numba, about 1 ms for 100 kB.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numba
import numpy as np

NUM_BUCKETS: Final = 1 << 15
OWN: Final = (
    *("bytes", "words", "word_bytes", "capitals", "digits", "beyond_ascii", "commas", "sentence_ends", "bars"),
    *("marks", "brackets", "slashes", "quotes", "arrows", "ends_sentence", "ends_colon", "ends_dots", "starts_capital"),
    *("starts_lower", "starts_digit", "starts_mark", "capital_words", "heading", "list_item", "tabs", "longest_word"),
)
PLACE: Final = ("line", "from_end", "num_lines", "copies", "copies_before", "same_shape", "text_bytes", "blank_before")
NUM_OWN, NUM_PLACE = len(OWN), len(PLACE)
SHOWN: Final = 5  # of the lines before and after, the first features count: bytes to capitals and digits
NEIGHBOURS, NEARBY, WINDOWS = (-2, -1, 1, 2), (-3, -2, -1, 1, 2, 3), (2, 5, 12)
OFFSET_BASIS, PRIME = np.uint32(2166136261), np.uint32(16777619)  # of the FNV-1a hash


@dataclass(frozen=True)
class Lines:
    """The lines of a text that are not blank. `number`: of each in the text; `own_LF`: OWN and PLACE; `bucket_W`: of
    the words of all lines, those of line i at `first_L[i]:first_L[i + 1]`."""

    number_L: np.ndarray
    own_LF: np.ndarray
    bucket_W: np.ndarray
    first_L: np.ndarray


def read_lines(text: str) -> Lines:
    """The lines of `text` (without lone surrogates) and what each is like."""
    written = np.frombuffer(text.encode(), np.uint8)
    # Lower-casing never adds or removes a break, so that both have the same lines.
    lowered = np.frombuffer(text.lower().encode(), np.uint8)
    number_L, own_LF = _measure(written)
    bucket_W, first_L, whole_L = _hash_words(lowered, number_L)
    _place(own_LF, number_L, whole_L)
    return Lines(number_L, own_LF, bucket_W, first_L)


def with_context(lines: Lines, score_L: np.ndarray) -> np.ndarray:
    """Features of each line, its `score_L` and those of the lines around it among them, float32."""
    return _surround(lines.own_LF, score_L)


@numba.njit(cache=True)
def _surround(own_LF, score_L):  # type: ignore[no-untyped-def]
    """Own features; score; SHOWN features and scores of the NEIGHBOURS, -1 beyond either end; means of the scores in
    windows, in all lines, before and after."""
    num_lines, num_own = own_LF.shape
    width = num_own + 1 + len(NEIGHBOURS) * SHOWN + len(NEARBY) + len(WINDOWS) + 3
    out_LF = np.full((num_lines, width), np.float32(-1))
    total_L = np.zeros(num_lines + 1)
    for i in range(num_lines):
        total_L[i + 1] = total_L[i] + score_L[i]
    for i in range(num_lines):
        out_LF[i, :num_own] = own_LF[i]
        out_LF[i, num_own] = score_L[i]
        at = num_own + 1
        for step in NEIGHBOURS:
            if 0 <= i + step < num_lines:
                out_LF[i, at : at + SHOWN] = own_LF[i + step, :SHOWN]
            at += SHOWN
        for step in NEARBY:
            if 0 <= i + step < num_lines:
                out_LF[i, at] = score_L[i + step]
            at += 1
        for reach in WINDOWS:
            start, end = max(i - reach, 0), min(i + reach + 1, num_lines)
            out_LF[i, at] = (total_L[end] - total_L[start]) / (end - start)
            at += 1
        out_LF[i, at] = total_L[num_lines] / num_lines
        out_LF[i, at + 1] = total_L[i] / max(i, 1)
        out_LF[i, at + 2] = (total_L[num_lines] - total_L[i + 1]) / max(num_lines - 1 - i, 1)
    return out_LF


@numba.njit(cache=True)
def _measure(written_N):  # type: ignore[no-untyped-def]
    """Numbers and OWN features (PLACE still 0) of the lines that hold more than blanks."""
    num_bytes, count = len(written_N), 1
    for byte in written_N:
        count += byte == 10
    number_L, own_LF = np.zeros(count, np.int64), np.zeros((count, NUM_OWN + NUM_PLACE), np.float32)
    found, line, start = 0, 0, 0
    for end in range(num_bytes + 1):
        if end < num_bytes and written_N[end] != 10:
            continue
        if _measure_line(written_N[start:end], own_LF[found]):
            number_L[found] = line
            found += 1
        line, start = line + 1, end + 1
    return number_L[:found], own_LF[:found].copy()


@numba.njit(cache=True)
def _measure_line(line_N, own_F):  # type: ignore[no-untyped-def]
    """Fill in the OWN features of a line; False where it holds only blanks."""
    first, last = 0, len(line_N) - 1
    while first <= last and line_N[first] <= 32:
        first += 1
    while last >= first and line_N[last] <= 32:
        last -= 1
    if last < first:
        return False
    words, capitals, digits, beyond, commas, ends, bars = 0, 0, 0, 0, 0, 0, 0
    marks, brackets, slashes, quotes, arrows, capital_words, tabs, longest, run = 0, 0, 0, 0, 0, 0, 0, 0, 0
    for i in range(first, last + 1):
        b = line_N[i]
        if b <= 32:
            tabs += b == 9
            run = 0
            continue
        opens = i == first or line_N[i - 1] <= 32
        words, run = words + opens, run + 1
        longest = max(longest, run)
        if 65 <= b <= 90:
            capitals += 1
            capital_words += opens
        elif 48 <= b <= 57:
            digits += 1
        elif b >= 128:
            beyond += 1
        elif b == 44:
            commas += 1
        elif b == 46 or b == 33 or b == 63:
            marks += 1
            ends += i == last or line_N[i + 1] <= 32
        elif b < 97 or b > 122:
            marks += 1
            bars += b == 124
            brackets += b == 40 or b == 41 or b == 91 or b == 93
            slashes += b == 47
            quotes += b == 34 or b == 39
            arrows += b == 62 or b == 60
    size, a, z = last + 1 - first, line_N[first], line_N[last]
    own_F[0], own_F[1], own_F[2] = size, words, (size - words + 1) / words
    own_F[3], own_F[4], own_F[5] = capitals / size, digits / size, beyond / size
    own_F[6], own_F[7], own_F[8], own_F[9] = commas / words, ends, bars, marks / size
    own_F[10], own_F[11], own_F[12], own_F[13] = brackets, slashes, quotes, arrows
    own_F[14], own_F[15] = z == 46 or z == 33 or z == 63, z == 58
    own_F[16] = size > 2 and ((z == 46 and line_N[last - 1] == 46) or (z == 0xA6 and line_N[last - 1] == 0x80))
    own_F[17], own_F[18], own_F[19] = 65 <= a <= 90, 97 <= a <= 122, 48 <= a <= 57
    own_F[20], own_F[21] = a < 48 or 58 <= a <= 64 or 91 <= a <= 96 or 123 <= a <= 127, capital_words / words
    own_F[22], own_F[23], own_F[24], own_F[25] = a == 35, a == 45 or a == 42, tabs, longest
    return True


@numba.njit(cache=True)
def _hash_words(lowered_N, number_L):  # type: ignore[no-untyped-def]
    """Buckets of the words, pairs of words and ends of each line, where each line's begin, and a hash of the line."""
    bucket_W = np.zeros(2 * len(lowered_N) + 3 * len(number_L) + 3, np.uint16)
    first_L, whole_L = np.zeros(len(number_L) + 1, np.int64), np.zeros(len(number_L), np.uint32)
    mask, filled, found, line = np.uint32(NUM_BUCKETS - 1), 0, 0, 0
    here, before, whole, in_word = OFFSET_BASIS, OFFSET_BASIS, OFFSET_BASIS, False
    for i in range(len(lowered_N) + 1):
        b = lowered_N[i] if i < len(lowered_N) else np.uint8(10)
        if b >= 128 or 97 <= b <= 122 or 48 <= b <= 57:
            here = (here ^ np.uint32(48 if b <= 57 else b)) * PRIME
            in_word = True
            continue
        if in_word:
            if filled == first_L[found]:
                bucket_W[filled] = ((here ^ np.uint32(1)) * PRIME) >> np.uint32(7) & mask  # as the first of its line
                filled += 1
            bucket_W[filled] = here >> np.uint32(7) & mask
            bucket_W[filled + 1] = ((before ^ here) * PRIME + before) >> np.uint32(7) & mask
            filled += 2
            whole = (whole ^ here) * PRIME
            before, here, in_word = here, OFFSET_BASIS, False
        if b > 32 and b != 44 and b != 46:
            whole = (whole ^ np.uint32(b)) * PRIME
        if b == 10:
            if found < len(number_L) and number_L[found] == line:
                bucket_W[filled] = whole >> np.uint32(7) & mask
                filled += 1
                whole_L[found] = whole
                found += 1
                first_L[found] = filled
            line, before, whole = line + 1, OFFSET_BASIS, OFFSET_BASIS
    return bucket_W[:filled].copy(), first_L, whole_L


def _place(own_LF: np.ndarray, number_L: np.ndarray, whole_L: np.ndarray) -> None:
    """Fill in the PLACE features: where each line stands, and how often."""
    num_lines = len(number_L)
    if not num_lines:
        return
    index = np.arange(num_lines)
    order = np.argsort(whole_L, kind="stable")  # copies side by side, in their order
    _, inverse, counts = np.unique(whole_L, return_inverse=True, return_counts=True)
    own_LF[:, NUM_OWN], own_LF[:, NUM_OWN + 1], own_LF[:, NUM_OWN + 2] = index, num_lines - 1 - index, num_lines
    own_LF[:, NUM_OWN + 3] = counts[inverse]
    own_LF[order, NUM_OWN + 4] = index - np.searchsorted(whole_L[order], whole_L[order])
    own_LF[1:, NUM_OWN + 5] = np.abs(np.diff(own_LF[:, 0]))
    own_LF[:, NUM_OWN + 6] = own_LF[:, 0].mean()
    own_LF[1:, NUM_OWN + 7] = np.diff(number_L) > 1


__all__ = ["NUM_BUCKETS", "Lines", "read_lines", "with_context"]

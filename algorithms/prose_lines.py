"""Lines of prose and their sentences: what C4 leaves of a page, and what FineWeb's rules count in that.

C4, Raffel et al. 2019, arXiv:1910.10683, 2.2, as datatrove reads it: a line of fewer than three words, with a word of
more than 1,000 characters, or that speaks of JavaScript or of a cookie policy is no prose. Sentences end as in spaCy's
sentencizer over its English tokens: at `.`, `!` and `?` that close a run of characters, but neither after the
abbreviations it knows nor after a single capital; every line begins one.

In: a text's code points and its tokens. Out: the counts `COUNTS`, into the row of that text.

Where we differ: brackets in code and in formulas are not counted; an ideograph is a word.
"""

from __future__ import annotations

from typing import Final

import numba
import numpy as np

from algorithms.code_points import IDEOGRAPH, LETTER, PUNCTUATION, SEED, SPACE, SYMBOL, add, class_of, contains, mix

COUNTS: Final = (
    "prose_lines",
    "stopped_lines",
    "quoted_lines",
    "short_lines",
    "prose_chars",
    "dup_prose_chars",
    "prose_tokens",
    "num_sentences",
    "num_curly",
)
LINES, STOPPED, QUOTED, SHORT, CHARS, DUP_CHARS, TOKENS, SENTENCES, CURLY = range(9)
SHORT_LINE_CHARS: Final = 30  # FineWeb 3.6
MIN_WORDS: Final = 3
MAX_WORD_CHARS: Final = 1000
STOPS: Final = ".!?。！？؟।۔‽⁇⁈⁉։"
QUOTES: Final = "\"'”’…»“"  # close a sentence as well: C4 2.2 and FineWeb as published; datatrove now reads stops alone
NOTICES: Final = (
    "javascript",
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)


def notice_points() -> np.ndarray:
    """The NOTICES as rows of code points, filled up with zeros."""
    rows = np.zeros((len(NOTICES), max(map(len, NOTICES)) + 1), np.int64)
    for row, notice in zip(rows, NOTICES):
        row[: len(notice)] = [ord(character) for character in notice]
    return rows


@numba.njit(cache=True)
def _is_notice(points, start, end, notices):  # type: ignore[no-untyped-def]
    """Whether one of `notices` stands at `start`, in whatever case."""
    for notice in range(len(notices)):
        i = 0
        while notices[notice, i] and start + i < end:
            point = points[start + i]
            if (point + 32 if 65 <= point <= 90 else point) != notices[notice, i]:
                break
            i += 1
        if notices[notice, i] == 0:
            return True
    return False


@numba.njit(cache=True)
def _closes(points, i, length, start, end, classes):  # type: ignore[no-untyped-def]
    """Whether the mark at `i`, a token of the line `start:end`, ends a sentence."""
    after = class_of(classes, points[i + length]) if i + length < end else SPACE
    before = class_of(classes, points[i - 1]) if i > start else SPACE
    last = after in (SPACE, PUNCTUATION)
    if points[i] != 46:
        return last or before == SPACE or points[i] > 127
    if length > 1 or before == SPACE:
        return length == 1 and last
    # What has letters after it stands between two sentences without a blank, as tokens of words go.
    return before != SYMBOL or points[i - 1] == 43


@numba.njit(cache=True)
def _is_prose(points, starts, lengths, first, last, classes, notices):  # type: ignore[no-untyped-def]
    """Whether the line of tokens `first:last` is one that C4 keeps."""
    words, word_start, end = 0, starts[first], starts[last - 1] + lengths[last - 1]
    for t in range(first, last):
        start, kind = starts[t], class_of(classes, points[starts[t]])
        if t == first or kind == IDEOGRAPH or class_of(classes, points[start - 1]) == SPACE:
            words, word_start = words + 1, start
        if start + lengths[t] - word_start > MAX_WORD_CHARS:
            return False
        # Notices begin with j, t, p, c or u.
        if kind == LETTER and points[start] < 128:
            letter = points[start] | 32
            if (letter == 106 or letter == 116 or letter == 112 or letter == 99 or letter == 117) and _is_notice(
                points, start, end, notices
            ):
                return False
    return words >= MIN_WORDS


@numba.njit(cache=True)
def _count_line(points, starts, lengths, first, last, classes, stops, fenced, out):  # type: ignore[no-untyped-def]
    """Sentences and curly brackets of a line of prose into `out`."""
    start, end = starts[first], starts[last - 1] + lengths[last - 1]
    out[SENTENCES] += 1
    stopped, inside = False, fenced
    for t in range(first, last):
        point, kind = points[starts[t]], class_of(classes, points[starts[t]])
        if kind < SYMBOL:
            out[SENTENCES] += stopped
            stopped = False
            continue
        if point == 96 or point == 36:  # `code` and $formula$
            inside = not inside
        elif point == 123 and not inside:
            out[CURLY] += lengths[t]
        if contains(stops, point):
            stopped |= _closes(points, starts[t], lengths[t], start, end, classes)
        elif kind == SYMBOL and stopped:
            out[SENTENCES] += 1
            stopped = False


@numba.njit(cache=True)
def count_prose(points, num_points, starts, lengths, count, tables, keys, stamps, stamp, mask, out):  # type: ignore[no-untyped-def]
    """The counts `COUNTS` of one text with `count` tokens into `out`; uses one stamp of the table."""
    classes, stops, quotes, notices = tables
    first, fenced = 0, False
    while first < count:
        last, end = first, starts[first]
        while end < num_points and points[end] != 10:
            end += 1
        while last < count and starts[last] < end:
            last += 1
        mark, run = points[starts[first]], lengths[first]
        if (mark == 96 and run >= 3) or (mark == 36 and run == 2 and last == first + 1):
            fenced = not fenced
        elif _is_prose(points, starts, lengths, first, last, classes, notices):
            _count_line(points, starts, lengths, first, last, classes, stops, fenced, out)
            start, end = starts[first], starts[last - 1] + lengths[last - 1]
            state = SEED
            for i in range(start, end):
                state = mix(state, points[i])
            out[LINES] += 1
            out[STOPPED] += contains(stops, points[end - 1])
            out[QUOTED] += contains(quotes, points[end - 1])
            out[SHORT] += end - start <= SHORT_LINE_CHARS
            out[CHARS] += end - start
            out[TOKENS] += last - first
            if add(keys, stamps, stamp, mask, state):
                out[DUP_CHARS] += end - start
        first = last


__all__ = ["COUNTS", "QUOTES", "STOPS", "count_prose", "notice_points"]

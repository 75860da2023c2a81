"""Pre-tokens of byte-level BPE, counted through a table: a text has as many tokens as its pre-tokens have together.

GPT-2, Radford et al. 2019, 2.2: before any merge text is cut by
`'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+`,
here with every digit (`\\p{N}`) cut off first, as SmolLM2 does. Words are few and come again (Zipf): nearly all
pre-tokens of a batch were counted before.

In: UTF-8 bytes. Out: tokens a text, and the pre-tokens not in the table. About 120 MB/s a core. Pre-tokens are told
apart by 64-bit hashes: among a million there are two alike with a chance of 3e-8.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Final

import numba
import numpy as np

SPACE, LETTER, NUMBER, OTHER, UNKNOWN = 0, 1, 2, 3, 4
# Unicode's White_Space, which Python's isspace() goes beyond.
WHITE_SPACE: Final = frozenset(
    [*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000]
)
NUM_CLASSED: Final = 0x20000
PRIME: Final = np.uint64(0x9E3779B97F4A7C15)
SEED: Final = np.uint64(0xCBF29CE484222325)
# Values of the table beside counts: a free place, and a pre-token whose tokens are still to be counted.
FREE, PENDING = -1, -2


@cache
def classes() -> np.ndarray:
    """Class of each code point below `NUM_CLASSED`. What this Python's Unicode does not know, a newer one may call a
    letter: UNKNOWN."""
    return np.array([_class(point) for point in range(NUM_CLASSED)], np.uint8)


def _class(point: int) -> int:
    if point in WHITE_SPACE:
        return SPACE
    category = unicodedata.category(chr(point))
    if category == "Cn":
        return UNKNOWN
    return {"L": LETTER, "N": NUMBER}.get(category[0], OTHER)


@numba.njit(cache=True, inline="always")
def _point(data, i):  # type: ignore[no-untyped-def]
    """Code point of valid UTF-8 at byte `i`, and the byte after it."""
    byte = np.int64(data[i])
    if byte < 0x80:
        return byte, i + 1
    if byte < 0xE0:
        return (byte & 0x1F) << 6 | (np.int64(data[i + 1]) & 0x3F), i + 2
    if byte < 0xF0:
        high = (byte & 0x0F) << 12 | (np.int64(data[i + 1]) & 0x3F) << 6
        return high | (np.int64(data[i + 2]) & 0x3F), i + 3
    high = (byte & 0x07) << 18 | (np.int64(data[i + 1]) & 0x3F) << 12 | (np.int64(data[i + 2]) & 0x3F) << 6
    return high | (np.int64(data[i + 3]) & 0x3F), i + 4


@numba.njit(cache=True, inline="always")
def _class_at(data, i, end, classes):  # type: ignore[no-untyped-def]
    """Class of the code point at byte `i` and the byte after it; past the end, NUMBER: pieces end there alike."""
    if i >= end:
        return NUMBER, i
    point, after = _point(data, i)
    return (np.int64(classes[point]) if point < NUM_CLASSED else UNKNOWN), after


@numba.njit(cache=True)
def _run(data, i, end, kind, classes):  # type: ignore[no-untyped-def]
    """The byte after the run of class `kind` at `i`."""
    while i < end:
        found, after = _class_at(data, i, end, classes)
        if found != kind:
            return i
        i = after
    return i


@numba.njit(cache=True)
def _contraction(data, i, end):  # type: ignore[no-untyped-def]
    """Bytes of `'s 't 'm 'd 're 've 'll` at the apostrophe `i`; 0 where there is none."""
    if i + 1 < end:
        first = data[i + 1]
        if first == 115 or first == 116 or first == 109 or first == 100:
            return 2
        if i + 2 < end:
            second = data[i + 2]
            if ((first == 114 or first == 118) and second == 101) or (first == 108 and second == 108):
                return 3
    return 0


@numba.njit(cache=True)
def next_pretoken(data, i, end, classes):  # type: ignore[no-untyped-def]
    """The byte after the pre-token at `i`, or -1 where a code point's class is unknown."""
    kind, after = _class_at(data, i, end, classes)
    if kind == NUMBER:
        return after
    if kind == SPACE:
        stop = _run(data, i, end, SPACE, classes)
        following, _ = _class_at(data, stop, end, classes)
        if following == NUMBER:  # `\s+(?!\S)` at the end of a piece
            return stop
        last = stop - 1
        while data[last] & 0xC0 == 0x80:
            last -= 1
        if last > i:  # the last blank is left to what follows
            return last
        if data[i] != 32:
            return stop
        kind, i = following, stop
    elif data[i] == 39:
        length = _contraction(data, i, end)
        if length:
            return i + length
    return -1 if kind == UNKNOWN else _run(data, i, end, kind, classes)


@numba.njit(cache=True, inline="always")
def _slot(keys, values, key):  # type: ignore[no-untyped-def]
    mask = len(keys) - 1
    position = np.int64(key >> np.uint64(20)) & mask
    while values[position] != FREE and keys[position] != key:
        position = (position + 1) & mask
    return position


@numba.njit(cache=True)
def put(keys, values, new_keys, new_values):  # type: ignore[no-untyped-def]
    """Enter the counts of pre-tokens into the table."""
    for n in range(len(new_keys)):
        position = _slot(keys, values, new_keys[n])
        keys[position], values[position] = new_keys[n], new_values[n]


@numba.njit(cache=True, nogil=True)
def count_known(data, ends_D, todo_D, classes, keys, values, counts_D, new_keys, new_spans):  # type: ignore[no-untyped-def]
    """Tokens of the texts `todo_D` into `counts_D`: -1 where a pre-token is not in the table yet, -2 where the class of
    a code point is unknown. New pre-tokens go, once each, with their bytes into `new_keys` and `new_spans`.

    Returns how many those are: as many as there is room for.
    """
    num_new = 0
    for d in range(len(ends_D) - 1):
        if not todo_D[d]:
            continue
        i, end, count, whole = ends_D[d], ends_D[d + 1], 0, True
        while i < end:
            stop = next_pretoken(data, i, end, classes)
            if stop < 0:
                break
            key = SEED
            for byte in range(i, stop):
                key = (key ^ np.uint64(data[byte])) * PRIME
                key ^= key >> np.uint64(29)
            position = _slot(keys, values, key)
            if values[position] >= 0:
                count += values[position]
            else:
                whole = False
                if values[position] == FREE and num_new < len(new_keys):
                    keys[position], values[position] = key, PENDING
                    new_keys[num_new], new_spans[num_new, 0], new_spans[num_new, 1] = key, i, stop
                    num_new += 1
            i = stop
        counts_D[d] = -2 if i < end else count if whole else -1
    return num_new


__all__ = ["FREE", "PRIME", "SEED", "classes", "count_known", "next_pretoken", "put"]

"""Code points of a batch of texts by class, and hashes and tables of them, for the compiled counts of other files.

In: UTF-8 bytes. Out: code points, their class, 64-bit hashes of runs of them, and whether a hash was seen before.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Final

import numba
import numpy as np

# Symbols and punctuation come last: `kind >= SYMBOL` is a mark.
SPACE, LETTER, DIGIT, IDEOGRAPH, SYMBOL, PUNCTUATION = 0, 1, 2, 3, 4, 5
PRIME: Final = np.uint64(0x9E3779B97F4A7C15)
SEED: Final = np.uint64(0xCBF29CE484222325)


@cache
def classes() -> np.ndarray:
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
    if category[0] == "N":
        return DIGIT
    return PUNCTUATION if category[0] == "P" else SYMBOL


@cache
def capitals() -> np.ndarray:
    """Whether each code point of the basic plane is a capital letter."""
    return np.array([unicodedata.category(chr(point)) in ("Lu", "Lt") for point in range(0x10000)], np.bool_)


def code_points(characters: str) -> np.ndarray:
    """The code points of `characters`, sorted."""
    return np.array(sorted(map(ord, characters)), np.int64)


def word_hashes(words: Sequence[str]) -> np.ndarray:
    """The hash of each word, as `mix` makes it of a token's code points."""
    return np.array([_hash_points(np.array([ord(c) for c in word], np.int64)) for word in words], np.uint64)


@numba.njit("uint64(uint64, int64)", cache=True, inline="always")
def mix(state: np.uint64, value: int) -> np.uint64:
    state = (state ^ np.uint64(value)) * PRIME
    return state ^ (state >> np.uint64(29))


@numba.njit("uint64(int64[:])", cache=True)
def _hash_points(points: np.ndarray) -> np.uint64:
    state = SEED
    for point in points:
        state = mix(state, point)
    return state


@numba.njit(cache=True, inline="always")
def contains(points: np.ndarray, point: int) -> bool:
    found = False
    for known in points:
        found = found or known == point
    return found


@numba.njit(cache=True, inline="always")
def slot(keys, stamps, stamp, mask, key):  # type: ignore[no-untyped-def]
    """Where `key` is or belongs in the open-addressing table; entries of an older stamp count as free."""
    position = np.int64(key >> np.uint64(20)) & mask
    while stamps[position] == stamp and keys[position] != key:
        position = (position + 1) & mask
    return position


@numba.njit(cache=True)
def add(keys, stamps, stamp, mask, key):  # type: ignore[no-untyped-def]
    """Whether `key` was seen under this stamp already; notes it."""
    position = slot(keys, stamps, stamp, mask, key)
    if stamps[position] == stamp:
        return True
    stamps[position], keys[position] = stamp, key
    return False


@numba.njit(cache=True)
def decode(data, start, end, points):  # type: ignore[no-untyped-def]
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
def class_of(classes, point):  # type: ignore[no-untyped-def]
    if point < 0x10000:
        return classes[point]
    # Above the basic plane: historic letters, pictographs, then ideographs.
    return LETTER if point < 0x1D000 else SYMBOL if point < 0x20000 else IDEOGRAPH


__all__ = [
    "DIGIT",
    "IDEOGRAPH",
    "LETTER",
    "PUNCTUATION",
    "SEED",
    "SPACE",
    "SYMBOL",
    "add",
    "capitals",
    "class_of",
    "classes",
    "code_points",
    "contains",
    "decode",
    "mix",
    "slot",
    "word_hashes",
]

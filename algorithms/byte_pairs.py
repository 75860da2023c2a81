"""Byte-pair encoding, compiled: how many tokens words have.

Sennrich et al. 2016, arXiv:1508.07909; over bytes: GPT-2, Radford et al. 2019, 2.2. A word begins as its bytes'
tokens; of its neighbouring pairs the one that was learnt first, leftmost among equals, becomes one token, until no
pair is known.

In: a tokenizer's vocabulary and merges; words as spans of bytes. Out: tokens a word. About 1 µs a word; a word costs
the square of its length, so that those above `MAX_BYTES` are not counted here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numba
import numpy as np

MAX_BYTES: Final = 128
NO_TOKEN: Final = -1
FREE: Final = -1


@dataclass(frozen=True)
class Merges:
    """`byte_V`: the token of each byte V, -1 where the vocabulary has none (it is left out of the word). A table of
    pairs, by open addressing over places P: `pair_P` holds `left << 32 | right` or -1, `rank_P` the order of learning,
    `token_P` the result."""

    byte_V: np.ndarray
    pair_P: np.ndarray
    rank_P: np.ndarray
    token_P: np.ndarray


def byte_characters() -> dict[str, int]:
    """GPT-2's printable character of each byte: the byte's own where that is printable, else one from U+0100 on."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {chr(256 + n): byte for n, byte in enumerate(hidden)}


def read_merges(vocabulary: Mapping[str, int], merges: Sequence[tuple[str, str]]) -> Merges:
    """The tables of a byte-level tokenizer's `merges`, first learnt first."""
    byte_V = np.full(256, NO_TOKEN, np.int64)
    for character, byte in byte_characters().items():
        byte_V[byte] = vocabulary.get(character, NO_TOKEN)
    pairs = np.array([vocabulary[left] << 32 | vocabulary[right] for left, right in merges], np.int64)
    tokens = np.array([vocabulary[left + right] for left, right in merges], np.int64)
    size = 1 << (3 * len(merges)).bit_length()
    made = Merges(byte_V, np.full(size, FREE, np.int64), np.empty(size, np.int64), np.empty(size, np.int64))
    _fill(pairs, tokens, made.pair_P, made.rank_P, made.token_P)
    return made


@numba.njit(cache=True, inline="always")
def _place(pair_P, pair):  # type: ignore[no-untyped-def]
    mask = len(pair_P) - 1
    position = np.int64((np.uint64(pair) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)) & mask
    while pair_P[position] != FREE and pair_P[position] != pair:
        position = (position + 1) & mask
    return position


@numba.njit(cache=True)
def _fill(pairs, tokens, pair_P, rank_P, token_P):  # type: ignore[no-untyped-def]
    for rank in range(len(pairs)):
        position = _place(pair_P, pairs[rank])
        if pair_P[position] == FREE:
            pair_P[position], rank_P[position], token_P[position] = pairs[rank], rank, tokens[rank]


@numba.njit(cache=True)
def merge(parts, places, count, pair_P, rank_P, token_P):  # type: ignore[no-untyped-def]
    """Merges the first `count` tokens of `parts` in place; returns how many are left. `places` is room as large."""
    for i in range(count - 1):
        places[i] = _place(pair_P, parts[i] << 32 | parts[i + 1])
    while count > 1:
        best, rank = -1, 0
        for i in range(count - 1):
            if pair_P[places[i]] != FREE and (best < 0 or rank_P[places[i]] < rank):
                best, rank = i, rank_P[places[i]]
        if best < 0:
            break
        parts[best] = token_P[places[best]]
        count -= 1
        for i in range(best + 1, count):
            parts[i], places[i] = parts[i + 1], places[i + 1]
        if best > 0:
            places[best - 1] = _place(pair_P, parts[best - 1] << 32 | parts[best])
        if best < count - 1:
            places[best] = _place(pair_P, parts[best] << 32 | parts[best + 1])
    return count


@numba.njit(cache=True, nogil=True)
def count_merged(data, spans, byte_V, pair_P, rank_P, token_P):  # type: ignore[no-untyped-def]
    """Tokens of each word `data[start:end]` of `spans`; -1 for those too long."""
    counts = np.empty(len(spans), np.int32)
    parts, places = np.empty(MAX_BYTES, np.int64), np.empty(MAX_BYTES, np.int64)
    for word in range(len(spans)):
        start, end = spans[word]
        if end - start > MAX_BYTES:
            counts[word] = -1
            continue
        count = 0
        for i in range(start, end):
            if byte_V[data[i]] != NO_TOKEN:
                parts[count] = byte_V[data[i]]
                count += 1
        counts[word] = merge(parts, places, count, pair_P, rank_P, token_P)
    return counts


__all__ = ["MAX_BYTES", "Merges", "byte_characters", "count_merged", "merge", "read_merges"]

"""Near-duplicates: MinHash with banding, each candidate verified against the very row kept.

Broder 1997, "On the resemblance and containment of documents" (doi:10.1109/SEQUEN.1997.666900): a document is the set
of its word 5-grams; the Jaccard coefficient J(A, B) = |A & B| / |A | B| is estimated from the smallest hashes.

    Pr[min h(A) = min h(B)] = J                     for a random hash h
    Pr[A, B share a band]   = 1 - (1 - J^r)^b       b bands of r rows (14 x 8 as in FineWeb, arXiv:2406.17557)

    a, b     multiplier and addend of each of the b * r hashes   x -> a x + b mod 2^32
    sketch   the SKETCH_SIZE smallest shingle hashes (bottom-k): all of them for a document of fewer, so that its J is
             exact up to 32-bit collisions; above that the error of J is below sqrt(J (1 - J) / SKETCH_SIZE) = .0125

Where we differ: bands only propose. A row goes only if its J with one row that is kept reaches the threshold, so a
chain of small steps never joins distant texts: rows are taken in order of preference, and kept when no row kept before
is near (`nearest_kept`). In: texts, then candidate pairs. Out: fingerprints, then for each row to drop the row kept
in its place and J.
Words are `\\w+` of the lower-cased text; a text of fewer than 5 words is one shingle, one without words has none.
Costs 112 bytes and at most 4 kB a document.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numba
import numpy as np
import polars as pl
import pyarrow as pa

NUM_BANDS: Final = 14
ROWS_PER_BAND: Final = 8
NUM_HASHES: Final = NUM_BANDS * ROWS_PER_BAND
SHINGLE_WORDS: Final = 5
SKETCH_SIZE: Final = 1024
SEED: Final = 20240625
FINGERPRINT: Final = pl.Schema([("text_hash", pl.String), ("bands", pl.List(pl.Int64)), ("sketch", pl.Binary())])
FNV_BASIS, FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
ROLL: Final = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Sketches:
    """Sketches end to end: that of position p is `hashes[starts[p] : starts[p] + lengths[p]]`."""

    hashes: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray


def fingerprints(texts: pl.Series) -> pl.DataFrame:
    """Of each text the hash of its words, bands (14 hashes; none where it has no words) and sketch (sorted uint32).

    `text_hash` is 128 bits as 32 hex digits: equal where the words are, whatever stands between them. A text without
    words is hashed as it stands.
    """
    array = texts.fill_null("").str.to_lowercase().rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = array.buffers()
    ends_D = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    bytes_B = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8)
    bands_DB = np.zeros((len(array), NUM_BANDS), np.int64)
    # A word and the blank behind it take two bytes: no text has more shingles than half its bytes.
    room = int(np.minimum(np.diff(ends_D) // 2 + 1, SKETCH_SIZE).sum())
    sketch_K, sketch_ends_D = np.empty(room, np.uint32), np.zeros(len(array) + 1, np.int64)
    texts_D2 = np.empty((len(array), 2), np.uint64)
    _fingerprints(bytes_B, ends_D, _is_word(), *_coefficients(), texts_D2, bands_DB, sketch_K, sketch_ends_D)
    sketches = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(array), [None, pa.py_buffer(sketch_ends_D * 4), pa.py_buffer(sketch_K)]
    )
    digits = texts_D2.astype(">u8").tobytes().hex()
    text_hash = pl.Series("text_hash", [digits[i : i + 32] for i in range(0, len(digits), 32)], dtype=pl.String)
    bands = pl.Series("bands", bands_DB, dtype=pl.Array(pl.Int64, NUM_BANDS)).cast(pl.List(pl.Int64))
    sketch = pl.Series("sketch", sketches)
    empty = sketch.bin.size() == 0
    return pl.DataFrame([text_hash, bands, sketch]).with_columns(
        pl.when(empty).then(pl.lit([], pl.List(pl.Int64))).otherwise(pl.col("bands")).alias("bands")
    )


def nearest_kept(
    pairs: np.ndarray, sketches: Sketches, kept: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of candidate pairs the rows to drop, in order: each beside the most similar row kept before it, and their J.

    Args:
        pairs: `later << 32 | earlier`, positions in the order of preference; sorted and distinct.
        sketches: of every position in `pairs`.
        kept: for each position whether it is kept so far; set to False where a row is dropped.
        threshold: the least J at which a row goes. Of equally near rows the earlier is named.
    """
    return _nearest_kept(pairs, sketches.hashes, sketches.starts, sketches.lengths, kept, threshold)


def sketch_hashes(sketches: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """The uint32 hashes of all sketches of a column end to end, and how many each has."""
    array = sketches.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = array.buffers()
    ends = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1] // 4
    hashes = np.frombuffer(data, np.uint32, count=data.size // 4) if data is not None else np.zeros(0, np.uint32)
    return hashes[ends[0] : ends[-1]], np.diff(ends)


@cache
def _is_word() -> np.ndarray:
    """Whether each code point matches `\\w`."""
    return np.array([(c := chr(point)).isalnum() or c == "_" for point in range(0x110000)], np.bool_)


@cache
def _coefficients() -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(SEED)
    multipliers = draw.integers(0, 1 << 32, NUM_HASHES, np.uint32) | np.uint32(1)
    return multipliers, draw.integers(0, 1 << 32, NUM_HASHES, np.uint32)


@numba.njit(cache=True, inline="always")
def _finish(state):  # type: ignore[no-untyped-def]
    """Spread a 64-bit state over all its bits (the finaliser of MurmurHash3)."""
    state = (state ^ (state >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    state = (state ^ (state >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return state ^ (state >> np.uint64(33))


@numba.njit(cache=True)
def _words(data, start, end, is_word, hashes):  # type: ignore[no-untyped-def]
    """Hashes of the words of the UTF-8 text `data[start:end]`; how many."""
    count, i, state, inside = 0, start, FNV_BASIS, False
    while i < end:
        byte = np.int64(data[i])
        if byte < 0x80:
            point, width = byte, 1
        elif byte < 0xE0:
            point, width = (byte & 0x1F) << 6 | (np.int64(data[i + 1]) & 0x3F), 2
        elif byte < 0xF0:
            point = (byte & 0x0F) << 12 | (np.int64(data[i + 1]) & 0x3F) << 6 | (np.int64(data[i + 2]) & 0x3F)
            width = 3
        else:
            point = (byte & 0x07) << 18 | (np.int64(data[i + 1]) & 0x3F) << 12
            point |= (np.int64(data[i + 2]) & 0x3F) << 6 | (np.int64(data[i + 3]) & 0x3F)
            width = 4
        if is_word[point]:
            state, inside = (state ^ np.uint64(point)) * FNV_PRIME, True
        elif inside:
            hashes[count] = _finish(state)
            count, state, inside = count + 1, FNV_BASIS, False
        i += width
    if inside:
        hashes[count] = _finish(state)
        count += 1
    return count


@numba.njit(cache=True)
def _shingles(hashes, count, out):  # type: ignore[no-untyped-def]
    """The distinct 32-bit hashes of all word 5-grams, sorted, into `out`; how many."""
    size = min(count, SHINGLE_WORDS)
    total = count - size + 1 if count else 0
    for first in range(total):
        state = np.uint64(size)
        for word in range(first, first + size):
            state = state * ROLL + hashes[word]
        out[first] = np.uint32(_finish(state) >> np.uint64(32))
    ordered = np.sort(out[:total])
    distinct = 0
    for i in range(total):
        if i == 0 or ordered[i] != ordered[i - 1]:
            out[distinct] = ordered[i]
            distinct += 1
    return distinct


@numba.njit(cache=True)
def _hash_all(values, out):  # type: ignore[no-untyped-def]
    """128 bits of a sequence into `out`: two states that mix each value in different ways."""
    left, right = FNV_BASIS, np.uint64(len(values))
    for value in values:
        left = (left ^ np.uint64(value)) * FNV_PRIME
        left ^= left >> np.uint64(29)
        right = _finish(right + np.uint64(value)) * ROLL
    out[0], out[1] = _finish(left), _finish(right)


@numba.njit(cache=True)
def _signature(shingles, multipliers, addends, signature):  # type: ignore[no-untyped-def]
    """The smallest value of each hash over the shingles into `signature`."""
    signature[:] = np.uint32(0xFFFFFFFF)
    for shingle in shingles:
        for k in range(NUM_HASHES):
            value = np.uint32(multipliers[k] * shingle + addends[k])
            signature[k] = min(signature[k], value)


@numba.njit(cache=True, nogil=True)
def _fingerprints(data, ends_D, is_word, multipliers, addends, texts_D2, bands_DB, sketch_K, sketch_ends_D):  # type: ignore[no-untyped-def]
    longest = 1
    for d in range(len(ends_D) - 1):
        longest = max(longest, (ends_D[d + 1] - ends_D[d]) // 2 + 1)
    hashes, shingles = np.empty(longest, np.uint64), np.empty(longest, np.uint32)
    signature = np.empty(NUM_HASHES, np.uint32)
    end = 0
    for d in range(len(ends_D) - 1):
        count = _words(data, ends_D[d], ends_D[d + 1], is_word, hashes)
        _hash_all(hashes[:count], texts_D2[d])
        if not count:
            _hash_all(data[ends_D[d] : ends_D[d + 1]], texts_D2[d])
        distinct = _shingles(hashes, count, shingles)
        _signature(shingles[:distinct], multipliers, addends, signature)
        for band in range(NUM_BANDS):
            state = np.uint64(band)
            for row in range(band * ROWS_PER_BAND, (band + 1) * ROWS_PER_BAND):
                state = _finish(state * ROLL + np.uint64(signature[row]))
            bands_DB[d, band] = np.int64(state)
        for i in range(min(distinct, SKETCH_SIZE)):
            sketch_K[end] = shingles[i]
            end += 1
        sketch_ends_D[d + 1] = end


@numba.njit(cache=True)
def _jaccard(left, right):  # type: ignore[no-untyped-def]
    """J of two sketches: exact where both are whole, else over the hashes up to the end of the shorter-sighted one."""
    i = j = both = either = 0
    whole_left, whole_right = len(left) < SKETCH_SIZE, len(right) < SKETCH_SIZE
    while (i < len(left) or whole_left) and (j < len(right) or whole_right):
        if i == len(left) and j == len(right):
            break
        if j == len(right) or (i < len(left) and left[i] < right[j]):
            i += 1
        elif i == len(left) or right[j] < left[i]:
            j += 1
        else:
            i, j, both = i + 1, j + 1, both + 1
        either += 1
    return both / either


@numba.njit(cache=True, nogil=True)
def _nearest_kept(pairs, hashes, starts, lengths, kept, threshold):  # type: ignore[no-untyped-def]
    dropped = np.empty(len(pairs), np.int64)
    kept_for = np.empty(len(pairs), np.int64)
    similarities = np.empty(len(pairs), np.float64)
    count = i = 0
    while i < len(pairs):
        later, best, nearest = pairs[i] >> 32, 0.0, -1
        mine = hashes[starts[later] : starts[later] + lengths[later]]
        while i < len(pairs) and pairs[i] >> 32 == later:
            earlier = pairs[i] & 0xFFFFFFFF
            i += 1
            if kept[earlier] and _may_reach(len(mine), lengths[earlier], threshold):
                similarity = _jaccard(mine, hashes[starts[earlier] : starts[earlier] + lengths[earlier]])
                if similarity >= threshold and similarity > best:
                    best, nearest = similarity, earlier
        if nearest >= 0:
            kept[later] = False
            dropped[count], kept_for[count], similarities[count] = later, nearest, best
            count += 1
    return dropped[:count], kept_for[:count], similarities[:count]


@numba.njit(cache=True, inline="always")
def _may_reach(left, right, threshold):  # type: ignore[no-untyped-def]
    """Whether sketches of these lengths can have that J: two whole sets are at most min / max alike."""
    whole = left < SKETCH_SIZE and right < SKETCH_SIZE
    return not whole or min(left, right) >= threshold * max(left, right)


__all__ = ["FINGERPRINT", "SKETCH_SIZE", "Sketches", "fingerprints", "nearest_kept", "sketch_hashes"]

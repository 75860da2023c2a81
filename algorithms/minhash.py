"""Near-duplicates: MinHash with banding, each candidate verified against the very row kept.

Broder 1997, "On the resemblance and containment of documents" (doi:10.1109/SEQUEN.1997.666900): a document is the set
of its word 5-grams; the Jaccard coefficient J(A, B) = |A & B| / |A | B| is estimated from the smallest hashes.

    Pr[min h(A) = min h(B)] = J                     for a random hash h
    Pr[A, B share a band]   = 1 - (1 - J^r)^b       b bands of r rows (14 x 8 as in FineWeb, arXiv:2406.17557)

    a, b     multiplier and addend of each of the b * r hashes   x -> a x + b mod 2^32
    sketch   the SKETCH_SIZE smallest shingle hashes (bottom-k): all of them for a document of fewer, so that its J is
             exact up to 32-bit collisions; above that the error of J is below sqrt(J (1 - J) / SKETCH_SIZE) = .0125

Where we differ: bands only propose. A row goes only if its J with one row that is kept reaches the threshold, so a
chain of small steps never joins distant texts: rows are taken in the order given, and kept when no row kept before
is near. In: texts, then their fingerprints. Out: for each row the row kept in its place and J.
Words are `\\w+` of the lower-cased text; a text of fewer than 5 words is one shingle, one without words has none.
Costs 112 bytes and at most 4 kB a document.
"""

from __future__ import annotations

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
MAX_CHECKED: Final = 1000  # candidates verified for one row: keeps templates by the million from going quadratic
SEED: Final = 20240625
FINGERPRINT: Final = pl.Schema([("bands", pl.List(pl.Int64)), ("sketch", pl.Binary())])
FNV_BASIS, FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
ROLL: Final = np.uint64(0x9E3779B97F4A7C15)


def fingerprints(texts: pl.Series) -> pl.DataFrame:
    """Bands (14 hashes; none for a text without words) and sketch (sorted uint32, as bytes) of each text."""
    array = texts.fill_null("").str.to_lowercase().rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = array.buffers()
    ends_D = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    bytes_B = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8)
    bands_DB = np.zeros((len(array), NUM_BANDS), np.int64)
    # A word and the blank behind it take two bytes: no text has more shingles than half its bytes.
    room = int(np.minimum(np.diff(ends_D) // 2 + 1, SKETCH_SIZE).sum())
    sketch_K, sketch_ends_D = np.empty(room, np.uint32), np.zeros(len(array) + 1, np.int64)
    _fingerprints(bytes_B, ends_D, _is_word(), *_coefficients(), bands_DB, sketch_K, sketch_ends_D)
    sketches = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(array), [None, pa.py_buffer(sketch_ends_D * 4), pa.py_buffer(sketch_K)]
    )
    bands = pl.Series("bands", bands_DB, dtype=pl.Array(pl.Int64, NUM_BANDS)).cast(pl.List(pl.Int64))
    sketch = pl.Series("sketch", sketches)
    empty = sketch.bin.size() == 0
    return pl.DataFrame([bands, sketch]).with_columns(
        pl.when(empty).then(pl.lit([], pl.List(pl.Int64))).otherwise(pl.col("bands")).alias("bands")
    )


def near_duplicates(rows: pl.DataFrame, threshold: float, num_known: int = 0) -> pl.DataFrame:
    """Which of `rows` (columns of FINGERPRINT, in order of preference) have a near-duplicate kept before them.

    The first `num_known` rows are kept whatever they hold: what a lake already has. Out: `row`, `kept_row`
    (positions) and `similarity` for each row to drop; `kept_row` is the most similar of those kept, at least
    `threshold`. Rows without words are never dropped.
    """
    has_bands = rows["bands"].list.len() > 0
    place = np.flatnonzero(has_bands.to_numpy())
    chosen = rows.filter(has_bands)
    bands_DB = chosen["bands"].list.to_array(NUM_BANDS).to_numpy().reshape(-1, NUM_BANDS)
    buckets_DB = np.empty(bands_DB.shape, np.int64)
    num_buckets = 0
    for band in range(NUM_BANDS):
        _, buckets_DB[:, band] = np.unique(bands_DB[:, band], return_inverse=True)
        buckets_DB[:, band] += num_buckets
        num_buckets = int(buckets_DB[:, band].max(initial=num_buckets - 1)) + 1
    array = chosen["sketch"].rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = array.buffers()
    ends_D = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1] // 4
    sketch_K = np.frombuffer(data, np.uint32, count=data.size // 4) if data is not None else np.zeros(0, np.uint32)
    known = int(np.searchsorted(place, num_known))
    kept_D, similarity_D = _nearest_kept(buckets_DB, num_buckets, sketch_K, ends_D, threshold, known)
    dropped = np.flatnonzero(kept_D >= 0)
    return pl.DataFrame(
        {"row": place[dropped], "kept_row": place[kept_D[dropped]], "similarity": similarity_D[dropped]},
        schema={"row": pl.Int64, "kept_row": pl.Int64, "similarity": pl.Float64},
    )


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
def _signature(shingles, multipliers, addends, signature):  # type: ignore[no-untyped-def]
    """The smallest value of each hash over the shingles into `signature`."""
    signature[:] = np.uint32(0xFFFFFFFF)
    for shingle in shingles:
        for k in range(NUM_HASHES):
            value = np.uint32(multipliers[k] * shingle + addends[k])
            signature[k] = min(signature[k], value)


@numba.njit(cache=True, nogil=True)
def _fingerprints(data, ends_D, is_word, multipliers, addends, bands_DB, sketch_K, sketch_ends_D):  # type: ignore[no-untyped-def]
    longest = 1
    for d in range(len(ends_D) - 1):
        longest = max(longest, (ends_D[d + 1] - ends_D[d]) // 2 + 1)
    hashes, shingles = np.empty(longest, np.uint64), np.empty(longest, np.uint32)
    signature = np.empty(NUM_HASHES, np.uint32)
    end = 0
    for d in range(len(ends_D) - 1):
        count = _words(data, ends_D[d], ends_D[d + 1], is_word, hashes)
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


@numba.njit(cache=True)
def _nearest_kept(buckets_DB, num_buckets, sketch_K, ends_D, threshold, num_known):  # type: ignore[no-untyped-def]
    """For each row the most similar row kept before it (-1: none near enough, so it is kept) and that J."""
    num_rows = len(buckets_DB)
    kept_D, similarity_D = np.full(num_rows, -1, np.int64), np.zeros(num_rows)
    newest = np.full(num_buckets, -1, np.int32)  # of each bucket: the last row kept
    older_DB = np.full((num_rows, NUM_BANDS), -1, np.int32)  # of each kept row and band: the one before it
    checked_for = np.full(num_rows, -1, np.int32)
    for d in range(num_rows):
        num_checked = 0
        for band in range(NUM_BANDS) if d >= num_known else range(0):
            other = newest[buckets_DB[d, band]]
            while other >= 0 and num_checked < MAX_CHECKED:
                if checked_for[other] != d:
                    checked_for[other] = d
                    num_checked += 1
                    mine, theirs = sketch_K[ends_D[d] : ends_D[d + 1]], sketch_K[ends_D[other] : ends_D[other + 1]]
                    similarity = _jaccard(mine, theirs)
                    # Of equally near rows the earlier: the outcome must not hang on the order of buckets.
                    nearer = similarity > similarity_D[d] or (similarity == similarity_D[d] and other < kept_D[d])
                    if similarity >= threshold and nearer:
                        kept_D[d], similarity_D[d] = other, similarity
                other = older_DB[other, band]
        if kept_D[d] < 0:
            for band in range(NUM_BANDS):
                bucket = buckets_DB[d, band]
                older_DB[d, band], newest[bucket] = newest[bucket], d
    return kept_D, similarity_D


__all__ = ["FINGERPRINT", "MAX_CHECKED", "SKETCH_SIZE", "fingerprints", "near_duplicates"]

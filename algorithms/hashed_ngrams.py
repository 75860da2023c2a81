"""Hashed word n-grams and character statistics with a linear model on top: a text scorer that costs microseconds.

Papers: feature hashing, https://arxiv.org/abs/0902.2206; bags of word n-grams, https://arxiv.org/abs/1607.01759.

    score(d) = b + sum_{h in H(d)} w_h / sqrt(|H(d)|) + sum_k v_k * x_dk

    H(d)   set of hashes of the words and word pairs of d, each counted once
    x_dk   character statistics (DENSE), standardised by mean_k, scale_k and clipped to +-3
    w, v   ridge: argmin |y - Xw|^2 + ridge * |w|^2, by LSQR, for n-grams and statistics together

Where we differ: presence instead of counts (a page that repeats itself gains nothing); every punctuation mark is a
word (", ." patterns tell prose from menus); digits are all 0; a code point of a script without spaces is a word.
White space is never looked at beyond splitting words: layout is the extractor's, not the author's.

In: a Polars String series. Out: a sparse matrix, a `Linear`, or a Float64 series. About 20 us a document of 2 kB on
one core; memory is one batch's Arrow buffers. Deterministic: no random numbers, no threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numba
import numpy as np
import polars as pl
from scipy import sparse

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
# Columns of a design matrix: the buckets, then the statistics, then the constant.
NUM_COLUMNS: Final = BUCKETS + len(DENSE) + 1
# A statistic weighs as much in the penalty as this many of an average document's n-grams: they are few and dense.
DENSE_WEIGHT: Final = 0.3
# A constant this large is practically free of the penalty.
CONSTANT: Final = 10.0
CLIP: Final = 3.0


@dataclass(frozen=True, slots=True)
class Linear:
    """A fitted model: `ngrams` float32[BUCKETS]; `dense`, `mean`, `scale` float64[len(DENSE)]; `constant`."""

    ngrams: np.ndarray
    dense: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    constant: float


@dataclass(frozen=True, slots=True)
class Features:
    """Of N texts: `ngrams` CSR [N, BUCKETS] with rows of length 1, `dense` [N, len(DENSE)] as measured."""

    ngrams: sparse.csr_matrix
    dense: np.ndarray


def features(texts: pl.Series, max_bytes: int) -> Features:
    """The n-grams and statistics of the first `max_bytes` UTF-8 bytes of each text; null counts as empty."""
    data, offsets = _buffers(texts)
    # Each character begins at most one word and one pair.
    spans = np.minimum(np.diff(offsets), max_bytes)
    hashes = np.empty(int(2 * spans.sum()) + 1, dtype=np.int32)
    starts, dense = _features(data, offsets, max_bytes, hashes)
    counts = np.diff(starts)
    values = np.repeat(1.0 / np.sqrt(np.maximum(counts, 1)), counts)
    matrix = sparse.csr_matrix((values, hashes[: starts[-1]], starts), shape=(len(texts), BUCKETS))
    return Features(matrix, dense)


def fit(found: Features, target: np.ndarray, ridge: float) -> Linear:
    """The ridge regression of `target` [N] on `found`.

    Raises:
        ValueError: no rows, or `target` has another length or values that are not finite.
    """
    if len(target) == 0 or len(target) != found.dense.shape[0] or not np.isfinite(target).all():
        raise ValueError(f"{found.dense.shape[0]} texts need as many finite targets, got {len(target)}")
    mean = found.dense.mean(axis=0)
    scale = np.maximum(found.dense.std(axis=0), 1e-6)
    solution = _solve(_design(found, mean, scale), target, ridge)
    return Linear(
        ngrams=solution[:BUCKETS].astype(np.float32),
        dense=solution[BUCKETS:-1] * DENSE_WEIGHT,
        mean=mean,
        scale=scale,
        constant=float(solution[-1] * CONSTANT),
    )


def predict(model: Linear, texts: pl.Series, max_bytes: int) -> pl.Series:
    """The model's value of each text (Float64), in one pass without a matrix."""
    data, offsets = _buffers(texts)
    values = _predict(data, offsets, max_bytes, model.ngrams, model.dense, model.mean, model.scale, model.constant)
    return pl.Series(texts.name, values, dtype=pl.Float64)


def predict_features(model: Linear, found: Features) -> np.ndarray:
    """The same values as `predict`, from features at hand [N]."""
    dense = np.clip((found.dense - model.mean) / model.scale, -CLIP, CLIP)
    return np.asarray(found.ngrams @ model.ngrams + dense @ model.dense + model.constant)


def _design(found: Features, mean: np.ndarray, scale: np.ndarray) -> sparse.csr_matrix:
    """All columns side by side, scaled so that one penalty serves them all [N, NUM_COLUMNS]."""
    dense = np.clip((found.dense - mean) / scale, -CLIP, CLIP) * DENSE_WEIGHT
    constant = np.full((dense.shape[0], 1), CONSTANT)
    return sparse.hstack([found.ngrams, sparse.csr_matrix(np.hstack([dense, constant]))], format="csr")


def _solve(design: sparse.csr_matrix, target: np.ndarray, ridge: float) -> np.ndarray:
    from scipy.sparse.linalg import lsqr

    # A column without an entry has weight 0; most buckets have none, so they are left out of the iterations' vectors.
    used = np.unique(design.indices)
    solution = np.zeros(design.shape[1])
    solution[used] = lsqr(design[:, used], target, damp=float(np.sqrt(ridge)), atol=1e-8, btol=1e-8, iter_lim=200)[0]
    return solution


def _buffers(texts: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """The UTF-8 bytes of all texts and the N+1 offsets into them; one copy."""
    array = texts.cast(pl.String).fill_null("").rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = array.buffers()
    offsets_N1 = np.frombuffer(offsets, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    return np.frombuffer(data or b"", dtype=np.uint8), offsets_N1


# Classes of code points.
SPACE, LETTER, UPPER, DIGIT, PUNCTUATION, SYMBOL, UNSPACED = range(7)


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
def _mix(value: np.uint64) -> np.uint64:
    """MurmurHash3's 64-bit finaliser."""
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xFF51AFD7ED558CCD)
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xC4CEB9FE1A85EC53)
    return value ^ (value >> np.uint64(33))


@numba.njit(cache=True)
def _one(
    data: np.ndarray,
    start: int,
    end: int,
    stamp: np.ndarray,
    mark: int,
    hashes: np.ndarray,
    at: int,
    dense: np.ndarray,
) -> int:
    """Writes one text's distinct hashes to `hashes[at:]` and its statistics to `dense`; returns the next `at`.

    `stamp[h] == mark` says that bucket h was seen in this text already.
    """
    shift = np.uint64(64 - BITS)
    counts = np.zeros(7, dtype=np.int64)
    words = letters = capitalised = short = long = commas = sentences = distinct = 0
    previous = np.uint64(0)
    i = start
    while i < end:
        point, after = _decode(data, i, end)
        kind, folded = _classify(point)
        if kind == SPACE:
            i = after
            continue
        counts[kind] += 1
        value = (np.uint64(0xCBF29CE484222325) ^ np.uint64(folded)) * np.uint64(0x100000001B3)
        is_word = kind in (LETTER, UPPER, DIGIT)
        if is_word:
            first, length = kind, 1
            while after < end:
                point, then = _decode(data, after, end)
                kind, folded = _classify(point)
                if kind not in (LETTER, UPPER, DIGIT):
                    break
                counts[kind] += 1
                length += 1
                value = (value ^ np.uint64(folded)) * np.uint64(0x100000001B3)
                after = then
            words += 1
            letters += length
            capitalised += first == UPPER
            short += length <= 3
            long += length >= 8
        elif kind == UNSPACED:
            words += 1
            letters += 1
        elif point == 0x2C or point == 0x3001 or point == 0xFF0C or point == 0x60C:
            commas += 1
        elif point in (0x2E, 0x21, 0x3F, 0x3002, 0xFF01, 0xFF1F):
            sentences += 1
        word = _mix(value)
        bucket = np.int64(word >> shift)
        if stamp[bucket] != mark:
            stamp[bucket] = mark
            hashes[at] = bucket
            at += 1
            distinct += is_word or kind == UNSPACED
        pair = np.int64(_mix(previous * np.uint64(0x9E3779B97F4A7C15) + word) >> shift)
        if stamp[pair] != mark:
            stamp[pair] = mark
            hashes[at] = pair
            at += 1
        previous = word
        i = after
    shown = max(counts.sum(), 1)
    num_words = max(words, 1)
    dense[0] = letters / num_words
    dense[1] = counts[UPPER] / shown
    dense[2] = counts[DIGIT] / shown
    dense[3] = counts[PUNCTUATION] / shown
    dense[4] = counts[SYMBOL] / shown
    dense[5] = counts[UNSPACED] / shown
    dense[6] = capitalised / num_words
    dense[7] = short / num_words
    dense[8] = long / num_words
    dense[9] = commas / num_words
    dense[10] = np.log(num_words / (sentences + 1.0))
    dense[11] = distinct / num_words
    return at


@numba.njit(cache=True, nogil=True)
def _features(
    data: np.ndarray, offsets: np.ndarray, max_bytes: int, hashes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    num = len(offsets) - 1
    starts = np.zeros(num + 1, dtype=np.int64)
    dense = np.zeros((num, 12), dtype=np.float64)
    stamp = np.full(BUCKETS, -1, dtype=np.int32)
    for n in range(num):
        end = min(offsets[n + 1], offsets[n] + max_bytes)
        starts[n + 1] = _one(data, offsets[n], end, stamp, n, hashes, starts[n], dense[n])
    return starts, dense


@numba.njit(cache=True, nogil=True)
def _predict(
    data: np.ndarray,
    offsets: np.ndarray,
    max_bytes: int,
    ngrams: np.ndarray,
    weights: np.ndarray,
    mean: np.ndarray,
    scale: np.ndarray,
    constant: float,
) -> np.ndarray:
    num = len(offsets) - 1
    values = np.empty(num, dtype=np.float64)
    dense = np.empty(len(weights), dtype=np.float64)
    stamp = np.full(BUCKETS, -1, dtype=np.int32)
    hashes = np.empty(2 * max_bytes + 1, dtype=np.int32)
    for n in range(num):
        end = min(offsets[n + 1], offsets[n] + max_bytes)
        count = _one(data, offsets[n], end, stamp, n, hashes, 0, dense)
        total = 0.0
        for i in range(count):
            total += ngrams[hashes[i]]
        value = constant + total / np.sqrt(max(count, 1))
        for k in range(len(weights)):
            value += weights[k] * min(max((dense[k] - mean[k]) / scale[k], -CLIP), CLIP)
        values[n] = value
    return values

"""Hashed word n-grams, word shapes and character statistics with linear models on top: scores for microseconds.

Papers: feature hashing, https://arxiv.org/abs/0902.2206; bags of word n-grams, https://arxiv.org/abs/1607.01759; square
roots of shares (Hellinger kernel), Arandjelovic and Zisserman, CVPR 2012.

    score_m(d) = b_m + sum_{h in H(d)} w_hm / sqrt(|H(d)|) + sum_s u_sm * sqrt(share_ds) + f_m * full_d
                 + sum_k v_km * x_dk

    H(d)      set of hashes of the words and word pairs of d, each counted once
    share_ds  share of the neighbouring tokens of d whose shapes are the pair s: a short word before a long one, a word
              before a comma, a capitalised word at the end of the text ... (11 x 11 pairs, language left aside)
    full_d    log(1 + min(words of d, 32)) / log(33): 1 for a window of text, less for a line
    x_dk      character statistics (DENSE), standardised by mean_k, scale_k and clipped to +-3
    m         output: one hashing pass gives the values of all models
    w, u, f, v   ridge: argmin sum_i c_i (y_i - X_i beta)^2 + ridge * |beta|^2, by LSQR, for all kinds together

Where we differ: presence instead of counts (a page that repeats itself gains nothing); every punctuation mark is a
word (", ." patterns tell prose from menus); digits are all 0; a code point of a script without spaces is a word.
White space is never looked at beyond splitting words: layout is the extractor's, not the author's.

A model learns from windows and is applied to windows of the same size: a long text has more n-grams and other
statistics than a short one, and a model that never saw them judges its length instead of its words.

In: a Polars String series. Out: a sparse design, a `Linear`, or values [N, M]. About 10 us a kB on one core; memory is
one batch's Arrow buffers. Deterministic: no random numbers, no threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numba
import numpy as np
import polars as pl
from scipy import sparse

from algorithms.hashed_text import BUCKETS, DENSE, FULLNESS, SHAPES, STATISTICS, read

# Columns of a design matrix: the buckets, the shapes, the statistics, the constant.
NUM_COLUMNS: Final = BUCKETS + SHAPES + STATISTICS + 1
# The design's column of the fullness.
FULL_COLUMN: Final = BUCKETS + FULLNESS
# Scale of a standardised statistic beside rows of n-grams and of shapes, both of length 1. Of .03 to 1, .1 had the best
# cross-validated Spearman (.66; 1: .60) on 150 ratings of eleven corpora.
DENSE_WEIGHT: Final = 0.1
# A constant this large is practically free of the penalty.
CONSTANT: Final = 10.0
CLIP: Final = 3.0


@dataclass(frozen=True, slots=True)
class Standard:
    """Mean and spread of the statistics that models were learnt with, both float64[len(DENSE)]."""

    mean: np.ndarray
    scale: np.ndarray


@dataclass(frozen=True, slots=True)
class Linear:
    """M fitted models: `ngrams` float32[BUCKETS, M]; `shapes` [SHAPES, M], `dense` [len(DENSE), M], `constant` [M],
    float64; `standard` of the statistics."""

    ngrams: np.ndarray
    shapes: np.ndarray
    dense: np.ndarray
    constant: np.ndarray
    standard: Standard


@dataclass(frozen=True, slots=True)
class Features:
    """Of N texts: `ngrams` CSR [N, BUCKETS] with rows of length 1, `shapes` [N, SHAPES] (square roots of shares, the
    fullness behind them), `dense` [N, len(DENSE)] as measured."""

    ngrams: sparse.csr_matrix
    shapes: np.ndarray
    dense: np.ndarray


def features(texts: pl.Series, max_bytes: int) -> Features:
    """The n-grams, shapes and statistics of the first `max_bytes` UTF-8 bytes of each text; null counts as empty."""
    data, offsets = _buffers(texts)
    # Each character begins at most one word and one pair.
    spans = np.minimum(np.diff(offsets), max_bytes)
    buckets = np.empty(int(2 * spans.sum()) + 1, dtype=np.int32)
    starts, shapes, dense = _features(data, offsets, max_bytes, buckets)
    counts = np.diff(starts)
    values = np.repeat(1.0 / np.sqrt(np.maximum(counts, 1)), counts)
    matrix = sparse.csr_matrix((values, buckets[: starts[-1]], starts), shape=(len(texts), BUCKETS))
    return Features(matrix, shapes, dense)


def standard_of(found: Features) -> Standard:
    """Mean and spread of the statistics.

    Raises:
        ValueError: no texts.
    """
    if len(found.dense) == 0:
        raise ValueError("no texts to take the mean and spread of")
    return Standard(found.dense.mean(axis=0), np.maximum(found.dense.std(axis=0), 1e-6))


def design_of(found: Features, standard: Standard) -> sparse.csr_matrix:
    """All columns side by side, scaled so that one penalty serves them all [N, NUM_COLUMNS]."""
    dense = np.clip((found.dense - standard.mean) / standard.scale, -CLIP, CLIP) * DENSE_WEIGHT
    constant = np.full((len(dense), 1), CONSTANT)
    return sparse.hstack([found.ngrams, sparse.csr_matrix(np.hstack([found.shapes, dense, constant]))], format="csr")


def solve(design: sparse.csr_matrix, target: np.ndarray, ridge: float, weights: np.ndarray | None = None) -> np.ndarray:
    """The ridge regression of `target` [N] on the design, rows weighted by `weights` [N]: coefficients [NUM_COLUMNS].

    The value of a row is `design @ coefficients`; coefficients of models on one `Standard` add up.

    Raises:
        ValueError: no rows, or `target` has another length or values that are not finite.
    """
    from scipy.sparse.linalg import lsqr

    if len(target) == 0 or len(target) != design.shape[0] or not np.isfinite(target).all():
        raise ValueError(f"{design.shape[0]} texts need as many finite targets, got {len(target)}")
    if weights is not None:
        root = np.sqrt(weights)
        design, target = sparse.diags(root) @ design, target * root
    # A column without an entry has weight 0; most buckets have none, so they are left out of the iterations' vectors.
    used = np.unique(design.indices)
    solution = np.zeros(design.shape[1])
    solution[used] = lsqr(design[:, used], target, damp=float(np.sqrt(ridge)), atol=1e-6, btol=1e-6, iter_lim=200)[0]
    return solution


def linear_of(coefficients: np.ndarray, standard: Standard) -> Linear:
    """The models of the columns of `coefficients` [NUM_COLUMNS, M], ready to score texts."""
    ngrams, shapes, dense, constant = np.split(coefficients, np.cumsum([BUCKETS, SHAPES, STATISTICS]))
    return Linear(
        ngrams=np.ascontiguousarray(ngrams, dtype=np.float32),
        shapes=np.ascontiguousarray(shapes),
        dense=np.ascontiguousarray(dense * DENSE_WEIGHT),
        constant=constant[0] * CONSTANT,
        standard=standard,
    )


def predict(model: Linear, texts: pl.Series, window_bytes: int, windows: int) -> np.ndarray:
    """The models' values of each text [N, M]: the mean over at most `windows` windows of `window_bytes` bytes, which
    cover a short text whole and lie evenly over a long one, from its first byte to its last. One pass, no matrix."""
    data, offsets = _buffers(texts)
    return _predict(
        data,
        offsets,
        window_bytes,
        windows,
        model.ngrams,
        model.shapes,
        model.dense,
        model.standard.mean,
        model.standard.scale,
        model.constant,
    )


def _buffers(texts: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """The UTF-8 bytes of all texts and the N+1 offsets into them; one copy."""
    array = texts.cast(pl.String).fill_null("").rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = array.buffers()
    offsets_N1 = np.frombuffer(offsets, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    return np.frombuffer(data or b"", dtype=np.uint8), offsets_N1


@numba.njit(cache=True, nogil=True)
def _features(
    data: np.ndarray, offsets: np.ndarray, max_bytes: int, buckets: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    num = len(offsets) - 1
    starts = np.zeros(num + 1, dtype=np.int64)
    shapes = np.zeros((num, SHAPES), dtype=np.float64)
    dense = np.zeros((num, STATISTICS), dtype=np.float64)
    stamp = np.full(BUCKETS, -1, dtype=np.int64)
    for n in range(num):
        end = min(offsets[n + 1], offsets[n] + max_bytes)
        starts[n + 1] = read(data, offsets[n], end, stamp, n, buckets, starts[n], shapes[n], dense[n])
    return starts, shapes, dense


@numba.njit(cache=True, nogil=True)
def _predict(
    data: np.ndarray,
    offsets: np.ndarray,
    window_bytes: int,
    windows: int,
    ngrams: np.ndarray,
    shapes: np.ndarray,
    weights: np.ndarray,
    mean: np.ndarray,
    scale: np.ndarray,
    constant: np.ndarray,
) -> np.ndarray:
    num, outputs = len(offsets) - 1, len(constant)
    values = np.zeros((num, outputs), dtype=np.float64)
    shares = np.empty(SHAPES, dtype=np.float64)
    dense = np.empty(STATISTICS, dtype=np.float64)
    total = np.empty(outputs, dtype=np.float64)
    stamp = np.full(BUCKETS, -1, dtype=np.int64)
    buckets = np.empty(2 * window_bytes + 1, dtype=np.int32)
    mark = 0
    for n in range(num):
        size = offsets[n + 1] - offsets[n]
        parts = min(windows, max(1, -(-size // window_bytes)))
        for part in range(parts):
            start = offsets[n]
            if part > 0:
                start += part * (size - window_bytes) // (parts - 1)
                # Not from within a character.
                while start < offsets[n + 1] and data[start] & 0xC0 == 0x80:
                    start += 1
            end = min(offsets[n + 1], start + window_bytes)
            count = read(data, start, end, stamp, mark, buckets, 0, shares, dense)
            mark += 1
            total[:] = 0.0
            for i in range(count):
                for m in range(outputs):
                    total[m] += ngrams[buckets[i], m]
            root = np.sqrt(max(count, 1))
            for m in range(outputs):
                total[m] = constant[m] + total[m] / root
            for s in range(SHAPES):
                if shares[s] > 0.0:
                    for m in range(outputs):
                        total[m] += shares[s] * shapes[s, m]
            for k in range(STATISTICS):
                measure = min(max((dense[k] - mean[k]) / scale[k], -CLIP), CLIP)
                for m in range(outputs):
                    total[m] += measure * weights[k, m]
            for m in range(outputs):
                values[n, m] += total[m] / parts
    return values


__all__ = [
    "BUCKETS",
    "DENSE",
    "FULL_COLUMN",
    "NUM_COLUMNS",
    "SHAPES",
    "Features",
    "Linear",
    "Standard",
    "design_of",
    "features",
    "linear_of",
    "predict",
    "solve",
    "standard_of",
]

"""The default influence model: a ridge regression on a text's hashed n-grams and on its domain.

In: texts and domains. Out: a linear model of a text's n-grams (`algorithms.hashed_ngrams`) plus an intercept a domain.
Sparse and iterative (LSQR): seconds for 6,000 labels. Reads windows of the labels' own size: of a long text WINDOWS of
them, evenly over it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from scipy import sparse

from algorithms import hashed_ngrams
from tier_assets.m2_influence.cross_validation import Arrays

WINDOWS: Final = 4
# Share of the labels that are read whole; a few in scripts of many bytes a token must not set the size of all windows.
READ_WHOLE: Final = 0.9
# Arithmetic of reading a byte (decoding, classifying, hashing), and of a bucket or shape that it gives.
BYTE_FLOPS: Final = 16.0
# Bytes of a token, and n-grams read of it (words and pairs).
TOKEN_BYTES: Final = 4.0
# Iterations of LSQR cost two products with the design and some ten passes over its vectors.
VECTOR_PASSES: Final = 10
# A domain's column beside rows of length 1: 1 leaves the intercept nearly free with 20 labels.
DOMAIN_WEIGHT: Final = 1.0


class NgramRidge:
    """Learns from `texts` and `domains` [N]; a learner of `cross_validation`."""

    def __init__(self, texts: pl.Series, domains: pl.Series, ridges: tuple[float, ...]) -> None:
        self.settings = ridges
        self.flops = 0.0
        self._bytes = max(1, int(np.quantile(texts.str.len_bytes().to_numpy(), READ_WHOLE)))
        found = hashed_ngrams.features(texts, self._bytes)
        self._standard = hashed_ngrams.standard_of(found)
        self._domains = sorted(set(domains.to_list()))
        place = {name: at for at, name in enumerate(self._domains)}
        columns = np.array([place[name] for name in domains], np.int64)
        ones = np.full(len(texts), DOMAIN_WEIGHT)
        own = sparse.csr_matrix((ones, (np.arange(len(texts)), columns)), (len(texts), len(self._domains)))
        self._design = sparse.hstack([hashed_ngrams.design_of(found, self._standard), own], format="csr")
        self.flops += BYTE_FLOPS * float(texts.str.len_bytes().clip(0, self._bytes).sum())

    def learn(self, rows: np.ndarray, target: np.ndarray, ridge: float) -> Arrays:
        """The coefficients learnt from `rows`, whose targets are `target` [len(rows)]."""
        mean = float(target.mean())
        design = self._design[rows]
        found = hashed_ngrams.solve(design, target - mean, ridge)
        self.flops += 100 * (4.0 * design.nnz + VECTOR_PASSES * sum(design.shape))
        return {"coefficients": found, "mean": np.array([mean])}

    def values(self, learnt: Arrays, rows: np.ndarray) -> np.ndarray:
        """What `learnt` predicts for `rows`."""
        return np.asarray(self._design[rows] @ learnt["coefficients"] + learnt["mean"][0])

    def packed(self, learnt: Arrays) -> Arrays:
        """What `predict` needs of `learnt`, and no more."""
        linear = hashed_ngrams.linear_of(learnt["coefficients"][: hashed_ngrams.NUM_COLUMNS, None], self._standard)
        buckets = np.flatnonzero(linear.ngrams[:, 0]).astype(np.int32)
        return {
            "buckets": buckets,
            "ngrams": linear.ngrams[buckets, 0],
            "shapes": linear.shapes,
            "dense": linear.dense,
            "constant": linear.constant + learnt["mean"],
            "standard": np.stack([self._standard.mean, self._standard.scale]),
            "intercepts": learnt["coefficients"][hashed_ngrams.NUM_COLUMNS :] * DOMAIN_WEIGHT,
            "domains": np.array(self._domains),
            "window_bytes": np.array([self._bytes]),
        }


def predict(arrays: Arrays, texts: pl.Series, domains: pl.Series) -> np.ndarray:
    """The model's value of each text [N]; a domain that it does not know adds nothing."""
    ngrams = np.zeros((hashed_ngrams.BUCKETS, 1), np.float32)
    ngrams[arrays["buckets"], 0] = arrays["ngrams"]
    standard = hashed_ngrams.Standard(*arrays["standard"])
    linear = hashed_ngrams.Linear(ngrams, arrays["shapes"], arrays["dense"], arrays["constant"], standard)
    intercepts = dict(zip(arrays["domains"].tolist(), arrays["intercepts"].tolist(), strict=True))
    own = np.array([intercepts.get(name, 0.0) for name in domains])
    return hashed_ngrams.predict(linear, texts, int(arrays["window_bytes"][0]), WINDOWS)[:, 0] + own


def predict_flops(num_documents: int, num_tokens: int) -> float:
    """Arithmetic of predicting a pool: every byte read at most once; integer work counts as if it were floating."""
    return BYTE_FLOPS * TOKEN_BYTES * num_tokens + 2.0 * hashed_ngrams.SHAPES * WINDOWS * num_documents

"""The linear influence models: a ridge regression on shares of tokens and token pairs, and on the domain.

In: texts, domains, and for `hidden_ridge` the training model's mean hidden states of the texts. Out: a weight a token,
pair of tokens, byte and pair of bytes (`algorithms.token_ngrams`), what a token weighs more or less in its domain, a
weight a state, an intercept a domain. Sparse and iterative (LSQR): seconds for 6,000 labels.

A first-order influence is linear in the gradient of a mean over tokens, so that it is nearly a mean of weights of
tokens in context. Tokens are those of the training model where its tokenizer is given and byte-level, else of a
vocabulary learnt from the labels' own texts. States know of the context what pairs do not.

Reads windows of the labels' own size: of a long text WINDOWS of them, evenly over it.
"""

from __future__ import annotations

import json
from typing import Final

import numpy as np
import polars as pl
from scipy import sparse

from algorithms import token_ngrams
from algorithms.token_ngrams import Vocabulary, Weights
from resources.training_data import learn_tokenizer
from tier_assets.m2_influence.cross_validation import Arrays

WINDOWS: Final = 4
# Share of the labels that are read whole; a few in scripts of many bytes a token must not set the size of all windows.
READ_WHOLE: Final = 0.9
LEARNT_VOCABULARY: Final = 2_048
# Squared length of a row's tokens in its domain beside 1 for its shares: .01 more in rank correlation, overall and
# within domains, with .5 to 1.
DOMAIN_TOKENS: Final = 0.7
# Squared length of a row's spellings: .5 adds .016 within domains.
SPELLINGS: Final = 0.5
# Squared length of a row's standardised states beside 1 for its shares and 1 for its domain: of .1 to 100, 10 had the
# best rank correlation with held-out labels, learnt from 2,000 (.68 within domains; 1: .67).
STATES_WEIGHT: Final = 10.0
# LSQR stops here; more iterations did not change a rank correlation by .001.
TOLERANCE: Final = 1e-4
MAX_ITERATIONS: Final = 200
# An iteration is two products with the design and some ten passes over its vectors.
VECTOR_PASSES: Final = 10
# Arithmetic of reading a byte (classing, hashing, two weights) and of a token (its weight, its pair's hash and weight);
# integer work counts as if it were floating. Bytes of a token.
BYTE_FLOPS: Final = 16.0
TOKEN_FLOPS: Final = 10.0
TOKEN_BYTES: Final = 4.0


class NgramRidge:
    """Learns from `texts` and `domains` [N], and `hidden_ND` where given; a learner of `cross_validation`."""

    refits = True

    def __init__(
        self,
        texts: pl.Series,
        domains: pl.Series,
        ridges: tuple[float, ...],
        tokenizer: str | None,
        hidden_ND: np.ndarray | None,
    ) -> None:
        self.settings = ridges
        sizes = texts.str.len_bytes().to_numpy()
        self._bytes = max(1, int(np.quantile(sizes, READ_WHOLE)))
        self.flops = BYTE_FLOPS * float(np.minimum(sizes, self._bytes).sum())
        self._vocabulary = vocabulary_of(texts, tokenizer)
        shares, self._least = token_ngrams.shares(texts, self._vocabulary, self._bytes)
        size = self._vocabulary.size + token_ngrams.BUCKETS
        scales = _unit(shares[:, :size]), _unit(shares[:, size:]) * np.sqrt(SPELLINGS)
        self._scale_C = np.repeat(scales, [size, token_ngrams.SPELLINGS])
        self._domains = sorted(set(domains.to_list()))
        place_N = np.searchsorted(np.array(self._domains), domains.to_numpy().astype(str))
        own = place_N[:, None] == np.arange(len(self._domains))[None, :]
        states = np.zeros((len(texts), 0)) if hidden_ND is None else hidden_ND.astype(np.float64)
        self._mean = states.mean(axis=0)
        spread = states.std(axis=0)
        self._spread = np.where(spread > 0, spread, 1.0) * np.sqrt(max(1, states.shape[1]) / STATES_WEIGHT)
        # How full the window is: a weight that all tokens share.
        full = np.asarray(shares[:, : self._vocabulary.size].sum(axis=1)).reshape(-1, 1)
        dense = np.hstack([(states - self._mean) / self._spread, own, full])
        tokens = shares[:, : self._vocabulary.size].tocoo()
        inside = sparse.csr_matrix(
            (tokens.data, (tokens.row, place_N[tokens.row] * self._vocabulary.size + tokens.col)),
            shape=(len(texts), len(self._domains) * self._vocabulary.size),
        )
        self._inside_scale = _unit(inside) * np.sqrt(DOMAIN_TOKENS)
        self._used, self._inside = np.unique(shares.indices), np.unique(inside.indices)
        blocks = (
            shares[:, self._used] @ sparse.diags(self._scale_C[self._used]),
            inside[:, self._inside] * self._inside_scale,
            sparse.csr_matrix(dense),
        )
        self._design = sparse.hstack(blocks, format="csr")

    def learn(self, rows: np.ndarray, target: np.ndarray, ridge: float) -> Arrays:
        """The coefficients learnt from `rows`, whose targets are `target` [len(rows)]."""
        from scipy.sparse.linalg import lsqr

        mean, design = float(target.mean()), self._design[rows]
        found, _, iterations, *_ = lsqr(
            design, target - mean, damp=np.sqrt(ridge), atol=TOLERANCE, btol=TOLERANCE, iter_lim=MAX_ITERATIONS
        )
        self.flops += iterations * (4.0 * design.nnz + VECTOR_PASSES * sum(design.shape))
        return {"coefficients": found, "mean": np.array([mean])}

    def values(self, learnt: Arrays, rows: np.ndarray) -> np.ndarray:
        """What `learnt` predicts for `rows`."""
        return np.asarray(self._design[rows] @ learnt["coefficients"] + learnt["mean"][0])

    def packed(self, learnt: Arrays) -> Arrays:
        """What `predict` needs of `learnt`."""
        sizes = [len(self._used), len(self._inside), len(self._mean), len(self._domains)]
        tokens, inside, states, own, full = np.split(learnt["coefficients"], np.cumsum(sizes))
        states = states / self._spread
        return {
            "vocabulary": np.frombuffer(self._vocabulary.written, np.uint8),
            "columns": self._used.astype(np.int32),
            "weights": (tokens * self._scale_C[self._used]).astype(np.float32),
            "inside_columns": self._inside.astype(np.int32),
            "inside_weights": (inside * self._inside_scale).astype(np.float32),
            "full": full,
            "states": states,
            "constant": learnt["mean"] - self._mean @ states,
            "intercepts": own,
            "domains": np.array(self._domains),
            "window": np.array([self._bytes, self._least]),
        }


class NgramModel:
    """What `NgramRidge.packed` holds, ready to predict.

    Raises:
        KeyError: arrays of another kind.
    """

    def __init__(self, arrays: Arrays) -> None:
        self._vocabulary = token_ngrams.parse_vocabulary(arrays["vocabulary"].tobytes())
        size, self._domains = self._vocabulary.size, arrays["domains"].tolist()
        common = np.zeros(token_ngrams.num_columns(self._vocabulary), np.float32)
        common[arrays["columns"]] = arrays["weights"]
        inside = np.zeros((len(self._domains) + 1) * size, np.float32)
        inside[arrays["inside_columns"]] = arrays["inside_weights"]
        tokens_GV = common[:size] + inside.reshape(-1, size) + np.float32(arrays["full"][0])
        self._weights = Weights(tokens_GV, *np.split(common[size:], [token_ngrams.BUCKETS]))
        self._states, self._constant = arrays["states"], float(arrays["constant"][0])
        self._intercepts = np.append(arrays["intercepts"], 0.0)
        self._window = arrays["window"].tolist()

    def predict(self, texts: pl.Series, domains: pl.Series, hidden_ND: np.ndarray | None) -> np.ndarray:
        """The value of each text [N]; a domain that the model does not know adds nothing.

        Raises:
            ValueError: hidden states of another width than the model learnt from.
        """
        size, least = self._window
        place = {name: at for at, name in enumerate(self._domains)}
        place_N = np.array([place.get(name, len(place)) for name in domains], np.int64)
        values = token_ngrams.predict(self._weights, self._vocabulary, texts, place_N, size, WINDOWS, least)
        values += self._constant + self._intercepts[place_N]
        if hidden_ND is not None:
            if hidden_ND.shape[1] != len(self._states):
                raise ValueError(f"hidden states of width {hidden_ND.shape[1]}, learnt from {len(self._states)}")
            values += hidden_ND.astype(np.float64) @ self._states
        return values


def _unit(matrix: sparse.csr_matrix) -> float:
    """What the rows are to be multiplied by to have a mean squared length of 1."""
    return float(1.0 / np.sqrt(max(matrix.multiply(matrix).sum() / matrix.shape[0], 1e-12)))


def vocabulary_of(texts: pl.Series, tokenizer: str | None) -> Vocabulary:
    """The merges of `tokenizer` (the contents of a tokenizer.json) where it is byte-level byte-pair encoding, else of
    one learnt from the texts."""
    if tokenizer is not None:
        model = json.loads(tokenizer)["model"]
        if model.get("type") == "BPE" and "Ġ" in model["vocab"]:
            pairs = (pair if isinstance(pair, list) else pair.split(" ") for pair in model["merges"])
            return token_ngrams.read_vocabulary((left, right) for left, right in pairs)
    learnt = json.loads(learn_tokenizer(texts.to_list(), LEARNT_VOCABULARY).to_str())
    return token_ngrams.read_vocabulary((left, right) for left, right in learnt["model"]["merges"])


def predict_flops(num_tokens: int) -> float:
    """Arithmetic of predicting a pool, were its documents read whole."""
    return (BYTE_FLOPS * TOKEN_BYTES + TOKEN_FLOPS) * num_tokens

"""Cynical selection: the documents that a target still lacks, chosen as a set.

After Axelrod 2017, "Cynical Selection of Language Model Training Data", arXiv 1709.02279: choose one after another what
lowers most the target's cross-entropy under a model of what was chosen so far. With hashed n-grams as the model,

    maximise  sum_h R_h log(W_h + C_h + f)      gain of d, per token:   sum_h R_h c_dh / (W_h + C_h + f) / n_d

    R_h   share of bucket h in the target, which may mix several texts (`mixed_target`)
    C_h   count of h in what is chosen, W_h in what was trained on before (`warmup`)
    f     floor: a count that every bucket starts with, so that one rare n-gram does not decide
    c_dh  count of h in document d, n_d its tokens

Where we differ: the gain is the derivative of that objective, without Axelrod's penalty term (a budget in tokens, and
gains per token, take its place); and not one document enters at a time but a round of them, `rounds` in all, so that
the pool is read `rounds` times, by block, and never held as a whole.

A quota holds the choice near the pool: in every round each group (domain) gets at least `quota` times its share of the
pool's tokens, by the same gains. A correction moves the gains, in their own standard deviations.

In: counts by block (CSR [n, BUCKETS], `ngram_counts`), tokens and a budget. Out: positions in the order chosen. Cost:
`rounds` products of the counts with a vector; 16,000 documents of 130 tokens, 16 rounds: 0.2 CPU seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import sparse

from algorithms.importance_resampling import totals

ROUNDS: Final = 16
FLOOR: Final = 5.0
Values = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Settings:
    """`rounds` in which documents enter; `floor` of a bucket's count; `quota`, from 0 to 1, of a group's share of the
    pool that it keeps at least."""

    rounds: int = ROUNDS
    floor: float = FLOOR
    quota: float = 0.0

    def __post_init__(self) -> None:
        if self.rounds < 1 or not self.floor > 0 or not 0 <= self.quota <= 1:
            raise ValueError(f"rounds >= 1, floor > 0 and a quota in 0 to 1 are needed, not {self}")


@dataclass(frozen=True, slots=True)
class Pool:
    """N documents: `blocks` of their counts, read again in every round; `places_N` says which document a row of the
    blocks is; `tokens_N`; `groups_N` from 0 on (domains); `open_N` which of them may be chosen."""

    blocks: Iterable[sparse.csr_matrix]
    places_N: Positions
    tokens_N: Positions
    groups_N: Positions
    open_N: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Chosen:
    """Documents in the order in which they entered, and the gain of each in its round over the mean gain of all in
    the first round."""

    positions: Positions
    gains: Values


def mixed_target(counts: Sequence[Values], weights: Sequence[float]) -> Values:
    """One target of several: the weighted mean of their shares [BUCKETS].

    Raises:
        ValueError: no n-grams in one of them.
    """
    if any(total.sum() <= 0 for total in counts):
        raise ValueError("a target without a word selects nothing")
    scale = sum(weights)
    found: Values = np.sum([w / scale * total / total.sum() for w, total in zip(weights, counts, strict=True)], axis=0)
    return found


def select(
    pool: Pool,
    budget: float,
    target_H: Values,
    warmup_H: Values,
    settings: Settings,
    correction_N: Values | None = None,
) -> Chosen:
    """Documents until their tokens reach the budget, or all.

    `correction_N` is added to the gains in every round, times the standard deviation of the gains of what is left.
    """
    counts_H = warmup_H + settings.floor
    left_N = pool.open_N.copy()
    floors = settings.quota * np.bincount(pool.groups_N, weights=pool.tokens_N) / max(pool.tokens_N.sum(), 1)
    chosen: list[Positions] = []
    found: list[Values] = []
    taken = np.zeros(len(floors))
    unit = 0.0
    for number in range(1, settings.rounds + 1):
        goal = budget * number / settings.rounds
        gain_N = gains(pool, target_H / counts_H)
        unit = unit or float(gain_N.mean()) or 1.0
        if correction_N is not None:
            gain_N = gain_N + correction_N * float(gain_N[left_N].std())
        entering = _enter(pool, np.flatnonzero(left_N), gain_N, goal - taken.sum(), goal * floors - taken)
        if not len(entering):
            continue
        left_N[entering] = False
        taken += np.bincount(pool.groups_N[entering], weights=pool.tokens_N[entering], minlength=len(taken))
        chosen.append(entering)
        found.append(gain_N[entering] / unit)
        if number < settings.rounds:
            counts_H = counts_H + counts_of(pool, entering)
    if not chosen:
        return Chosen(np.empty(0, np.int64), np.empty(0))
    return Chosen(np.concatenate(chosen), np.concatenate(found))


def gains(pool: Pool, weights_H: Values) -> Values:
    """The gain per token of every document, chosen ones too."""
    weights = weights_H.astype(np.float32)
    return _in_place(pool, [block @ weights for block in pool.blocks]) / np.maximum(pool.tokens_N, 1)


def overlap(pool: Pool, weights_H: Values) -> Values:
    """The mean weight of every document's n-grams; 0 of one without any."""
    parts = [(block @ weights_H) / np.maximum(np.asarray(block.sum(axis=1)).ravel(), 1.0) for block in pool.blocks]
    return _in_place(pool, parts)


def _in_place(pool: Pool, parts: Sequence[Values]) -> Values:
    values = np.concatenate(parts)
    placed_N = np.empty(len(values))
    placed_N[pool.places_N] = values
    return placed_N


def _enter(pool: Pool, left: Positions, gain_N: Values, wanted: float, owed: Values) -> Positions:
    """Documents of `left` by falling gain until `wanted` tokens are met: first those that each group is owed."""
    order = left[np.argsort(-gain_N[left], kind="stable")]
    tokens, groups = pool.tokens_N[order], pool.groups_N[order]
    due = np.zeros(len(order), dtype=bool)
    for group in np.flatnonzero(owed > 0):
        own = np.flatnonzero(groups == group)
        due[own[np.cumsum(tokens[own]) - tokens[own] < owed[group]]] = True
    order = np.concatenate([order[due], order[~due]])
    tokens = pool.tokens_N[order]
    return order[np.cumsum(tokens) - tokens < wanted]


def counts_of(pool: Pool, entering: Positions) -> Values:
    """The counts of these documents [BUCKETS]."""
    inside_N = np.zeros(len(pool.tokens_N), dtype=bool)
    inside_N[entering] = True
    inside = inside_N[pool.places_N]
    start, parts = 0, []
    for block in pool.blocks:
        parts.append(block[np.flatnonzero(inside[start : start + block.shape[0]])])
        start += block.shape[0]
    return totals(parts)


__all__ = ["FLOOR", "ROUNDS", "Chosen", "Pool", "Settings", "counts_of", "gains", "mixed_target", "overlap", "select"]

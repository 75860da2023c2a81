"""How well an influence model does on labels that it has not seen, whichever kind it is.

In: a learner, targets, domains and folds. Out: predictions out of fold at the best regularisation, predictions with
whole domains left out, and rank correlations. Folds go by a hash of the document's id: the same labels always lie in
the same folds.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import polars as pl
from scipy.stats import rankdata

Arrays = dict[str, np.ndarray]

# A domain of fewer labels has no rank correlation worth an average.
MIN_DOMAIN: Final = 20
# One-sided, at 95%.
CRITICAL: Final = 1.645


class Learner(Protocol):
    """Learns a target from rows that it holds; `flops` is what this has cost so far. `refits`: cheap enough to be
    learnt once more for every domain."""

    settings: tuple[float, ...]
    flops: float
    refits: bool

    def learn(self, rows: np.ndarray, target: np.ndarray, setting: float) -> Arrays:
        """What was learnt from `rows`, whose targets are `target` [len(rows)], at one of `settings`."""

    def values(self, learnt: Arrays, rows: np.ndarray) -> np.ndarray:
        """What `learnt` predicts for `rows`."""

    def packed(self, learnt: Arrays) -> Arrays:
        """What prediction needs of `learnt`."""


@dataclass(frozen=True, slots=True)
class Unseen:
    """Predictions [N] by models that had not seen the row's fold, and the setting that they were learnt at."""

    values: np.ndarray
    setting: float


@dataclass(frozen=True, slots=True)
class Within:
    """Mean rank correlation within domains, and how many standard errors it lies above chance; None without a domain
    of MIN_DOMAIN labels."""

    spearman: float | None
    standard_errors: float | None

    @property
    def beats_chance(self) -> bool:
        """Better than the domain's mean, which has no skill within a domain."""
        return self.standard_errors is not None and self.standard_errors > CRITICAL


def folds_of(ids: pl.Series, folds: int) -> np.ndarray:
    """Each row's fold, 0 to `folds` - 1; equal ids together, folds of as many ids, the order by a hash."""
    hashes = [hashlib.blake2b(name.encode(), digest_size=8).hexdigest() for name in ids]
    ranks = pl.Series(hashes, dtype=pl.String).rank("dense").to_numpy().astype(np.int64) - 1
    return np.asarray(ranks % folds)


def out_of_fold(learner: Learner, target: np.ndarray, domains: np.ndarray, fold: np.ndarray) -> Unseen:
    """Predictions of each row by models of the other folds, and the setting that ranks best within domains.

    A fold's predictions are at the setting that is best on the other folds: the best of some on the same rows would
    look skilled where there is nothing to learn.
    """
    tried = {setting: left_out(learner, target, fold, setting) for setting in learner.settings}
    values = np.zeros(len(target))
    for part in np.unique(fold):
        values[fold == part] = tried[_best(tried, target, domains, fold != part)][fold == part]
    return Unseen(values, _best(tried, target, domains, np.ones(len(target), bool)))


def _best(tried: dict[float, np.ndarray], target: np.ndarray, domains: np.ndarray, rows: np.ndarray) -> float:
    """The setting that ranks `rows` best within domains, overall where no domain is large enough; of equals the
    largest."""

    def skill(setting: float) -> float:
        values = tried[setting][rows]
        inside = within(values, target[rows], domains[rows]).spearman
        return (spearman(values, target[rows]) if inside is None else inside) or 0.0

    return max(tried, key=lambda setting: (skill(setting), setting))


def left_out(learner: Learner, target: np.ndarray, parts: np.ndarray, setting: float) -> np.ndarray:
    """Predictions of each row by a model of the other parts (folds or domains) [N]."""
    values = np.zeros(len(target))
    for part in np.unique(parts):
        held, rest = np.flatnonzero(parts == part), np.flatnonzero(parts != part)
        values[held] = learner.values(learner.learn(rest, target[rest], setting), held)
    return values


def domain_means(target: np.ndarray, domains: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """The mean target of each row's domain in the other folds; of all domains where it has none there [N]."""
    values = np.zeros(len(target))
    for part in np.unique(fold):
        rest, held = fold != part, fold == part
        for name in np.unique(domains[held]):
            own = rest & (domains == name)
            values[held & (domains == name)] = target[own if own.any() else rest].mean()
    return values


def within(values: np.ndarray, target: np.ndarray, domains: np.ndarray) -> Within:
    """Rank correlation within each domain of MIN_DOMAIN labels, averaged over them. A domain where either side is
    constant counts as 0. Chance has mean 0 and, in a domain of n labels, variance 1 / (n - 1)."""
    found = [(int(rows.sum()), spearman(values[rows], target[rows]) or 0.0) for rows in _large(domains)]
    if not found:
        return Within(None, None)
    mean = sum(skill for _, skill in found) / len(found)
    error = np.sqrt(sum(1.0 / (num - 1) for num, _ in found)) / len(found)
    return Within(mean, float(mean / error))


def spearman(values: np.ndarray, target: np.ndarray) -> float | None:
    """Rank correlation; None where one side is constant."""
    if len(values) < 2 or np.ptp(values) == 0 or np.ptp(target) == 0:
        return None
    return float(np.corrcoef(rankdata(values), rankdata(target))[0, 1])


def _large(domains: np.ndarray) -> list[np.ndarray]:
    masks = [domains == name for name in np.unique(domains)]
    return [rows for rows in masks if rows.sum() >= MIN_DOMAIN]

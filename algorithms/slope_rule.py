"""A mixture of domains by how fast each is being learnt, for a target that is named.

After Adaptive Data Optimization (arXiv 2410.11820), without its credit term: at that rule's fixed point a domain's
share goes with the square of prior times slope, which sharpens the prior even where all slopes are equal. Here

    rho_k  prop. to  w_k v_k,   v_k = -n dL_k/dn at the last point, n the tokens of all domains

If a domain's loss depended on its own tokens alone, its slope would be pi_k times that by its own tokens, so the
fixed point pi = rho has w_k dL_k/d(own tokens) equal over domains: the best mixture for the sum of w_k L_k.

    target  w_k                                  q_k, the target's own mix
    mean    1 / K                                1 / K
    prior   the prior                            the prior
    worst   exp(L_k / (a tenth of the mean))     1 / K, where also domains stay that do not surely fall

v_k is averaged over the law's profile (scaling_laws) and drawn to the mean over domains as far as its deviation says:
v_k <- mean + (v_k - mean) t^2 / (t^2 + s_k^2), t^2 the variance between domains less that of the noise. So equal
domains stay at q. rho is kept within q / 3 and 3 q: a late learner looks finished early, and a forecast would starve
it. The weights go a part RATE of the way to rho at each fit, and start at q.

Memory is constant: the curve is kept as at most CAPACITY bins of equal numbers of reports, merged in pairs when full.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from algorithms.scaling_laws import Intervals, Laws, fit, intervals
from algorithms.variable_projection import Floats

CAPACITY: Final = 64
MIN_BINS: Final = 8
RATE: Final = 0.3
TRUST: Final = 3.0
SURE: Final = 2.0  # deviations from 0
_TEMPERATURE: Final = 0.1


class Curves:
    """The losses of K domains over a run, as bins. Plain lists: between two steps of a training model numpy's code is
    not in the processor's cache, and a handful of its calls costs more than the arithmetic."""

    def __init__(self, domains: int) -> None:
        self._domains = domains
        self._width = 1  # reports a bin
        self._reports: list[int] = []
        self._tokens: list[float] = []  # summed over the bin's reports
        self._losses: list[list[float]] = []  # by domain, summed over the bin's tokens
        self._counts: list[list[float]] = []

    def add(self, tokens: int, losses: Sequence[float], counts: Sequence[float]) -> None:
        """A report: tokens seen in the run, and each domain's mean loss over its count of tokens, NaN where none."""
        if not self._reports or self._reports[-1] == self._width:
            if len(self._reports) == CAPACITY:
                self._merge()
            self._reports.append(0)
            self._tokens.append(0.0)
            self._losses.append([0.0] * self._domains)
            self._counts.append([0.0] * self._domains)
        self._reports[-1] += 1
        self._tokens[-1] += tokens
        summed, counted = self._losses[-1], self._counts[-1]
        for place, (loss, count) in enumerate(zip(losses, counts)):
            if loss == loss:  # no NaN
                summed[place] += loss * count
                counted[place] += count

    def bins(self) -> tuple[Floats, Floats, Floats]:
        """Of the full bins: tokens [B], mean losses [K, B], and weights [K, B], 0 where a domain was not seen."""
        full = sum(reports == self._width for reports in self._reports)
        tokens_B = np.array(self._tokens[:full]) / self._width
        counts_KB = np.array(self._counts[:full]).reshape(full, self._domains).T
        losses_KB = np.array(self._losses[:full]).reshape(full, self._domains).T
        losses_KB = losses_KB / np.where(counts_KB > 0, counts_KB, 1.0)
        mean_K1 = counts_KB.sum(1, keepdims=True) / np.maximum((counts_KB > 0).sum(1, keepdims=True), 1)
        return tokens_B, losses_KB, counts_KB / np.maximum(mean_K1, 1.0)

    def state(self) -> dict[str, Any]:
        """Everything that `add` changes."""
        return copy.deepcopy({name: value for name, value in vars(self).items() if name != "_domains"})

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        vars(self).update(copy.deepcopy(state))

    def _merge(self) -> None:
        """Two bins in one: half as many, twice as wide."""
        self._reports = [a + b for a, b in zip(self._reports[::2], self._reports[1::2])]
        self._tokens = [a + b for a, b in zip(self._tokens[::2], self._tokens[1::2])]
        for name in ("_losses", "_counts"):
            rows = getattr(self, name)
            setattr(self, name, [[a + b for a, b in zip(*pair)] for pair in zip(rows[::2], rows[1::2])])
        self._width *= 2


def wanted(curves: Curves, target: str, mix_K: Floats, prior_K: Floats, weights_K: Floats) -> Floats:
    """rho, [K], sums to 1; a domain with fewer than MIN_BINS bins of data keeps its weight."""
    tokens_B, losses_KB, weights_KB = curves.bins()
    known_K = (weights_KB > 0).sum(1) >= MIN_BINS
    if not known_K.any():
        return weights_K
    data = tokens_B, losses_KB[known_K], weights_KB[known_K]
    laws = fit(*data)
    speeds = intervals(*data, laws=laws)
    rho_K = weights_K.copy()
    total = 1.0 - float(weights_K[~known_K].sum())
    rho_K[known_K] = preferred(laws, speeds, tokens_B[-1], target, mix_K[known_K], prior_K[known_K], total)
    return rho_K


def preferred(
    laws: Laws, speeds: Intervals, tokens: float, target: str, mix_K: Floats, prior_K: Floats, total: float
) -> Floats:
    """rho of domains with a law after `tokens`, [K], sums to `total`."""
    fast_K = -speeds.slope_D
    speed_K = shrunk(np.maximum(fast_K, 0.0), speeds.slope_std_D)
    wanted_K = target_shares(target, laws, tokens, prior_K) * speed_K
    flat_K = fast_K < SURE * speeds.slope_std_D
    if target != "worst" or flat_K.all():
        return trusted(wanted_K, mix_K, total)
    rho_K = mix_K / mix_K.sum() * total
    rho_K[~flat_K] = trusted(wanted_K[~flat_K], mix_K[~flat_K], total - float(rho_K[flat_K].sum()))
    return rho_K


def target_shares(target: str, laws: Laws, tokens: float, prior_K: Floats) -> Floats:
    """w: what a loss's fall is worth in each domain."""
    if target == "mean":
        return np.ones_like(prior_K)
    if target == "prior":
        return prior_K
    losses_K = laws.losses(tokens)
    return np.asarray(np.exp((losses_K - losses_K.max()) / (_TEMPERATURE * losses_K.mean())))


def shrunk(speed_K: Floats, std_K: Floats) -> Floats:
    """Speeds drawn to their mean as far as their deviations, and not the domains, explain how they differ."""
    mean = speed_K.mean()
    between = max(float(((speed_K - mean) ** 2).sum()) / max(len(speed_K) - 1, 1) - float((std_K**2).mean()), 0.0)
    trust_K = between / np.maximum(between + std_K**2, 1e-300)
    return np.asarray(mean + trust_K * (speed_K - mean))


def trusted(wanted_K: Floats, mix_K: Floats, total: float) -> Floats:
    """Shares proportional to `wanted_K` but within a factor TRUST of the mix's, that sum to `total`."""
    mix_K = mix_K / mix_K.sum() * total
    if not wanted_K.sum() > 0:
        return mix_K
    low, high = 0.0, TRUST * float((mix_K[wanted_K > 0] / wanted_K[wanted_K > 0]).max())
    for _ in range(100):  # by halves: the sum grows with the factor
        factor = 0.5 * (low + high)
        shares_K = np.clip(factor * wanted_K, mix_K / TRUST, mix_K * TRUST)
        low, high = (factor, high) if shares_K.sum() < total else (low, factor)
    return np.asarray(shares_K * (total / shares_K.sum()))

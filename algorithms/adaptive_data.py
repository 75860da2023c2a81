"""Adaptive Data Optimization as published: how often to draw each domain, from the power laws of its loss.

arXiv 2410.11820, section 3 and Algorithm 1, constants and order of steps as in the authors' code
(github.com/yidingjiang/ado, src/data_selectors/ado.py). After optimizer step t, from 1:

    h_k     <- .9 h_k + .1 (share of domain k in the batch)                    credit's memory
    rho_k   prop. to  mu_k * sqrt(h_k (1 - h_k)) * (-dL_k/dn), at least .01     preference
    pi_k    =  .9 avg_k + .1 rho_k                                             weights of the next batch
    avg_k   <- avg_k + (rho_k - avg_k) / t
    -dL_k/dn = max(alpha_k, .05) (L_k(n) - epsilon_k) / n

    symbol  meaning
    mu      prior: the domains' shares of the tokens, or uniform
    n       sequences of 1,024 tokens seen in the run, of all domains
    L_k(n)  epsilon_k + beta_k n^-alpha_k, fitted every 1,000 steps, to every tenth of the steps after the first 1,000,
            smoothed (Savitzky and Golay, cubic, 101 steps)

The paper's text has h^.5 for the credit's sqrt(h (1 - h)). Where we differ from the code: the fit's bounds are hard
(see scaling_laws); no law is fitted to fewer than four points (the authors' first one sees a single point); beyond
CAPACITY points every second one is left out, so memory stays the same; and a run shorter than 101 steps is smoothed
over what there is.
"""

from __future__ import annotations

import copy
import functools
import logging
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from algorithms.scaling_laws import PUBLISHED_BOUNDS, PUBLISHED_DELTA, fit
from algorithms.variable_projection import MIN_POINTS, Floats, problem

SEQUENCE_TOKENS: Final = 1024
CAPACITY: Final = 512
_WINDOW: Final = 101
_STRIDE: Final = 10
_FLOOR: Final = 0.01
_MIN_EXPONENT: Final = 0.05
_KEEP: Final = 0.9

_logger = logging.getLogger(__name__)


class PublishedRule:
    """The rule's state in one run; the domains are numbered. Lists, not arrays, as in slope_rule."""

    def __init__(self, domains: Sequence[str], prior: Sequence[float], warmup_steps: int, fit_every: int) -> None:
        self._domains = tuple(domains)
        self._prior = list(prior)
        self._warmup = warmup_steps
        self._fit_every = fit_every
        self._history = list(prior)
        self._average = list(prior)
        self._recent: list[list[float]] = []  # losses of the last reports, a window's worth
        self._recent_tokens: list[int] = []
        self._kept: list[list[float]] = []  # smoothed losses
        self._kept_tokens: list[int] = []
        self._stride = _STRIDE
        self._seen = 0  # reports
        self._early = 0  # of them, in the warm-up
        self._last_step = 0
        self._laws: list[list[float]] | None = None  # epsilon, beta, alpha

    def update(self, step: int, tokens: int, losses: Sequence[float], counts: Sequence[float]) -> list[float] | None:
        """The weights after this step; None before the first fit.

        `tokens` are all seen in the run; a domain that is not in the batch has a loss of NaN and a count of 0 tokens.
        """
        if total := sum(counts):
            self._history = [_KEEP * h + (1 - _KEEP) * count / total for h, count in zip(self._history, counts)]
        if any(loss == loss for loss in losses):  # not all NaN
            self._early += step <= self._warmup
            self._remember(tokens, losses)
        # The authors count steps from 0.
        if step > self._warmup and (step - 1) // self._fit_every > (self._last_step - 1) // self._fit_every:
            self._fit(step)
        self._last_step = step
        if self._laws is None:
            return None
        n = tokens / SEQUENCE_TOKENS
        wanted = [
            max(alpha, _MIN_EXPONENT) * beta * n**-alpha / n * prior * math.sqrt(h * (1 - h))
            for beta, alpha, prior, h in zip(*self._laws[1:], self._prior, self._history)
        ]
        if not sum(wanted) > 0:
            return None
        wanted = _scaled([max(share, _FLOOR) for share in _scaled(wanted)])
        weights = [_KEEP * mean + (1 - _KEEP) * share for mean, share in zip(self._average, wanted)]
        self._average = [mean + (share - mean) / step for mean, share in zip(self._average, wanted)]
        return weights

    def state(self) -> dict[str, Any]:
        """Everything that updates change."""
        fixed = ("_domains", "_prior", "_warmup", "_fit_every")
        return copy.deepcopy({name: value for name, value in vars(self).items() if name not in fixed})

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        vars(self).update(copy.deepcopy(state))

    def _remember(self, tokens: int, losses: Sequence[float]) -> None:
        """Add a report; a domain that was not in the batch repeats its last loss, or takes the batch's mean."""
        if self._recent:
            last = self._recent[-1]
        else:
            known = [loss for loss in losses if loss == loss]
            last = [sum(known) / len(known)] * len(losses)
        self._recent.append([loss if loss == loss else before for loss, before in zip(losses, last)])
        self._recent_tokens.append(tokens)
        self._seen += 1
        if len(self._recent) > _WINDOW:
            del self._recent[0], self._recent_tokens[0]
        if len(self._recent) == _WINDOW:
            # The first whole window also smooths its own first half, as the filter's end does its last.
            self._keep(0 if self._seen == _WINDOW else _WINDOW // 2, _WINDOW // 2 + 1)

    def _keep(self, first: int, end: int) -> None:
        tokens, smooth = self._smoothed(first, end)
        self._kept += smooth
        self._kept_tokens += tokens
        if len(self._kept) > CAPACITY:
            self._kept, self._kept_tokens = self._kept[::2], self._kept_tokens[::2]
            self._stride *= 2

    def _smoothed(self, first: int, end: int) -> tuple[list[int], list[list[float]]]:
        """Tokens and smoothed losses at the window's places that the fit reads."""
        begin = self._seen - len(self._recent) - self._early
        places = [p for p in range(first, end) if begin + p >= 0 and (begin + p) % self._stride == 0]
        if not places:
            return [], []
        smooth_TK = _smoother(len(self._recent))[places] @ np.array(self._recent)
        return [self._recent_tokens[place] for place in places], smooth_TK.tolist()

    def _fit(self, step: int) -> None:
        half = _WINDOW // 2 + 1 if len(self._recent) == _WINDOW else 0
        tokens, smooth = self._smoothed(half, len(self._recent))
        n_T = np.array(self._kept_tokens + tokens) / SEQUENCE_TOKENS
        if len(n_T) < MIN_POINTS:
            return
        curve_KT = np.array(self._kept + smooth).T
        wrong = [f"{name}: {what}" for name, loss_T in zip(self._domains, curve_KT) if (what := problem(n_T, loss_T))]
        if wrong:
            _logger.warning("step %d: no laws fitted, the last ones stay: %s", step, "; ".join(wrong))
            return
        laws = fit(n_T, curve_KT, delta=PUBLISHED_DELTA, bounds=PUBLISHED_BOUNDS)
        self._laws = [laws.epsilon_D.tolist(), laws.beta_D.tolist(), laws.alpha_D.tolist()]
        on_bound = [f"{name} ({', '.join(at)})" for name, at in zip(self._domains, laws.on_bound) if at]
        if on_bound:
            _logger.warning("step %d: parameters on a bound: %s", step, "; ".join(on_bound))


def _scaled(shares: list[float]) -> list[float]:
    """The shares, made to sum to 1."""
    total = sum(shares)
    return [share / total for share in shares]


@functools.cache
def _smoother(window: int) -> Floats:
    """[window, window]: row i weighs a window's values to the cubic's value at i (Savitzky and Golay 1964)."""
    x_T = np.linspace(-1.0, 1.0, window) if window > 1 else np.zeros(1)
    basis, _ = np.linalg.qr(np.vander(x_T, min(4, window)))
    smoother: Floats = basis @ basis.T
    return smoother

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

import functools
import logging
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
    """The rule's state in one run; the domains are numbered."""

    def __init__(self, domains: Sequence[str], prior_K: Floats, warmup_steps: int, fit_every: int) -> None:
        self._domains = tuple(domains)
        self._prior_K = prior_K
        self._warmup = warmup_steps
        self._fit_every = fit_every
        self._history_K = prior_K.copy()
        self._average_K = prior_K.copy()
        self._losses_TK = np.empty((0, len(prior_K)))  # of the last steps, a window's worth
        self._smooth_TK = np.empty((0, len(prior_K)))
        self._tokens_T = np.empty(0)  # of the last steps
        self._kept_T = np.empty(0)  # of the smoothed points
        self._stride = _STRIDE
        self._seen = 0  # reports
        self._early = 0  # of them, before the warm-up's end
        self._last_step = 0
        self._laws_3K: Floats | None = None

    def update(self, step: int, tokens: int, losses_K: Floats, counts_K: Floats) -> Floats | None:
        """The weights after this step; None before the first fit.

        `tokens` are all seen in the run, `losses_K` is NaN and `counts_K` (tokens) 0 for domains not in the batch.
        """
        if counts_K.sum() > 0:
            self._history_K = _KEEP * self._history_K + (1 - _KEEP) * counts_K / counts_K.sum()
        self._early += step <= self._warmup and not np.isnan(losses_K).all()
        self._remember(tokens, losses_K)
        # The authors count steps from 0.
        if step > self._warmup and (step - 1) // self._fit_every > (self._last_step - 1) // self._fit_every:
            self._fit(step)
        self._last_step = step
        if self._laws_3K is None:
            return None
        beta_K, alpha_K = self._laws_3K[1:]
        n = tokens / SEQUENCE_TOKENS
        slope_K = np.maximum(alpha_K, _MIN_EXPONENT) * beta_K * n**-alpha_K / n
        wanted_K = slope_K * self._prior_K * np.sqrt(self._history_K * (1 - self._history_K))
        if not wanted_K.sum() > 0:
            return None
        wanted_K = np.maximum(wanted_K / wanted_K.sum(), _FLOOR)
        wanted_K /= wanted_K.sum()
        weights_K: Floats = _KEEP * self._average_K + (1 - _KEEP) * wanted_K
        self._average_K = self._average_K + (wanted_K - self._average_K) / step
        return weights_K

    def state(self) -> dict[str, Any]:
        """Everything that updates change, as lists and numbers."""
        return {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in vars(self).items()
            if name not in ("_domains", "_prior_K", "_warmup", "_fit_every")
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        shape = (-1, len(self._prior_K))
        for name, value in state.items():
            array = np.array(value, dtype=np.float64) if isinstance(value, list) else value
            setattr(self, name, array.reshape(shape) if name.endswith(("_TK", "_3K")) and value is not None else array)

    def _remember(self, tokens: int, losses_K: Floats) -> None:
        """Add a step's losses; a domain that was not in the batch repeats its last loss, or takes the batch's mean."""
        known_K = ~np.isnan(losses_K)
        if not known_K.any():
            return
        last_K = self._losses_TK[-1] if len(self._losses_TK) else np.full(len(losses_K), losses_K[known_K].mean())
        row_K = np.where(known_K, losses_K, last_K)
        self._losses_TK = np.vstack((self._losses_TK, row_K))[-_WINDOW:]
        self._tokens_T = np.append(self._tokens_T, tokens)[-_WINDOW:]
        self._seen += 1
        if len(self._losses_TK) == _WINDOW:
            # The first whole window also smooths its own first half, as the filter's end does its last.
            first = 0 if self._seen == _WINDOW else _WINDOW // 2
            self._keep(first, _WINDOW // 2 + 1)

    def _keep(self, first: int, end: int) -> None:
        tokens_T, smooth_TK = self._smoothed(first, end)
        self._smooth_TK = np.vstack((self._smooth_TK, smooth_TK))
        self._kept_T = np.append(self._kept_T, tokens_T)
        if len(self._kept_T) > CAPACITY:
            self._smooth_TK, self._kept_T = self._smooth_TK[::2], self._kept_T[::2]
            self._stride *= 2

    def _smoothed(self, first: int, end: int) -> tuple[Floats, Floats]:
        """Tokens and smoothed losses at the window's places that the fit reads."""
        begin = self._seen - len(self._losses_TK) - self._early
        places = [p for p in range(first, end) if begin + p >= 0 and (begin + p) % self._stride == 0]
        return self._tokens_T[places], _smoother(len(self._losses_TK))[places] @ self._losses_TK

    def _fit(self, step: int) -> None:
        half = _WINDOW // 2 + 1 if len(self._losses_TK) == _WINDOW else 0
        tokens_T, smooth_TK = self._smoothed(half, len(self._losses_TK))
        n_T = np.append(self._kept_T, tokens_T) / SEQUENCE_TOKENS
        if len(n_T) < MIN_POINTS:
            return
        curve_KT = np.vstack((self._smooth_TK, smooth_TK)).T
        wrong = [f"{name}: {what}" for name, loss_T in zip(self._domains, curve_KT) if (what := problem(n_T, loss_T))]
        if wrong:
            _logger.warning("step %d: no laws fitted, the last ones stay: %s", step, "; ".join(wrong))
            return
        laws = fit(n_T, curve_KT, delta=PUBLISHED_DELTA, bounds=PUBLISHED_BOUNDS)
        self._laws_3K = np.stack((laws.epsilon_D, laws.beta_D, laws.alpha_D))
        on_bound = [f"{name} ({', '.join(at)})" for name, at in zip(self._domains, laws.on_bound) if at]
        if on_bound:
            _logger.warning("step %d: parameters on a bound: %s", step, "; ".join(on_bound))


@functools.cache
def _smoother(window: int) -> Floats:
    """[window, window]: row i weighs a window's values to the cubic's value at i (Savitzky and Golay 1964)."""
    x_T = np.linspace(-1.0, 1.0, window) if window > 1 else np.zeros(1)
    basis, _ = np.linalg.qr(np.vander(x_T, min(4, window)))
    smoother: Floats = basis @ basis.T
    return smoother

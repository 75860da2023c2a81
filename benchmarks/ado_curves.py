"""Curves to fit power laws to, and the published way to fit them: for `benchmarks.ado`.

Simulated curves of known laws with noise, spikes, a learning rate's decay, or few points; real ones come from the
benchmark's own training runs. The peer is SciPy's L-BFGS-B from the published 512 starts, on the published objective
(Huber of log L, delta .001, bounds hard), with its gradient.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from algorithms.scaling_laws import PUBLISHED_BOUNDS, PUBLISHED_DELTA, fit
from algorithms.variable_projection import Floats
from benchmarks.ado_training import CONTEXT, Run

KINDS = ("noise", "spikes", "decay", "short")
# The published grid: log beta, log epsilon, alpha.
STARTS = tuple(itertools.product(np.arange(-2.0, 6.0), np.arange(-2.0, 2.0, 0.5), np.arange(0.0, 0.8, 0.1)))


@dataclass(frozen=True)
class Curve:
    """Losses after n sequences; the law behind them where it is known."""

    kind: str
    n_T: Floats
    losses_T: Floats


def simulated(number: int, seed: int) -> Iterator[Curve]:
    """`number` curves of random laws, the kinds in turns: 30 to 200 points, noise of .3% to 3%."""
    random = np.random.default_rng(seed)
    for place in range(number):
        kind = KINDS[place % len(KINDS)]
        points = 30 if kind == "short" else int(random.integers(80, 200))
        n_T = np.linspace(random.uniform(500, 3000), random.uniform(8000, 60000), points)
        epsilon, alpha = random.uniform(1.7, 3.5), random.uniform(0.05, 0.7)
        b = random.uniform(0.05, 2.0)
        losses_T = epsilon + b * (n_T / n_T[-1]) ** -alpha
        if kind == "decay":
            losses_T -= 0.1 * b * np.clip(np.linspace(-4, 1, points), 0, 1)
        losses_T *= np.exp(np.exp(random.uniform(np.log(0.003), np.log(0.03))) * random.standard_normal(points))
        if kind == "spikes":
            losses_T[random.integers(0, points, points // 20)] *= random.uniform(1.1, 2.0)
        yield Curve(kind, n_T, losses_T)


def objective(parameters: Floats, log_n_T: Floats, log_losses_T: Floats) -> tuple[float, Floats]:
    """The published objective of (log beta, log epsilon, alpha), and its gradient."""
    a, e, alpha = parameters
    falling_T = np.exp(a - alpha * log_n_T)
    floor = np.exp(e)
    m_T = floor + falling_T
    r_T = log_losses_T - np.log(m_T)
    psi_T = np.clip(r_T, -PUBLISHED_DELTA, PUBLISHED_DELTA)
    share_T = psi_T * falling_T / m_T
    gradient = -np.array([share_T.sum(), (psi_T / m_T).sum() * floor, -(share_T @ log_n_T)])
    return float((psi_T * (r_T - 0.5 * psi_T)).sum()), gradient


def by_lbfgs(curve: Curve) -> float:
    """The least objective that 512 starts of L-BFGS-B find."""
    from scipy.optimize import minimize

    edge = PUBLISHED_BOUNDS
    limits = [(None, np.log(edge.max_beta)), (np.log(edge.min_epsilon), None), (edge.min_alpha, edge.max_alpha)]
    data = np.log(curve.n_T), np.log(curve.losses_T)
    return min(
        minimize(objective, start, args=data, jac=True, method="L-BFGS-B", bounds=limits, options={"maxiter": 200}).fun
        for start in STARTS
    )


@dataclass(frozen=True)
class Compared:
    """One curve's fit beside the peer's: objective, ours by the peer's less 1, CPU seconds of each, and our bounds."""

    kind: str
    excess: float
    cpu_s: float
    peer_cpu_s: float
    on_bound: tuple[str, ...]


def compared(curve: Curve) -> Compared:
    """Fit the curve both ways."""
    start = time.process_time()
    laws = fit(curve.n_T, curve.losses_T[None], delta=PUBLISHED_DELTA, bounds=PUBLISHED_BOUNDS)
    between = time.process_time()
    least = by_lbfgs(curve)
    end = time.process_time()
    return Compared(
        curve.kind, float(laws.objective_D[0]) / least - 1, between - start, end - between, laws.on_bound[0]
    )


def of_runs(runs: Sequence[Run], number: int) -> list[Curve]:
    """At most so many real curves: a domain's losses after a sixth of the run, means of eight reports."""
    curves = []
    for run in runs:
        for points in run.curve.values():
            seen = np.array(points)[len(points) // 6 :]
            bins = seen[: len(seen) // 8 * 8].reshape(-1, 8, 2).mean(1)
            if len(bins) >= 10:
                curves.append(Curve("real", bins[:, 0] / CONTEXT, bins[:, 1]))
    return curves[:number]


def cpu_ms_of_six(curves: Sequence[Curve], points: int = 128, repeats: int = 20) -> float:
    """The median CPU milliseconds of one fit of six curves together."""
    six = [curve for curve in curves if len(curve.n_T) >= points][:6]
    n_6T, losses_6T = (np.stack([getattr(curve, name)[:points] for curve in six]) for name in ("n_T", "losses_T"))
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        fit(n_6T, losses_6T, delta=PUBLISHED_DELTA, bounds=PUBLISHED_BOUNDS)
        taken.append(time.process_time() - start)
    return float(np.median(taken)) * 1000

"""Least Huber loss of epsilon + beta * n^-alpha over many curves at once, by variable projection.

    m(n)         = epsilon + b * (n / n_T)^-alpha, b = beta * n_T^-alpha, n_T the last point: linear in (epsilon, b)
    r            = log L - log m
    F(alpha)     = min over (epsilon, b) of sum w * huber(r, delta): reweighted least squares, two unknowns, bounded
    alpha        = argmin F: a grid, a closer one about its least, then Gauss-Newton steps of all three parameters

After Golub and Pereyra 1973. In: curves of D domains, T points each. Out: one fit a domain, or one for each of G
values of alpha. Arrays are small, so numpy's calls are the cost: some 3 ms for six domains of 128 points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MIN_POINTS: Final = 4  # three parameters, and one point to contradict them
MIN_DELTA: Final = 1e-5  # of log L; float32 losses carry no more
GRID: Final = 12
_EFFICIENT: Final = 1.345  # deviations: 95% as efficient as least squares on normal noise
_ZOOM: Final = 7
_STEPS: Final = 24
_SETTLED: Final = 1e-5  # relative gain of a step that ends the fit


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a law's parameters may be."""

    min_epsilon: float = 0.0
    max_beta: float = math.inf
    min_alpha: float = 0.01
    max_alpha: float = 2.0


def problem(tokens_T: Floats, losses_T: Floats) -> str | None:
    """What keeps one domain's curve from being fitted; None if nothing does."""
    if not (np.isfinite(losses_T).all() and np.isfinite(tokens_T).all()):
        return "a loss or a number of tokens is not finite"
    if len(tokens_T) < MIN_POINTS:
        return f"{len(tokens_T)} points; a law takes at least {MIN_POINTS}"
    if losses_T.min() <= 0:
        return f"a loss of {losses_T.min():g}; a law takes losses above 0"
    if tokens_T[0] <= 0:
        return f"{tokens_T[0]:g} tokens at the first point; a law takes tokens above 0"
    if (np.diff(tokens_T) <= 0).any():
        return "the tokens do not increase"
    return None


@dataclass(frozen=True, slots=True)
class Curves:
    """Curves ready to fit: x = log(n / n_last), y = log L."""

    x_DT: Floats
    y_DT: Floats
    w_DT: Floats
    last_D: Floats
    delta_D: Floats

    @classmethod
    def of(cls, tokens_DT: Floats, losses_DT: Floats, weights_DT: Floats | None, delta: float | None) -> Curves:
        losses_DT = np.asarray(losses_DT, dtype=np.float64)
        tokens_DT = np.broadcast_to(np.asarray(tokens_DT, dtype=np.float64), losses_DT.shape)
        w_DT = np.ones_like(losses_DT) if weights_DT is None else np.asarray(weights_DT, dtype=np.float64)
        seen_DT = w_DT > 0
        for number, seen_T in enumerate(seen_DT):
            if wrong := problem(tokens_DT[number, seen_T], losses_DT[number, seen_T]):
                raise ValueError(f"domain {number}: {wrong}")
        last_D = np.where(seen_DT, tokens_DT, 0.0).max(1)
        x_DT = np.log(np.where(seen_DT, tokens_DT, last_D[:, None]) / last_D[:, None])
        y_DT = np.log(np.where(seen_DT, losses_DT, 1.0))
        if delta is None:
            noise_D = np.array([_noise(y_T[seen_T]) for y_T, seen_T in zip(y_DT, seen_DT)])
            delta_D = np.maximum(_EFFICIENT * noise_D, MIN_DELTA)
        else:
            delta_D = np.full(len(y_DT), delta)
        return cls(x_DT, y_DT, w_DT, last_D, delta_D)


@dataclass(frozen=True, slots=True)
class Fits:
    """Fits of (epsilon, b) at G values of alpha a domain."""

    alpha_DG: Floats
    epsilon_DG: Floats
    b_DG: Floats
    objective_DG: Floats

    def take(self, place_DH: npt.NDArray[np.int64]) -> Fits:
        return Fits(*(np.take_along_axis(getattr(self, name), place_DH, 1) for name in self.__slots__))

    def beside(self, other: Fits) -> Fits:
        """Both, by alpha."""
        both = Fits(*(np.concatenate((getattr(self, n), getattr(other, n)), 1) for n in self.__slots__))
        return both.take(np.argsort(both.alpha_DG, axis=1, kind="stable"))


def _noise(y_T: Floats) -> float:
    """Deviation of the noise, by second differences: no curve moves them, and a few spikes do not either."""
    differences = np.abs(np.diff(y_T, 2))
    return float(np.median(differences)) / (0.6745 * math.sqrt(6))


def least(curves: Curves, bounds: Bounds) -> Fits:
    """The best fit of each domain, as the only one: a grid of alpha, closer ones about its best, then joint steps."""
    grid_G = np.geomspace(bounds.min_alpha, bounds.max_alpha, GRID)
    fits = project(curves, np.tile(grid_G, (len(curves.last_D), 1)), bounds, None, 6)
    best_D1 = fits.objective_DG.argmin(1)[:, None]
    best = fits.take(best_D1)
    sides_D2 = np.clip(np.concatenate((best_D1 - 1, best_D1 + 1), 1), 0, GRID - 1)
    low_D1, high_D1 = np.split(np.take_along_axis(fits.alpha_DG, sides_D2, 1), 2, 1)
    inside_DG = low_D1 + (high_D1 - low_D1) * np.linspace(0, 1, _ZOOM + 2)[None, 1:-1]
    fits = project(curves, inside_DG, bounds, best, 5).beside(best)
    best = fits.take(fits.objective_DG.argmin(1)[:, None])
    step_D1 = np.ones_like(best.alpha_DG)
    for _ in range(_STEPS):
        alpha_D1 = best.alpha_DG + step_D1 * joint_step(curves, best, bounds)[0]
        tried = project(curves, np.clip(alpha_D1, bounds.min_alpha, bounds.max_alpha), bounds, best, 2)
        gained_D1 = best.objective_DG - tried.objective_DG
        best = best.beside(tried)
        best = best.take(best.objective_DG.argmin(1)[:, None])
        if (np.abs(gained_D1) <= _SETTLED * best.objective_DG + 1e-14).all():
            break
        step_D1 = np.where(gained_D1 > 0, np.minimum(1.0, 2 * step_D1), step_D1 / 4)
    return best


def joint_step(curves: Curves, fits: Fits, bounds: Bounds) -> tuple[Floats, Floats]:
    """The step of alpha of a reweighted Gauss-Newton step of all three parameters, from one fit a domain, and the
    joint inverse's entry of alpha where no residual is large: [D, 1] each."""
    u_DT = np.exp(-fits.alpha_DG * curves.x_DT)
    m_DT = fits.epsilon_DG + fits.b_DG * u_DT
    r_DT = curves.y_DT - np.log(m_DT)
    free_D1 = fits.epsilon_DG > bounds.min_epsilon
    log_n_D1 = np.log(curves.last_D)[:, None]
    inside_D1 = np.log(fits.b_DG + 1e-300) + fits.alpha_DG * log_n_D1 < math.log(bounds.max_beta) - 1e-9
    # Derivatives of log m by epsilon and b (none on a bound) and alpha, with beta instead of b held where it is on its
    # bound; each to unit length, or none.
    fall_DT = fits.b_DG * u_DT * (curves.x_DT + np.where(inside_D1, 0.0, log_n_D1))
    j_D3T = np.stack((free_D1 / m_DT, inside_D1 * u_DT / m_DT, -fall_DT / m_DT), 1)
    length_D3 = np.sqrt(np.einsum("dit,dit,dt->di", j_D3T, j_D3T, curves.w_DT))
    j_D3T /= np.maximum(length_D3, 1e-150)[:, :, None]
    huber_DT = curves.w_DT * np.minimum(1.0, curves.delta_D[:, None] / np.maximum(np.abs(r_DT), 1e-300))
    ridge = 1e-12 * np.eye(3)
    gram_D33 = np.einsum("dit,djt,dt->dij", j_D3T, j_D3T, huber_DT) + ridge
    pull_D31 = np.einsum("dit,dt,dt->di", j_D3T, r_DT, huber_DT)[:, :, None]
    unit_D1 = np.maximum(length_D3[:, 2:], 1e-9)
    step_D1 = np.linalg.solve(gram_D33, pull_D31)[:, 2] / unit_D1
    whole_D33 = np.einsum("dit,djt,dt->dij", j_D3T, j_D3T, curves.w_DT) + ridge
    return step_D1, np.linalg.inv(whole_D33)[:, 2, 2:] / unit_D1**2


def project(curves: Curves, alpha_DG: Floats, bounds: Bounds, start: Fits | None, rounds: int) -> Fits:
    """The best (epsilon, b) for each alpha: `rounds` of reweighted least squares, from the fit `start` where given."""
    x_DGT = np.exp(-alpha_DG[:, :, None] * curves.x_DT[:, None, :])
    y_D1T, w_D1T = curves.y_DT[:, None, :], curves.w_DT[:, None, :]
    delta_D11 = curves.delta_D[:, None, None]
    max_b_DG = bounds.max_beta * curves.last_D[:, None] ** -alpha_DG
    if start is None:
        m_DGT = np.broadcast_to(np.exp(y_D1T), x_DGT.shape)
    else:
        m_DGT = start.epsilon_DG[:, :, None] + start.b_DG[:, :, None] * np.exp(
            -start.alpha_DG[:, :, None] * curves.x_DT[:, None, :]
        )
    for _ in range(rounds):
        r_DGT = y_D1T - np.log(m_DGT)
        # Huber's weight, and the slope of log m; r / slope is the step in m that would close the gap.
        v_DGT = w_D1T * np.minimum(1.0, delta_D11 / np.maximum(np.abs(r_DGT), 1e-300)) / (m_DGT * m_DGT)
        epsilon_DG, b_DG = _bounded_line(x_DGT, m_DGT * (1.0 + r_DGT), v_DGT, bounds.min_epsilon, max_b_DG)
        m_DGT = np.maximum(epsilon_DG[:, :, None] + b_DG[:, :, None] * x_DGT, 1e-9)
    size_DGT = np.abs(y_D1T - np.log(m_DGT))
    inner_DGT = np.minimum(size_DGT, delta_D11)
    objective_DG = np.einsum("dgt,dgt,dt->dg", inner_DGT, size_DGT - 0.5 * inner_DGT, curves.w_DT)
    return Fits(alpha_DG, epsilon_DG, b_DG, objective_DG)


def _bounded_line(x_DGT: Floats, z_DGT: Floats, v_DGT: Floats, low: float, high_DG: Floats) -> tuple[Floats, Floats]:
    """The intercept >= low and the slope in [0, high] that are nearest to z by squares of weight v."""
    vx_DGT = v_DGT * x_DGT
    s, sx, sz = v_DGT.sum(2), vx_DGT.sum(2), np.einsum("dgt,dgt->dg", v_DGT, z_DGT)
    sxx, sxz = np.einsum("dgt,dgt->dg", vx_DGT, x_DGT), np.einsum("dgt,dgt->dg", vx_DGT, z_DGT)
    spread = np.maximum(s * sxx - sx * sx, 1e-300)
    slope = (s * sxz - sx * sz) / spread
    level = (sz - slope * sx) / s
    if ((level < low) | (slope < 0) | (slope > high_DG)).any():
        # The least of a bowl over a box, its own least outside: on a side that it violates.
        level_a = np.maximum(level, low)
        slope_a = np.clip((sxz - level_a * sx) / sxx, 0.0, high_DG)
        slope_b = np.clip(slope, 0.0, high_DG)
        level_b = np.maximum((sz - slope_b * sx) / s, low)

        def height(level: Floats, slope: Floats) -> Floats:
            return level * (s * level - 2 * sz) + slope * (sxx * slope - 2 * sxz) + 2 * sx * level * slope

        first = height(level_a, slope_a) <= height(level_b, slope_b)
        level, slope = np.where(first, level_a, level_b), np.where(first, slope_a, slope_b)
    return level, slope

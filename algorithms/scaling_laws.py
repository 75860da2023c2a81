"""Power laws of the loss by tokens, one a domain, fitted to a whole run's curve in milliseconds.

Adaptive Data Optimization, arXiv 2410.11820, section 3.1, fits L(n) = epsilon + beta * n^-alpha to each domain by 512
starts of L-BFGS on the Huber loss of log L. Here by variable projection (Golub and Pereyra 1973):

    m(n)         = epsilon + b * (n / n_T)^-alpha, b = beta * n_T^-alpha, n_T the last point: linear in (epsilon, b)
    r            = log L - log m
    F(alpha)     = min over (epsilon, b) of sum w * huber(r, delta): reweighted least squares, two unknowns, bounded
    alpha        = argmin F: a grid, then closer grids around its least

    symbol  shape   meaning                                        unit
    n       [D, T]  tokens seen                                    tokens
    L       [D, T]  loss                                           nats a token
    w       [D, T]  weight of a point; 0 where nothing was seen    such as tokens behind the point, by their mean
    delta   [D]     where Huber's loss turns linear                of log L

F is the likelihood's profile over alpha, so intervals come with it: given alpha the rest is a linear regression, and
the profile of epsilon or of the slope is the least of D(alpha) + (distance / conditional deviation)^2 over alpha. The
deviance D is scaled for Huber's loss (mean psi' / mean psi^2) and for residuals that follow one another (their first
autocorrelation), so that 95% intervals hold on real curves. epsilon and alpha are rarely identifiable in a short run,
n dL/dn = -alpha * b at the last point is: decide by it and its deviation.

Where we differ: delta is 1.345 deviations of the noise (95% as efficient as least squares on normal noise) unless one
is given (published: .001 of log L, nearly least absolute deviations); bounds are hard, not a penalty of slope 1. No
forecast. Six domains of 128 points cost some 5 ms on a core; nothing but numpy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

PUBLISHED_DELTA: Final = 1e-3
MIN_POINTS: Final = 4  # three parameters, and one point to contradict them
_EFFICIENT: Final = 1.345
_MIN_DELTA: Final = 1e-5  # of log L; float32 losses carry no more
_GRID: Final = 16
_ZOOM: Final = 7
_ZOOMS: Final = 2
_STEPS: Final = 16
_NEAR_G: Final = np.linspace(-5.0, 5.0, 21)  # in deviations
_SETTLED: Final = 1e-5  # relative gain of a step that ends the fit


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a law's parameters may be."""

    min_epsilon: float = 0.0
    max_beta: float = math.inf
    min_alpha: float = 0.01
    max_alpha: float = 2.0


# The published penalties begin here, with n in sequences of 1,024 tokens.
PUBLISHED_BOUNDS: Final = Bounds(math.exp(0.5), math.exp(6.5), 0.001, 0.8)


@dataclass(frozen=True, slots=True)
class Laws:
    """Laws of D domains; `on_bound` names each domain's parameters that sit on a bound."""

    epsilon_D: Floats
    beta_D: Floats
    alpha_D: Floats
    objective_D: Floats
    on_bound: tuple[tuple[str, ...], ...]

    def losses(self, tokens: float) -> Floats:
        """Loss of each domain after `tokens`, nats a token."""
        return self.epsilon_D + self.beta_D * tokens**-self.alpha_D

    def slopes(self, tokens: float) -> Floats:
        """n dL/dn of each domain after `tokens`: nats a token by e times the tokens; below 0 it learns."""
        return -self.alpha_D * self.beta_D * tokens**-self.alpha_D


@dataclass(frozen=True, slots=True)
class Intervals:
    """95% intervals [D, 2]; the slope is n dL/dn at the last point, averaged over the profile with its deviation."""

    epsilon_D2: Floats
    alpha_D2: Floats
    slope_D2: Floats
    slope_D: Floats
    slope_std_D: Floats


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


def fit(
    tokens_DT: Floats,
    losses_DT: Floats,
    weights_DT: Floats | None = None,
    delta: float | None = None,
    bounds: Bounds = Bounds(),
) -> Laws:
    """The law of each domain; points of weight 0 are not read.

    Raises:
        ValueError: a domain's curve cannot be fitted (see `problem`).
    """
    curves = _Curves.of(tokens_DT, losses_DT, weights_DT, delta)
    found = _least(curves, bounds)
    beta_D = found.b_DG[:, 0] * curves.last_D ** found.alpha_DG[:, 0]
    on_bound = tuple(
        _on_bound(*parameters, bounds)
        for parameters in zip(found.epsilon_DG[:, 0], beta_D, found.b_DG[:, 0], found.alpha_DG[:, 0])
    )
    return Laws(found.epsilon_DG[:, 0], beta_D, found.alpha_DG[:, 0], found.objective_DG[:, 0], on_bound)


def intervals(
    tokens_DT: Floats,
    losses_DT: Floats,
    weights_DT: Floats | None = None,
    delta: float | None = None,
    bounds: Bounds = Bounds(),
    laws: Laws | None = None,
) -> Intervals:
    """What the curves say of each domain's law, by the likelihood's profile; `laws` are their fit, if it is known.

    Raises:
        ValueError: a domain's curve cannot be fitted (see `problem`).
    """
    curves = _Curves.of(tokens_DT, losses_DT, weights_DT, delta)
    best = _least(curves, bounds) if laws is None else _known(curves, laws)
    scale = _scale(curves, best)
    profile = _project(curves, _around(curves, best, scale, bounds), bounds, best, 5)
    least_D1 = np.minimum(profile.objective_DG.min(1), best.objective_DG[:, 0])[:, None]
    deviance_DG = 2 * (profile.objective_DG - least_D1) * scale.deviance_D1
    var_epsilon_DG, var_b_DG = _conditional(curves, profile, scale, bounds)
    slope_DG = -profile.alpha_DG * profile.b_DG
    var_slope_DG = profile.alpha_DG**2 * var_b_DG
    likelihood_DG = np.exp(-0.5 * deviance_DG) * np.gradient(profile.alpha_DG, axis=1)
    likelihood_DG /= likelihood_DG.sum(1, keepdims=True)
    mean_D1 = (likelihood_DG * slope_DG).sum(1, keepdims=True)
    spread_DG = var_slope_DG + (slope_DG - mean_D1) ** 2
    epsilon_D2 = _reach(profile.epsilon_DG, var_epsilon_DG, deviance_DG, scale.limit_D1)
    return Intervals(
        np.maximum(epsilon_D2, bounds.min_epsilon),
        _crossings(profile.alpha_DG, deviance_DG, scale.limit_D1),
        np.minimum(_reach(slope_DG, var_slope_DG, deviance_DG, scale.limit_D1), 0.0),
        mean_D1[:, 0],
        np.sqrt((likelihood_DG * spread_DG).sum(1)),
    )


@dataclass(frozen=True, slots=True)
class _Curves:
    """Curves ready to fit: x = log(n / n_last), y = log L."""

    x_DT: Floats
    y_DT: Floats
    w_DT: Floats
    last_D: Floats
    delta_D: Floats

    @classmethod
    def of(cls, tokens_DT: Floats, losses_DT: Floats, weights_DT: Floats | None, delta: float | None) -> _Curves:
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
            delta_D = np.maximum(_EFFICIENT * noise_D, _MIN_DELTA)
        else:
            delta_D = np.full(len(y_DT), delta)
        return cls(x_DT, y_DT, w_DT, last_D, delta_D)


@dataclass(frozen=True, slots=True)
class _Fits:
    """Fits of (epsilon, b) at G values of alpha a domain."""

    alpha_DG: Floats
    epsilon_DG: Floats
    b_DG: Floats
    objective_DG: Floats

    def take(self, place_DH: npt.NDArray[np.int64]) -> _Fits:
        return _Fits(*(np.take_along_axis(getattr(self, name), place_DH, 1) for name in self.__slots__))

    def beside(self, other: _Fits) -> _Fits:
        """Both, by alpha."""
        both = _Fits(*(np.concatenate((getattr(self, n), getattr(other, n)), 1) for n in self.__slots__))
        return both.take(np.argsort(both.alpha_DG, axis=1, kind="stable"))


def _noise(y_T: Floats) -> float:
    """Deviation of the noise, by second differences: no curve moves them, and a few spikes do not either."""
    differences = np.abs(np.diff(y_T, 2))
    return float(np.median(differences)) / (0.6745 * math.sqrt(6))


def _least(curves: _Curves, bounds: Bounds) -> _Fits:
    """The best fit of each domain, as the only one: a grid of alpha, closer ones about its best, then joint steps."""
    grid_G = np.geomspace(bounds.min_alpha, bounds.max_alpha, _GRID)
    fits = _project(curves, np.tile(grid_G, (len(curves.last_D), 1)), bounds, None, 8)
    for _ in range(_ZOOMS):
        best_D1 = fits.objective_DG.argmin(1)[:, None]
        best = fits.take(best_D1)
        last = fits.alpha_DG.shape[1] - 1
        sides = fits.take(np.concatenate((np.maximum(best_D1 - 1, 0), np.minimum(best_D1 + 1, last)), 1))
        low_D1, high_D1 = sides.alpha_DG[:, :1], sides.alpha_DG[:, 1:]
        inside_DG = low_D1 + (high_D1 - low_D1) * np.linspace(0, 1, _ZOOM + 2)[None, 1:-1]
        fits = _project(curves, inside_DG, bounds, best, 6).beside(sides).beside(best)
    best = fits.take(fits.objective_DG.argmin(1)[:, None])
    step_D1 = np.ones_like(best.alpha_DG)
    for _ in range(_STEPS):
        alpha_D1 = best.alpha_DG + step_D1 * _joint_step(curves, best, bounds)[0]
        tried = _project(curves, np.clip(alpha_D1, bounds.min_alpha, bounds.max_alpha), bounds, best, 2)
        gained_D1 = best.objective_DG - tried.objective_DG
        best = best.beside(tried)
        best = best.take(best.objective_DG.argmin(1)[:, None])
        if (np.abs(gained_D1) <= _SETTLED * best.objective_DG + 1e-14).all():
            break
        step_D1 = np.where(gained_D1 > 0, np.minimum(1.0, 2 * step_D1), step_D1 / 4)
    return best


def _joint_step(curves: _Curves, fits: _Fits, bounds: Bounds) -> tuple[Floats, Floats]:
    """The step of alpha of a reweighted Gauss-Newton step of all three parameters, from one fit a domain, and the
    joint inverse's entry of alpha where no residual is large: [D, 1] each."""
    u_DT = np.exp(-fits.alpha_DG * curves.x_DT)
    m_DT = fits.epsilon_DG + fits.b_DG * u_DT
    r_DT = curves.y_DT - np.log(m_DT)
    free_D1 = (fits.epsilon_DG > bounds.min_epsilon).astype(np.float64)
    # Derivatives of log m by epsilon (none on its bound), b and alpha; each to unit length, or none.
    j_D3T = np.stack((free_D1 / m_DT, u_DT / m_DT, -fits.b_DG * curves.x_DT * u_DT / m_DT), 1)
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


def _project(curves: _Curves, alpha_DG: Floats, bounds: Bounds, start: _Fits | None, rounds: int) -> _Fits:
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
    return _Fits(alpha_DG, epsilon_DG, b_DG, objective_DG)


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


def _on_bound(epsilon: float, beta: float, b: float, alpha: float, bounds: Bounds) -> tuple[str, ...]:
    """Parameters at a bound, to a millionth."""
    at = {
        "epsilon": epsilon <= bounds.min_epsilon + 1e-6,
        "beta": b <= 1e-6 or beta >= bounds.max_beta * (1 - 1e-6),
        "alpha": alpha <= bounds.min_alpha * (1 + 1e-6) or alpha >= bounds.max_alpha * (1 - 1e-6),
    }
    return tuple(name for name, there in at.items() if there)


def _known(curves: _Curves, laws: Laws) -> _Fits:
    b_D = laws.beta_D * curves.last_D**-laws.alpha_D
    return _Fits(laws.alpha_D[:, None], laws.epsilon_D[:, None], b_D[:, None], laws.objective_D[:, None])


@dataclass(frozen=True, slots=True)
class _Scale:
    """By domain, [D, 1]: what turns twice a difference of objectives into a deviance, a sum of squares of derivatives
    into the inverse of a variance, and the deviance's 95% limit."""

    deviance_D1: Floats
    precision_D1: Floats
    limit_D1: Floats


def _scale(curves: _Curves, best: _Fits) -> _Scale:
    """How far the residuals of the best fit let a deviance be trusted."""
    m_DT = best.epsilon_DG + best.b_DG * np.exp(-best.alpha_DG * curves.x_DT)
    seen_DT = curves.w_DT > 0
    r_DT = np.where(seen_DT, curves.y_DT - np.log(m_DT), 0.0)
    points_D1 = seen_DT.sum(1, keepdims=True).astype(np.float64)
    delta_D1 = curves.delta_D[:, None]
    inner_D1 = np.maximum((seen_DT & (np.abs(r_DT) < delta_D1)).sum(1, keepdims=True), 1.0) / points_D1
    psi_DT = np.clip(r_DT, -delta_D1, delta_D1) * np.sqrt(curves.w_DT)
    power_D1 = np.maximum((psi_DT**2).sum(1, keepdims=True), points_D1 * _MIN_DELTA**2)
    # Residuals that follow one another count for fewer points; at most .9, or a curve of another shape counts for none.
    follow_D1 = np.clip((psi_DT[:, 1:] * psi_DT[:, :-1]).sum(1, keepdims=True) / power_D1, 0.0, 0.9)
    fewer_D1 = (1 - follow_D1) / (1 + follow_D1)
    free_D1 = np.maximum(points_D1 * fewer_D1 - 3, 1.0)
    deviance_D1 = inner_D1 * np.maximum(points_D1 - 3, 1.0) * fewer_D1 / power_D1
    # Student's two-sided 95% quantile, by its expansion in 1 / degrees of freedom.
    quantile_D1 = 1.96 + 2.37 / free_D1 + 2.82 / free_D1**2 + 2.5 / free_D1**3
    return _Scale(deviance_D1, deviance_D1 * inner_D1, quantile_D1**2)


def _around(curves: _Curves, best: _Fits, scale: _Scale, bounds: Bounds) -> Floats:
    """Values of alpha to profile at: closely about the best, by the curvature there, and all between the bounds."""
    std_D1 = np.sqrt(_joint_step(curves, best, bounds)[1] / scale.precision_D1)
    near_DG = best.alpha_DG + std_D1 * _NEAR_G
    wide_DG = np.tile(np.geomspace(bounds.min_alpha, bounds.max_alpha, _GRID), (len(near_DG), 1))
    return np.sort(np.clip(np.concatenate((near_DG, wide_DG), 1), bounds.min_alpha, bounds.max_alpha), 1)


def _conditional(curves: _Curves, fits: _Fits, scale: _Scale, bounds: Bounds) -> tuple[Floats, Floats]:
    """Variances of epsilon and b given alpha; none of epsilon on its bound."""
    x_DGT = np.exp(-fits.alpha_DG[:, :, None] * curves.x_DT[:, None, :])
    m_DGT = fits.epsilon_DG[:, :, None] + fits.b_DG[:, :, None] * x_DGT
    v_DGT = curves.w_DT[:, None, :] / (m_DGT * m_DGT)
    s, sx = v_DGT.sum(2), np.einsum("dgt,dgt->dg", v_DGT, x_DGT)
    sxx = np.einsum("dgt,dgt,dgt->dg", v_DGT, x_DGT, x_DGT)
    spread = np.maximum(s * sxx - sx * sx, 1e-12 * s * sxx)
    bound_DG = fits.epsilon_DG <= bounds.min_epsilon
    var_epsilon_DG = np.where(bound_DG, 0.0, sxx / spread)
    return var_epsilon_DG / scale.precision_D1, np.where(bound_DG, 1 / sxx, s / spread) / scale.precision_D1


def _reach(value_DG: Floats, variance_DG: Floats, deviance_DG: Floats, limit_D1: Floats) -> Floats:
    """The interval [D, 2] where a value's profile is under the limit: of each alpha, what it leaves to the rest."""
    left_DG = limit_D1 - deviance_DG
    reach_DG = np.sqrt(variance_DG * np.maximum(left_DG, 0.0))
    low_D = np.where(left_DG >= 0, value_DG - reach_DG, np.inf).min(1)
    high_D = np.where(left_DG >= 0, value_DG + reach_DG, -np.inf).max(1)
    return np.stack((low_D, high_D), 1)


def _crossings(alpha_DG: Floats, deviance_DG: Floats, limit_D1: Floats) -> Floats:
    """Where the deviance's root, straight between the values of alpha, crosses the limit's: [D, 2]."""
    root_DG, limit_D = np.sqrt(np.maximum(deviance_DG, 0.0)), np.sqrt(limit_D1[:, 0])
    found_D2 = np.empty((len(alpha_DG), 2))
    for number, (alpha_G, root_G, limit) in enumerate(zip(alpha_DG, root_DG, limit_D)):
        inside = np.flatnonzero(root_G <= limit)
        for side, place, beyond in ((0, inside[0], inside[0] - 1), (1, inside[-1], inside[-1] + 1)):
            found_D2[number, side] = alpha_G[place]
            if 0 <= beyond < len(alpha_G):
                part = (limit - root_G[place]) / (root_G[beyond] - root_G[place])
                found_D2[number, side] += part * (alpha_G[beyond] - alpha_G[place])
    return found_D2

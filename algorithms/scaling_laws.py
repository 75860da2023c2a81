"""Power laws of the loss by tokens, one a domain, fitted to a whole run's curve in milliseconds.

Adaptive Data Optimization, arXiv 2410.11820, section 3.1, fits L(n) = epsilon + beta * n^-alpha to each domain by 512
starts of L-BFGS on the Huber loss of log L. Here by variable projection (see there for the equations).

    symbol  shape   meaning                                        unit
    n       [D, T]  tokens seen                                    tokens
    L       [D, T]  loss                                           nats a token
    w       [D, T]  weight of a point; 0 where nothing was seen    such as tokens behind the point, by their mean
    delta   [D]     where Huber's loss turns linear                of log L

F(alpha), the least loss given alpha, is the likelihood's profile, so intervals come with it: given alpha the rest is a
linear regression, and the profile of epsilon or of the slope is the least of D(alpha) + (distance / conditional
deviation)^2 over alpha. The deviance D is scaled for Huber's loss (mean psi' / mean psi^2) and for residuals that
follow one another (their first autocorrelation), so that 95% intervals hold on real curves. epsilon and alpha are
rarely identifiable in a short run, n dL/dn = -alpha * b at the last point is: decide by it and its deviation.

Where we differ: delta is 1.345 deviations of the noise (95% as efficient as least squares on normal noise) unless one
is given (published: .001 of log L, nearly least absolute deviations); bounds are hard, not a penalty of slope 1. No
forecast. Six domains of 128 points cost some 3 ms on a core, their intervals as much; nothing but numpy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from algorithms.variable_projection import (
    GRID,
    MIN_DELTA,
    Bounds,
    Curves,
    Fits,
    Floats,
    joint_step,
    least,
    project,
)

PUBLISHED_DELTA: Final = 1e-3
# Of epsilon: a smaller fall is none, and beta, which is it times a large power, no number of millions.
FLAT: Final = 1e-5
_NEAR_G: Final = np.linspace(-4.2, 4.2, 15)  # in deviations

OWN_BOUNDS: Final = Bounds()
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


def smoothed(values_DT: Floats, decay: float) -> Floats:
    """Moving averages of the values along their last axis, each divided by the weight that it has gathered.

    The average of a loss that begins at its first value, or at 0, bends the whole law. Smooth log n as well as the
    losses: both then lag alike.

    Raises:
        ValueError: a decay outside [0, 1).

    >>> smoothed(np.array([[4.0, 2.0, 2.0]]), 0.5).round(3).tolist()
    [[4.0, 2.667, 2.286]]
    """
    if not 0 <= decay < 1:
        raise ValueError(f"a decay of {decay}; it is at least 0 and less than 1")
    found_DT, sum_D, weight = np.empty_like(values_DT), np.zeros(values_DT.shape[:-1]), 0.0
    for place in range(values_DT.shape[-1]):
        sum_D = decay * sum_D + (1 - decay) * values_DT[..., place]
        weight = decay * weight + 1 - decay
        found_DT[..., place] = sum_D / weight
    return found_DT


def fit(
    tokens_DT: Floats,
    losses_DT: Floats,
    weights_DT: Floats | None = None,
    delta: float | None = None,
    bounds: Bounds = OWN_BOUNDS,
) -> Laws:
    """The law of each domain; points of weight 0 are not read.

    Raises:
        ValueError: a domain's curve cannot be fitted (see `problem`).
    """
    curves = Curves.of(tokens_DT, losses_DT, weights_DT, delta)
    found = least(curves, bounds)
    epsilon_D, b_D, alpha_D = found.epsilon_DG[:, 0], found.b_DG[:, 0], found.alpha_DG[:, 0]
    b_D = np.where(b_D < FLAT * epsilon_D, 0.0, b_D)
    beta_D = b_D * curves.last_D**alpha_D
    on_bound = tuple(_on_bound(*parameters, bounds) for parameters in zip(epsilon_D, beta_D, alpha_D))
    return Laws(epsilon_D, beta_D, alpha_D, found.objective_DG[:, 0], on_bound)


def intervals(
    tokens_DT: Floats,
    losses_DT: Floats,
    weights_DT: Floats | None = None,
    delta: float | None = None,
    bounds: Bounds = OWN_BOUNDS,
    laws: Laws | None = None,
) -> Intervals:
    """What the curves say of each domain's law, by the likelihood's profile; `laws` are their fit, if it is known.

    Raises:
        ValueError: a domain's curve cannot be fitted (see `problem`).
    """
    curves = Curves.of(tokens_DT, losses_DT, weights_DT, delta)
    best = least(curves, bounds) if laws is None else _known(curves, laws)
    scale = _scale(curves, best)
    profile = project(curves, _around(curves, best, scale, bounds), bounds, best, 4)
    least_D1 = np.minimum(profile.objective_DG.min(1), best.objective_DG[:, 0])[:, None]
    deviance_DG = 2 * (profile.objective_DG - least_D1) * scale.deviance_D1
    var_epsilon_DG, var_b_DG = _conditional(curves, profile, scale, bounds)
    slope_DG = -profile.alpha_DG * profile.b_DG
    var_slope_DG = profile.alpha_DG**2 * var_b_DG
    likelihood_DG = np.exp(-0.5 * deviance_DG) * np.gradient(profile.alpha_DG, axis=1)
    likelihood_DG /= likelihood_DG.sum(1, keepdims=True)
    average_D1 = (likelihood_DG * slope_DG).sum(1, keepdims=True)
    spread_DG = var_slope_DG + (slope_DG - average_D1) ** 2
    alpha_D2, left_DG = _crossings(profile.alpha_DG, deviance_DG, scale.limit_D1), scale.limit_D1 - deviance_DG
    epsilon_D2 = _reach(profile.epsilon_DG, var_epsilon_DG, left_DG, profile, alpha_D2)
    # A loss that does not rise has its floor below its mean, but for the mean's own error.
    weight_D1 = curves.w_DT.sum(1, keepdims=True)
    mean_D1 = (curves.w_DT * curves.y_DT).sum(1, keepdims=True) / weight_D1
    ceiling_D1 = np.exp(mean_D1 + np.sqrt(scale.limit_D1 / (scale.precision_D1 * weight_D1)))
    return Intervals(
        np.clip(epsilon_D2, bounds.min_epsilon, ceiling_D1),
        alpha_D2,
        np.minimum(_reach(slope_DG, var_slope_DG, left_DG, profile, alpha_D2), 0.0),
        average_D1[:, 0],
        np.sqrt((likelihood_DG * spread_DG).sum(1)),
    )


def _on_bound(epsilon: float, beta: float, alpha: float, bounds: Bounds) -> tuple[str, ...]:
    """Parameters at a bound, to a millionth."""
    at = {
        "epsilon": epsilon <= bounds.min_epsilon + 1e-6,
        "beta": beta == 0 or beta >= bounds.max_beta * (1 - 1e-6),
        "alpha": alpha <= bounds.min_alpha * (1 + 1e-6) or alpha >= bounds.max_alpha * (1 - 1e-6),
    }
    return tuple(name for name, there in at.items() if there)


def _known(curves: Curves, laws: Laws) -> Fits:
    b_D = laws.beta_D * curves.last_D**-laws.alpha_D
    return Fits(laws.alpha_D[:, None], laws.epsilon_D[:, None], b_D[:, None], laws.objective_D[:, None])


@dataclass(frozen=True, slots=True)
class _Scale:
    """By domain, [D, 1]: what turns twice a difference of objectives into a deviance, a sum of squares of derivatives
    into the inverse of a variance, and the deviance's 95% limit."""

    deviance_D1: Floats
    precision_D1: Floats
    limit_D1: Floats


def _scale(curves: Curves, best: Fits) -> _Scale:
    """How far the residuals of the best fit let a deviance be trusted."""
    m_DT = best.epsilon_DG + best.b_DG * np.exp(-best.alpha_DG * curves.x_DT)
    seen_DT = curves.w_DT > 0
    r_DT = np.where(seen_DT, curves.y_DT - np.log(m_DT), 0.0)
    points_D1 = seen_DT.sum(1, keepdims=True).astype(np.float64)
    delta_D1 = curves.delta_D[:, None]
    inner_D1 = np.maximum((seen_DT & (np.abs(r_DT) < delta_D1)).sum(1, keepdims=True), 1.0) / points_D1
    psi_DT = np.clip(r_DT, -delta_D1, delta_D1) * np.sqrt(curves.w_DT)
    power_D1 = np.maximum((psi_DT**2).sum(1, keepdims=True), points_D1 * MIN_DELTA**2)
    # Residuals that follow one another count for fewer points; at most .9, or a curve of another shape counts for none.
    follow_D1 = np.clip((psi_DT[:, 1:] * psi_DT[:, :-1]).sum(1, keepdims=True) / power_D1, 0.0, 0.9)
    fewer_D1 = (1 - follow_D1) / (1 + follow_D1)
    free_D1 = np.maximum(points_D1 * fewer_D1 - 3, 1.0)
    deviance_D1 = inner_D1 * np.maximum(points_D1 - 3, 1.0) * fewer_D1 / power_D1
    # Student's two-sided 95% quantile, by its expansion in 1 / degrees of freedom.
    quantile_D1 = 1.96 + 2.37 / free_D1 + 2.82 / free_D1**2 + 2.5 / free_D1**3
    return _Scale(deviance_D1, deviance_D1 * inner_D1, quantile_D1**2)


def _around(curves: Curves, best: Fits, scale: _Scale, bounds: Bounds) -> Floats:
    """Values of alpha to profile at: closely about the best, by the curvature there, and all between the bounds."""
    std_D1 = np.sqrt(joint_step(curves, best, bounds)[1] / scale.precision_D1)
    near_DG = best.alpha_DG + std_D1 * _NEAR_G
    wide_DG = np.tile(np.geomspace(bounds.min_alpha, bounds.max_alpha, GRID), (len(near_DG), 1))
    return np.sort(np.clip(np.concatenate((near_DG, wide_DG), 1), bounds.min_alpha, bounds.max_alpha), 1)


def _conditional(curves: Curves, fits: Fits, scale: _Scale, bounds: Bounds) -> tuple[Floats, Floats]:
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


def _reach(value_DG: Floats, variance_DG: Floats, left_DG: Floats, profile: Fits, alpha_D2: Floats) -> Floats:
    """The interval [D, 2] where a value's profile is under the limit: of each alpha, what it leaves to the rest."""
    reach_DG = np.sqrt(variance_DG * np.maximum(left_DG, 0.0))
    low_D = np.where(left_DG >= 0, value_DG - reach_DG, np.inf).min(1)
    high_D = np.where(left_DG >= 0, value_DG + reach_DG, -np.inf).max(1)
    # At alpha's own ends nothing is left; they lie between the profile's points.
    ends_D2 = np.stack([np.interp(*row) for row in zip(alpha_D2, profile.alpha_DG, value_DG)])
    return np.stack((np.minimum(low_D, ends_D2.min(1)), np.maximum(high_D, ends_D2.max(1))), 1)


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

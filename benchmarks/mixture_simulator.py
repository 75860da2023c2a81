"""A training run in which a domain's loss depends on its own tokens and, by a transfer matrix, on the others'.

L_k = epsilon_k + b_k * (1 + x_k / late_k)^-alpha_k, x = transfer @ tokens. A law of this kind is what the mixture
policies fit, so it favours them: it tells a policy that is wrong from one that may be right, and ranks no two that are
right. The upper bound is the best mixture that never changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from algorithms.mixture_policy import MixturePolicy
from algorithms.variable_projection import Floats

STEPS = 3000
SEQUENCES = 32
SEQUENCE_TOKENS = 128
WARMUP = 300
FIT_EVERY = 150
# Deviation of the mean loss of one sequence.
NOISE = 0.3


@dataclass(frozen=True)
class Scenario:
    """Laws of K domains, the natural mix, and what a token of domain j is worth to domain k (transfer[k, j])."""

    name: str
    prior_K: Floats
    epsilon_K: Floats
    b_K: Floats
    alpha_K: Floats
    late_K: Floats
    transfer_KK: Floats

    @property
    def domains(self) -> list[str]:
        """Names of the domains."""
        return [f"d{number}" for number in range(len(self.prior_K))]

    def losses(self, tokens_K: Floats) -> Floats:
        """True losses after so many tokens of each domain."""
        return self.epsilon_K + self.b_K * (1 + self.transfer_KK @ tokens_K / self.late_K) ** -self.alpha_K


def _scenario(
    name: str,
    prior: list[float],
    epsilon: list[float],
    b: list[float],
    alpha: list[float],
    late: list[float],
    transfer: float,
) -> Scenario:
    shared = np.full((len(prior), len(prior)), transfer)
    np.fill_diagonal(shared, 1.0)
    return Scenario(
        name, np.array(prior), np.array(epsilon), np.array(b), np.array(alpha), np.array(late), transfer_KK=shared
    )


EARLY = [3e4] * 6
SCENARIOS = (
    # Random bytes: nothing to learn, and a sixth of the data.
    _scenario(
        "unlearnable",
        [0.3, 0.2, 1 / 6, 1 / 6, 0.1, 1 / 15],
        [2.0, 2.2, 5.5, 1.8, 2.5, 2.0],
        [4.0, 4.0, 0.0, 4.0, 4.0, 4.0],
        [0.3, 0.25, 0.3, 0.4, 0.2, 0.3],
        EARLY,
        0.02,
    ),
    # One domain falls only after a million tokens of its own.
    _scenario(
        "late",
        [0.3, 0.25, 0.15, 0.15, 0.1, 0.05],
        [2.0, 2.2, 2.1, 1.8, 2.5, 2.0],
        [4.0] * 6,
        [0.3, 0.25, 0.3, 0.4, 0.2, 0.5],
        [3e4, 3e4, 3e4, 3e4, 3e4, 1e6],
        0.02,
    ),
    # Half of what a token teaches, it teaches all domains.
    _scenario(
        "transfer",
        [0.4, 0.25, 0.15, 0.1, 0.05, 0.05],
        [2.0, 1.5, 2.4, 1.8, 2.5, 2.0],
        [4.0, 3.0, 4.0, 5.0, 4.0, 4.0],
        [0.35, 0.2, 0.3, 0.4, 0.15, 0.3],
        EARLY,
        0.5,
    ),
)
NULL = _scenario("null", [1 / 6] * 6, [2.0] * 6, [4.0] * 6, [0.3] * 6, EARLY, 0.05)


def train(scenario: Scenario, policy: MixturePolicy, seed: int) -> Floats:
    """The true losses [K] after a run of STEPS steps that follows the policy."""
    random = np.random.default_rng(seed)
    domains, tokens_K = scenario.domains, np.zeros(len(scenario.prior_K))
    weights_K = np.array([policy.weights[name] for name in domains])
    for _ in range(STEPS):
        drawn_K = random.multinomial(SEQUENCES, weights_K / weights_K.sum())
        tokens_K += drawn_K * SEQUENCE_TOKENS
        noise_K = NOISE * random.standard_normal(len(domains)) / np.sqrt(np.maximum(drawn_K, 1))
        losses_K = np.maximum(scenario.losses(tokens_K) + noise_K, 0.1)
        seen = [(name, place) for place, name in enumerate(domains) if drawn_K[place]]
        weights = policy.update(
            {name: float(losses_K[place]) for name, place in seen},
            {name: int(drawn_K[place]) * SEQUENCE_TOKENS for name, place in seen},
        )
        weights_K = np.array(list(weights.values()))
    return scenario.losses(tokens_K)


def goal(scenario: Scenario, target: str) -> Callable[[Floats], float]:
    """What a target makes of the losses: their mean, mean by the prior, or largest."""
    if target == "mean":
        return lambda losses_K: float(losses_K.mean())
    if target == "prior":
        return lambda losses_K: float(losses_K @ scenario.prior_K)
    return lambda losses_K: float(losses_K.max())


def best_static(scenario: Scenario, target: str) -> float:
    """The least that a mixture which never changes reaches, by steps down the simplex."""
    measure, tokens = goal(scenario, target), float(STEPS * SEQUENCES * SEQUENCE_TOKENS)
    weights_K, least = scenario.prior_K.copy(), np.inf
    for round_ in range(2000):
        here = measure(scenario.losses(weights_K * tokens))
        least = min(least, here)
        moved_KK = weights_K + 1e-4 * np.eye(len(weights_K))
        slope_K = np.array([measure(scenario.losses(moved_K * tokens)) - here for moved_K in moved_KK]) * 1e4
        slope_K -= weights_K @ slope_K  # what all domains have in common moves nothing
        step = 0.2 / (1 + round_ / 20) / max(float(np.abs(slope_K).max()), 1e-12)
        weights_K = weights_K * np.exp(-step * slope_K)
        weights_K /= weights_K.sum()
    return least


def policy_for(scenario: Scenario, policy: str, target: str) -> MixturePolicy:
    """A policy with the schedule of these runs."""
    prior = dict(zip(scenario.domains, scenario.prior_K.tolist()))
    return MixturePolicy(scenario.domains, prior, policy, target, warmup_steps=WARMUP, fit_every=FIT_EVERY)

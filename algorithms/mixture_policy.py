"""Weights of the training domains, changed while a run learns: called by the trainer after each step.

In: the domains' losses on the tokens since the last call, and how many tokens those were. Out: the weights of the next
batch. numpy alone; a call costs some 10 microseconds, a fit (every `fit_every` steps) some 5 milliseconds. The same
calls give the same weights.

    policy       the weights
    slope        by how fast each domain is learnt, for a target: mean, prior or worst (slope_rule)
    ado          Adaptive Data Optimization as published (adaptive_data)
    ado_uniform  the same with a uniform prior
    pilot        `shares`, such as the average shares of an earlier adaptive run, frozen
    natural      the prior
    uniform      equal
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from algorithms.adaptive_data import PublishedRule
from algorithms.slope_rule import RATE, Curves, wanted
from algorithms.variable_projection import Floats

POLICIES: Final = ("slope", "ado", "ado_uniform", "pilot", "natural", "uniform")
TARGETS: Final = ("mean", "prior", "worst")


class MixturePolicy:
    """The weights of `domains` in one run.

    `prior` are the domains' natural shares, such as their tokens; `target` is the slope rule's. Nothing is learnt from
    the first `warmup_steps` steps (the loss falls from the vocabulary's logarithm) nor from step `decay_from` on (it
    falls with the learning rate): weights stay. `shares` are those of policy `pilot`.

    Raises:
        ValueError: an unknown policy or target, no domains, a domain twice, or shares that are not of these domains.
    """

    def __init__(
        self,
        domains: Sequence[str],
        prior: Mapping[str, float],
        policy: str = "slope",
        target: str = "mean",
        *,
        warmup_steps: int = 1000,
        fit_every: int = 1000,
        decay_from: int | None = None,
        shares: Mapping[str, float] | None = None,
    ) -> None:
        if policy not in POLICIES:
            raise ValueError(f"unknown policy {policy!r}; known: {', '.join(POLICIES)}")
        if target not in TARGETS:
            raise ValueError(f"unknown target {target!r}; known: {', '.join(TARGETS)}")
        if not domains or len(set(domains)) < len(domains):
            raise ValueError(f"domains are at least one, each once, not {list(domains)}")
        if warmup_steps < 0 or fit_every < 1:
            raise ValueError(f"{warmup_steps} steps of warm-up and a fit every {fit_every}: at least 0 and 1")
        if (policy == "pilot") != (shares is not None):
            raise ValueError("shares are given for policy pilot, and only for it")
        self.domains = tuple(domains)
        self.policy = policy
        self.target = target
        self._settings = (warmup_steps, fit_every, decay_from)
        self._prior_K = _shares(self.domains, prior, "prior")
        uniform_K = np.full(len(self.domains), 1 / len(self.domains))
        if shares is not None:
            self._mix_K = _shares(self.domains, shares, "shares")
        elif policy in ("natural", "ado") or (policy == "slope" and target == "prior"):
            self._mix_K = self._prior_K
        else:
            self._mix_K = uniform_K
        self._weights = self._mix_K.tolist()
        self._step = 0
        self._fitted = 0  # step of the last fit
        self._tokens = 0
        self._weighted = [0.0] * len(self.domains)  # weights summed over tokens
        self._curves = Curves(len(self.domains))
        self._published = PublishedRule(self.domains, self._mix_K.tolist(), warmup_steps, fit_every)

    @property
    def weights(self) -> dict[str, float]:
        """The weights in force; they sum to 1."""
        return dict(zip(self.domains, self._weights))

    @property
    def average_shares(self) -> dict[str, float]:
        """The weights averaged over the tokens seen: a `pilot`'s shares. Before any, the weights."""
        if not self._tokens:
            return self.weights
        return {name: weighted / self._tokens for name, weighted in zip(self.domains, self._weighted)}

    def update(
        self, losses: Mapping[str, float], counts: Mapping[str, int], step: int | None = None
    ) -> dict[str, float]:
        """The weights after a step, or after what was trained since the last call.

        `losses` are means in nats a token over the domain's tokens since the last call, `counts` those tokens; a
        domain with no tokens or no loss is left out, or has a count of 0. `step` is the optimizer step, by default
        the one after the last call's.

        Raises:
            ValueError: an unknown domain, a loss that is not a number above 0, a loss without a count, a negative
                count, or a step that is not after the last; nothing has changed then.
        """
        step = self._step + 1 if step is None else step
        by_domain, tokens = self._checked(losses, counts, step)
        self._step = step
        new_tokens = sum(tokens)
        self._weighted = [sum_ + weight * new_tokens for sum_, weight in zip(self._weighted, self._weights)]
        self._tokens += new_tokens
        if self.policy in ("ado", "ado_uniform"):
            self._weights = self._published.update(step, self._tokens, by_domain, tokens) or self._weights
        elif self.policy == "slope" and new_tokens:
            self._slope(by_domain, tokens)
        return self.weights

    def state(self) -> dict[str, Any]:
        """What a resumed run goes on from: lists, numbers and names, as JSON holds them."""
        return {
            "policy": self.policy,
            "target": self.target,
            "domains": list(self.domains),
            "prior": self._prior_K.tolist(),
            "settings": list(self._settings),
            "mix": self._mix_K.tolist(),
            "weights": list(self._weights),
            "step": self._step,
            "fitted": self._fitted,
            "tokens": self._tokens,
            "weighted": list(self._weighted),
            "curves": self._curves.state(),
            "published": self._published.state(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> MixturePolicy:
        """The policy that gave `state`, to go on with."""
        domains, (warmup_steps, fit_every, decay_from) = state["domains"], state["settings"]
        policy = cls(
            domains,
            dict(zip(domains, state["prior"])),
            state["policy"],
            state["target"],
            warmup_steps=warmup_steps,
            fit_every=fit_every,
            decay_from=decay_from,
            shares=dict(zip(domains, state["mix"])) if state["policy"] == "pilot" else None,
        )
        # As they were to the last bit: shares once more divided by their sum are not.
        policy._prior_K, policy._mix_K = np.array(state["prior"]), np.array(state["mix"])
        policy._published = PublishedRule(policy.domains, policy._mix_K.tolist(), warmup_steps, fit_every)
        policy._weights, policy._weighted = list(state["weights"]), list(state["weighted"])
        policy._step, policy._fitted, policy._tokens = state["step"], state["fitted"], state["tokens"]
        policy._curves.restore(state["curves"])
        policy._published.restore(state["published"])
        return policy

    def _slope(self, losses: list[float], counts: list[int]) -> None:
        warmup_steps, fit_every, decay_from = self._settings
        if self._step <= warmup_steps or (decay_from is not None and self._step >= decay_from):
            return
        self._curves.add(self._tokens, losses, counts)
        if self._step // fit_every > self._fitted // fit_every:
            self._fitted = self._step
            weights_K = np.array(self._weights)
            rho_K = wanted(self._curves, self.target, self._mix_K, self._prior_K, weights_K)
            self._weights = ((1 - RATE) * weights_K + RATE * rho_K).tolist()

    def _checked(
        self, losses: Mapping[str, float], counts: Mapping[str, int], step: int
    ) -> tuple[list[float], list[int]]:
        """Losses (NaN where there is none) and counts by domain."""
        for name in [*losses, *counts]:
            if name not in self.domains:
                raise ValueError(f"unknown domain {name!r}; known: {', '.join(self.domains)}")
        for name, loss in losses.items():
            if not (math.isfinite(loss) and loss > 0):
                raise ValueError(f"domain {name!r}: a loss of {loss}; it must be a number above 0")
            if name not in counts:
                raise ValueError(f"domain {name!r} has a loss but no count of tokens")
        for name, count in counts.items():
            if not (math.isfinite(count) and count >= 0):
                raise ValueError(f"domain {name!r}: a count of {count} tokens")
        if step <= self._step:
            raise ValueError(f"step {step} is not after step {self._step}")
        tokens = [int(counts.get(name, 0)) for name in self.domains]
        found = [float(losses.get(name, math.nan)) if count else math.nan for name, count in zip(self.domains, tokens)]
        return found, tokens


def _shares(domains: Sequence[str], given: Mapping[str, float], what: str) -> Floats:
    """Shares of the domains that sum to 1."""
    if set(given) != set(domains):
        odd = sorted(set(given) ^ set(domains))
        raise ValueError(f"{what} of other domains than these: {', '.join(odd)} is not in both")
    shares_K = np.array([float(given[name]) for name in domains])
    for name, share in zip(domains, shares_K):
        if not (math.isfinite(share) and share > 0):
            raise ValueError(f"domain {name!r}: a share of {share} in {what}; it must be above 0")
    return shares_K / shares_K.sum()

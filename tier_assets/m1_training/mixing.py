"""Mixtures that follow training: the reference run's policy, and what the policy makes of a run that trains elsewhere.

In: the draw's own shares, or a run's telemetry. Out: a `MixturePolicy` to ask after each step, or the weights that it
comes to. `algorithms/mixture_policy.py` has the rules.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

import polars as pl

from algorithms.mixture_policy import POLICIES, TARGETS, MixturePolicy

DEFAULT: Final = "slope:prior"


def setting() -> tuple[str, str]:
    """Policy and target as LAKE_MIXTURE names them, such as `slope:mean` or `natural`.

    Raises:
        ValueError: an unknown policy or target; a pilot needs shares and is for trainers of one's own.
    """
    policy, _, target = os.environ.get("LAKE_MIXTURE", DEFAULT).partition(":")
    target = target or "prior"
    known = [name for name in POLICIES if name != "pilot"]
    if policy not in known or target not in TARGETS:
        raise ValueError(
            f"LAKE_MIXTURE is {policy}:{target}; it is one of {', '.join(known)}, and for slope :{', :'.join(TARGETS)}"
        )
    return policy, target


def policy_over(shares: Mapping[str, float], warmup: int, fit_every: int) -> MixturePolicy:
    """The policy of a stage whose draw has these shares of the domains."""
    policy, target = setting()
    return MixturePolicy(list(shares), shares, policy, target, warmup_steps=warmup, fit_every=fit_every)


def replayed(telemetry: pl.DataFrame, prior: Mapping[str, float], warmup: int, fit_every: int) -> MixturePolicy:
    """The policy after a run's telemetry (rows of `training_telemetry` of one run), read in the order of steps.

    `prior` names the domains that are mixed; reports of others, such as a held-out set, are left out.
    """
    mixing = policy_over(prior, warmup, fit_every)
    rows = (
        telemetry.filter(pl.col("domain").is_in(list(prior)))
        .sort("step", "domain")
        .with_columns(new=pl.col("domain_tokens") - pl.col("domain_tokens").shift(1).over("domain").fill_null(0))
    )
    for (step,), part in rows.group_by("step", maintain_order=True):
        seen = part.filter((pl.col("new") > 0) & (pl.col("loss") > 0))
        if len(seen):
            mixing.update(
                dict(seen.select("domain", "loss").iter_rows()),
                dict(seen.select("domain", "new").iter_rows()),
                int(step),  # type: ignore[call-overload]
            )
    return mixing


def natural_shares(telemetry: pl.DataFrame) -> dict[str, float]:
    """The domains' shares of the tokens that a run has seen, domains sorted."""
    seen = telemetry.group_by("domain").agg(pl.col("domain_tokens").max()).filter(pl.col("domain_tokens") > 0)
    total = float(seen["domain_tokens"].sum())
    return {domain: tokens / total for domain, tokens in seen.sort("domain").iter_rows()}

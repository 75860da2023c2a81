"""One turn of the influence round: probes to rows, and whether a model learnt from them may steer the selection.

In: measured probes and a fit. Out: rows of `influence_probes`, and the reason for which a model is not promoted.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from tier_assets.m2_influence.influence_model import KINDS
from tier_assets.m2_influence.influence_model import Settings as ModelSettings
from tier_assets.m2_influence.probe import Probed

# A probe that agrees less than this with the true one measures something else.
MIN_AUDIT_SPEARMAN: Final = 0.3


@dataclass(frozen=True, slots=True)
class Settings:
    """How a checkpoint is probed: first-order `labels`, of which `audited` are probed truly too, against
    `reference_chunks` chunks of the reference."""

    name: str
    labels: int
    audited: int
    reference_chunks: int
    # A window of a model with a longer context: attention would make each probe dear.
    max_context: int = 512
    seed: int = 0
    model: ModelSettings = field(default_factory=ModelSettings)


SMOKE: Final = Settings("smoke", labels=400, audited=100, reference_chunks=32)
DEFAULT: Final = Settings("default", labels=1_000, audited=100, reference_chunks=64)


def settings_of(name: str) -> Settings:
    """The settings of a lake of `smoke` or `default` settings; LAKE_INFLUENCE_MODEL names another kind of model.

    Raises:
        ValueError: an unknown kind.
    """
    kind = os.environ.get("LAKE_INFLUENCE_MODEL") or KINDS[0]
    if kind not in KINDS:
        raise ValueError(f"LAKE_INFLUENCE_MODEL is {kind!r}; known: {', '.join(KINDS)}")
    return replace(SMOKE if name == SMOKE.name else DEFAULT, model=ModelSettings(kind=kind))


def probe_rows(windows: pl.DataFrame, probed: Probed, kind: str, **same: str) -> pl.DataFrame:
    """Rows of `influence_probes` but for the reference version and the checkpoint, which `same` names.

    The score is minus the effect in standard deviations about its mean; 0 for all where all effects are equal.
    """
    effect_N = probed.effect_N
    # Of equal effects the standard deviation is rounding.
    spread = float(effect_N.std()) if len(effect_N) and np.ptp(effect_N) > 0 else 0.0
    score_N = (effect_N.mean() - effect_N) / spread if spread > 0 else np.zeros_like(effect_N)
    return windows.drop("text").with_columns(
        score=pl.Series(np.round(score_N, 4)) + 0.0,
        effect=pl.Series(effect_N),
        kind=pl.lit(kind),
        step_length=pl.lit(probed.step_length),
        flops=pl.lit(probed.flops / max(1, len(effect_N))),
        cpu_s=pl.lit(probed.cpu_s / max(1, len(effect_N))),
        **{name: pl.lit(value) for name, value in same.items()},
    )


def audit(probes: pl.DataFrame) -> tuple[float | None, int]:
    """Spearman of the first-order probes with the true ones of the same documents, and how many there are; None
    where one of them does not vary."""
    first = probes.filter(pl.col("kind") == "first_order").select("doc_id", first="effect")
    both = probes.filter(pl.col("kind") == "true").join(first, on="doc_id")
    found = both.select(pl.corr("effect", "first", method="spearman")).item() if len(both) > 1 else None
    return (None if found is None or np.isnan(found) else round(float(found), 4)), len(both)


def refusal(spearman_within: float | None, beats_domain_mean: bool, audit_spearman: float | None) -> str | None:
    """Why a model is not promoted; None where it is."""
    if audit_spearman is None or audit_spearman < MIN_AUDIT_SPEARMAN:
        return f"first-order probes agree with the true ones at {audit_spearman}, below {MIN_AUDIT_SPEARMAN}"
    if not beats_domain_mean:
        return f"within domains it does not beat their mean: Spearman {spearman_within}"
    return None


def as_floats(values: npt.NDArray[np.floating]) -> pl.Series:
    """Scores as the tables hold them."""
    return pl.Series(np.round(values.astype(np.float64), 4)) + 0.0

"""What is in force: the fit of scorers and the policy that L2 is made with, as the lake's own tables say.

A fit and a policy take force together, when a verification has let them pass. The candidates are the last fit that is
not refused and the last policy adopted. While nothing has passed yet, the first pair that was judged stands: a lake is
not without L2 because of one verdict, which its checks and the UI show.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import polars as pl

from resources.lake import Lake
from tier_assets.l2_selected import clusters, encoder_head, perplexity, scorer
from tier_assets.l2_selected.policy import POLICIES, Policy, from_toml, to_toml
from tier_tables import table

DEFAULT_POLICY: Final = POLICIES["best_half"]
QUALITY: Final = "quality"
HEAD: Final = "quality_encoder"
PERPLEXITY: Final = "perplexity"
CLUSTERS: Final = "clusters"
NOTHING: Final = (
    "no scorer is published in this lake yet: materialise l2_annotations, l2_page_labels, l2_scorer and "
    "l2_verification (lake run)"
)


@dataclass(frozen=True)
class InForce:
    """Name of the fit, and the policy."""

    fit: str
    policy: Policy


@dataclass(frozen=True)
class Fit:
    """The scorers of one fit, and the version of each by its name; without an encoder no head and no centroids."""

    name: str
    versions: Mapping[str, str]
    linear: scorer.Scorer
    perplexity: perplexity.Model
    head: encoder_head.Head | None
    centroids: np.ndarray | None


def candidates(lake: Lake) -> InForce | None:
    """The last fit that is not refused and the last policy adopted; None before the first fit."""
    fits = lake.scan("scorers").filter((pl.col("scorer") == QUALITY) & pl.col("refused").is_null())
    names = fits.select("fit").collect()["fit"]
    return None if names.is_empty() else InForce(names[-1], adopted(lake))


def in_force(lake: Lake) -> InForce:
    """The pair that L2 is made with.

    Raises:
        ValueError: nothing was judged yet.
    """
    judged = lake.scan("verifications").sort("judged_at").select("fit", "policy", "passed").collect()
    if judged.is_empty():
        raise ValueError(NOTHING)
    passed = judged.filter("passed")
    fit, version, _ = passed.row(-1) if len(passed) else judged.row(0)
    return InForce(fit, policy_called(lake, version))


def adopted(lake: Lake) -> Policy:
    """The policy that was adopted last, the default where none was."""
    rows = lake.scan("policies").sort("adopted_at").select("settings").collect()["settings"]
    return from_toml(rows[-1]) if len(rows) else DEFAULT_POLICY


def adopt(lake: Lake, policy: Policy) -> None:
    """Make `policy` the candidate: the next verification judges it, and once passed it is in force."""
    row = {"policy": policy.version, "settings": to_toml(policy), "adopted_at": datetime.now(UTC)}
    lake.append("policies", pl.DataFrame([row], schema=table("policies").schema))


def policy_called(lake: Lake, version: str) -> Policy:
    """The policy of a version, adopted or built in.

    Raises:
        ValueError: neither.
    """
    rows = lake.scan("policies").filter(pl.col("policy") == version).select("settings").collect()["settings"]
    if len(rows):
        return from_toml(rows[-1])
    for policy in POLICIES.values():
        if policy.version == version:
            return policy
    raise ValueError(f"policy {version!r} was never adopted in this lake and is not built in")


def load_fit(lake: Lake, name: str) -> Fit:
    """The scorers of a fit.

    Raises:
        ValueError: the lake has no such fit.
    """
    rows = lake.scan("scorers").filter(pl.col("fit") == name).select("scorer", "scorer_version", "artefact").collect()
    held = {scorer: artefact for scorer, _, artefact in rows.iter_rows()}
    if QUALITY not in held:
        known = lake.scan("scorers").select("fit").unique(maintain_order=True).collect()["fit"].to_list()
        raise ValueError(f"no fit {name!r} in this lake; known: {known}")
    return Fit(
        name=name,
        versions=dict(rows.select("scorer", "scorer_version").iter_rows()),
        linear=scorer.load(held[QUALITY]),
        perplexity=perplexity.load(held[PERPLEXITY]),
        head=encoder_head.load(held[HEAD]) if HEAD in held else None,
        centroids=clusters.load(held[CLUSTERS]).centroids if CLUSTERS in held else None,
    )

"""The selection as a policy's words say it, one document at a time: what `select` must agree with."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tier_assets.l2_selected.policy import Policy

Row = dict[str, Any]


@dataclass
class Slow:
    """Reasons by doc_id, in order, and who is kept."""

    reasons: dict[str, str] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)


def slow_selection(
    rows: list[Row], members: set[str], policy: Policy, vectors: np.ndarray, centroids: np.ndarray
) -> Slow:
    """What becomes of `rows`; influence is not looked at, so value is quality."""
    _slices(rows, policy)
    for row, vector in zip(rows, vectors):
        row["vector"] = vector.astype(float)
        there = bool(np.isfinite(vector).all() and vector.any())
        row["cluster"] = int(np.argmax(centroids.astype(float) @ row["vector"])) if there else None
        same = [r["quality"] for r in rows if r["slice"] == row["slice"] and r["quality"] is not None]
        spread = statistics.stdev(same) if len(same) > 1 else 0.0
        row["margin"] = policy.margin * spread
        row["slack"] = row["margin"] if row["doc_id"] in members else 0.0
    ways = _ways_in(rows, policy)
    for row in rows:
        row["reason"], row["in"], row["floor"] = _judged(row, rows, members, ways, policy)
    if policy.diversity is not None:
        _diversify(rows, members, policy)
    ordered = sorted(rows, key=lambda r: r["doc_id"])
    return Slow({r["doc_id"]: r["reason"] for r in ordered}, [r["doc_id"] for r in ordered if r["in"]])


def _slices(rows: list[Row], policy: Policy) -> None:
    for row in rows:
        size = sum(r["language"] == row["language"] for r in rows)
        named = any(
            rule.language is not None and rule.language == row["language"] and rule.corpus in (None, row["corpus"])
            for rule in policy.rules
        )
        row["rare"] = row["language"] is None or (size < policy.min_slice and not named)
        row["slice"] = "other" if row["rare"] else row["language"]
        row["rule"] = next(
            rule
            for rule in policy.rules
            if rule.language in (None, row["language"]) and rule.corpus in (None, row["corpus"])
        )


def _ways_in(rows: list[Row], policy: Policy) -> list[tuple[str, list[Row], float]]:
    """(reason, group, share): the best share of the group gets in for that reason."""
    ways = []
    for name in {r["slice"] for r in rows}:
        group = [r for r in rows if r["slice"] == name]
        ways.append(("above_threshold", group, group[0]["rule"].keep_share))
    for name in {r["domain"] for r in rows}:
        ways.append(("domain_floor", [r for r in rows if r["domain"] == name], policy.domain_floor))
    for name in {r["language"] for r in rows if r["rare"]}:
        ways.append(("rare_slice", [r for r in rows if r["language"] == name], policy.rare_share))
    for floor in policy.floors:
        group = [r for r in rows if all(getattr(floor, n) in (None, r[n]) for n in ("domain", "language", "corpus"))]
        ways.append((floor.reason, group, floor.keep_share))
    found = []
    for reason, group, share in ways:
        ranked = sorted((r for r in group if r["quality"] is not None), key=lambda r: (-r["quality"], r["doc_id"]))
        found.append((reason, group, ranked[: math.ceil(round(len(ranked) * share, 6))]))
    return [(reason, group, best) for reason, group, best in found if best]  # type: ignore[misc]


def _judged(row: Row, rows: list[Row], members: set[str], ways: list, policy: Policy) -> tuple[str, bool, bool]:  # type: ignore[type-arg]
    """Reason, whether it is in so far, and whether a floor guarantees it."""
    if row["quality"] is None:
        return "not_scored", False, False
    member, slack = row["doc_id"] in members, row["slack"]
    for bound in (*policy.minimums, *policy.maximums):
        score = row[bound.scorer]
        if score is None:
            return "not_scored", False, False
        same = [r[bound.scorer] for r in rows if r["slice"] == row["slice"] and r[bound.scorer] is not None]
        low, high = np.quantile(same, [0.25, 0.75])
        allowed = policy.margin * (high - low) / 1.349 if member else 0.0
        if hasattr(bound, "at_least"):
            if score < bound.at_least - allowed:
                return f"below_minimum_{bound.scorer}", False, False
        elif score > bound.at_most + allowed:
            return f"above_maximum_{bound.scorer}", False, False
    if row["quality"] < row["rule"].min_quality - slack:
        return "below_minimum_quality", False, False
    its = [way for way in ways if any(r is row for r in way[1])]
    within = [w for w in its if member and row["quality"] >= w[2][-1]["quality"] - slack]
    best = [w for w in its if any(r is row for r in w[2]) and _may_enter(row, w, members)]
    floor = any(w[0] != "above_threshold" for w in best + within)
    for reason, _, _ in best:
        return reason, True, floor
    return ("within_margin", True, floor) if within else ("below_quality_threshold", False, floor)


def _may_enter(row: Row, way: tuple[str, list[Row], list[Row]], members: set[str]) -> bool:
    """Whether the row is far enough above the last that the way lets in: floors and slices without members ask nothing.

    A slice that keeps all lets all in.
    """
    reason, group, best = way
    open_ = reason != "above_threshold" or row["doc_id"] in members or not any(r["doc_id"] in members for r in group)
    return open_ or row["rule"].keep_share == 1 or row["quality"] >= best[-1]["quality"] + row["margin"]


def _diversify(rows: list[Row], members: set[str], policy: Policy) -> None:
    assert policy.diversity is not None
    kept: list[Row] = []
    twin: dict[str, Row] = {}
    ordered = sorted(
        (r for r in rows if r["in"]),
        key=lambda r: (not r["floor"], -(r["quality"] + r["slack"]), r["doc_id"] not in members, r["doc_id"]),
    )
    for row in ordered:
        compared = policy.diversity.max_similarity < 1 and row["cluster"] is not None
        for other in kept if compared else []:
            same = (other["cluster"], other["language"]) == (row["cluster"], row["language"])
            if same and other["vector"] @ row["vector"] > policy.diversity.max_similarity + 1e-6:
                twin[row["doc_id"]] = other
                break
        else:
            kept.append(row)
    for row in ordered:
        place = [k for k in kept if (k["slice"], k["cluster"]) == (row["slice"], row["cluster"])]
        cap = math.ceil(round(sum(k["slice"] == row["slice"] for k in kept) * policy.diversity.cluster_share, 6))
        its_members = sum(k["doc_id"] in members for k in place)
        room = max(cap, min(its_members, math.ceil(round(cap * (1 + policy.margin), 6))))
        own = twin.get(row["doc_id"], row)
        behind = next(i for i, k in enumerate(place) if k is own) >= room
        if behind and row["cluster"] is not None and not own["floor"]:
            row["in"], row["reason"] = False, "cluster_cap"
        elif row["doc_id"] in twin:
            row["in"], row["reason"] = False, "semantic_duplicate"

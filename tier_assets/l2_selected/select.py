"""Selection by policy: which documents of a partition are in L2, why, and what moved since the round before.

In: a partition's candidates with their scores (and embeddings, where the policy asks for diversity), the membership of
the round before, a `Policy`. Out: rows of `l2_selected`, a verdict for every other candidate, rows of `tier_moves` for
what changed. Pure and deterministic: the same scores, membership and policy give the same answer, in any order of
rows. Cost: a few sorts of the candidates' numbers; text is never read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from tier_assets.l2_selected.diversity import clusters_of, repeated_or_crowded
from tier_assets.l2_selected.policy import Diversity, Maximum, Minimum, Policy
from tier_tables import L2_SELECTED, TIER_MOVES
from tier_tables.books import VERDICTS

# Scores are rounded to 1e-4; what is made of them is rounded finer, so that no machine's last bit decides.
DECIMALS: Final = 6
MEMBERSHIP: Final = ("doc_id", "corpus", "snapshot", "round")
NEEDED: Final = ("doc_id", "corpus", "snapshot", "domain", "language", "quality", "influence")
EVERY: Final = pl.col("doc_id").is_not_null()
QUARTILES: Final = 1.349  # between the quartiles of a bell curve lie 1.349 standard deviations


@dataclass(frozen=True, slots=True)
class Selection:
    """`rows` as in `l2_selected`, `verdicts` and `moves` as in their tables: rows + verdicts = candidates.

    `values` tells of every candidate what decided [doc_id, slice, value, threshold, kept, reason]; null where the
    candidate has no quality.
    """

    rows: pl.DataFrame
    verdicts: pl.DataFrame
    moves: pl.DataFrame
    values: pl.DataFrame


def select(
    candidates: pl.DataFrame,
    previous: pl.DataFrame,
    policy: Policy,
    round_: int,
    vectors: np.ndarray | None = None,
    centroids: np.ndarray | None = None,
) -> Selection:
    """Selects among the candidates of one partition.

    Args:
        candidates: [doc_id, corpus, snapshot, domain, language, quality, influence] and a column for each of
            `policy.bound_scorers`. `quality` is the score by `policy.scorer`. A candidate without one of the scores
            that the policy asks for gets the verdict `not_scored`; influence may be missing.
        previous: [doc_id, corpus, snapshot, round], the membership of round `round_` - 1: the rows of `l2_selected`
            then, or `membership_at(moves, round_ - 1)`. Survivors keep their round. A former member that is no
            candidate any more moves out and needs no verdict.
        policy: what to keep.
        round_: this round.
        vectors: float32, the embedding of each candidate, of length 1; a row that is zero or not a number is none.
            Read only where the policy asks for diversity, by blocks.
        centroids: float32, of the clusters within which documents are compared; without them all are one cluster.

    Raises:
        ValueError: a column is missing, a doc_id stands twice among the candidates, a member entered in this round or
            later, or the policy asks for embeddings or clusters that are not given.
    """
    _check(candidates, previous, policy, round_, vectors, centroids)
    members = previous.select("doc_id", entered="round")
    numbered = candidates.with_row_index("row").join(members, on="doc_id", how="left")
    judged = _judge(numbered, policy).sort("doc_id")
    if policy.diversity is not None and vectors is not None:
        judged = _diversify(judged, policy.diversity, policy.margin, vectors, centroids)
    return settled(judged, candidates, previous, policy, round_)


def settled(
    judged: pl.DataFrame, candidates: pl.DataFrame, previous: pl.DataFrame, policy: Policy, round_: int
) -> Selection:
    """The selection that a judgement comes to, in its order.

    Args:
        judged: `candidates` with `keep`, `reason`, `detail`, and `slice`, `value`, `threshold` where there are any;
            `entered` is the round in which a member entered, null for the others.
        candidates: as in `select`.
        previous: as in `select`.
        policy: what is written beside the rows.
        round_: this round.
    """
    kept, dropped = judged.filter(pl.col("keep")), judged.filter(~pl.col("keep"))
    return Selection(
        rows=_rows(kept, policy, round_),
        verdicts=_verdicts(dropped, round_),
        moves=_moves(kept, dropped, previous.join(candidates, on="doc_id", how="anti"), round_),
        values=judged.select("doc_id", "slice", "value", "threshold", "reason", kept="keep"),
    )


def membership_at(moves: pl.DataFrame, round_: int) -> pl.DataFrame:
    """The members of L2 after round `round_` and the round in which each entered [doc_id, corpus, snapshot, round],
    from `tier_moves` alone: a document is where its last move took it."""
    return (
        moves.filter(pl.col("round") <= round_)
        .sort("round")
        .unique("doc_id", keep="last")
        .filter(pl.col("to_tier") == "l2")
        .select(MEMBERSHIP)
        .sort("doc_id")
    )


def check_round(candidates: pl.DataFrame, previous: pl.DataFrame, round_: int) -> None:
    """Whether `round_` can start from these.

    Raises:
        ValueError: a doc_id stands twice among the candidates, or a member entered in this round or later.
    """
    if candidates["doc_id"].is_duplicated().any():
        raise ValueError(f"candidates of round {round_} hold a doc_id twice")
    if len(previous.filter(pl.col("round") >= round_)):
        raise ValueError(f"round {round_} starts from the round before it, not from members of round {round_} or later")


def _check(
    candidates: pl.DataFrame,
    previous: pl.DataFrame,
    policy: Policy,
    round_: int,
    vectors: np.ndarray | None,
    centroids: np.ndarray | None,
) -> None:
    """Raises what `select` says."""
    if missing := [name for name in (*NEEDED, *policy.bound_scorers) if name not in candidates.columns]:
        raise ValueError(f"policy {policy.name!r} asks for columns {missing}; candidates have {candidates.columns}")
    check_round(candidates, previous, round_)
    if policy.diversity is None:
        return
    if vectors is None or len(vectors) != len(candidates):
        given = "none" if vectors is None else str(len(vectors))
        raise ValueError(f"policy {policy.name!r} asks for an embedding of each of {len(candidates)} rows, not {given}")
    if policy.diversity.cluster_share < 1 and centroids is None:
        raise ValueError(f"policy {policy.name!r} caps clusters; no centroids are given")


def _judge(rows: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """`rows` with `keep`, `reason`, `detail`, and what they come from; `entered` is null but for a member."""
    rows = rows.with_columns(pl.col("quality", "influence").cast(pl.Float64).fill_nan(None))
    bounded = _with_bounds(_with_slices(rows, policy), policy)
    scored = _with_guarantees(_with_values(bounded, policy), policy)
    floor = pl.col("min_quality") - pl.col("allowance")
    good_enough = pl.col("quality") >= floor
    staying = pl.col("member") & (pl.col("value") >= pl.col("threshold") - pl.col("allowance"))
    reason = (
        pl.when(pl.col("fault").is_not_null())
        .then(pl.col("fault"))
        .when(~good_enough)
        .then(pl.lit("below_minimum_quality"))
        .when(pl.col("in_share"))
        .then(pl.lit("above_threshold"))
        .when(pl.col("floor_reason").is_not_null())
        .then(pl.col("floor_reason"))
        .when(staying)
        .then(pl.lit("within_margin"))
        .otherwise(pl.lit("below_quality_threshold"))
    )
    bar = pl.col("threshold") - pl.col("allowance") + pl.col("entry")
    limit = pl.when(good_enough).then(bar).otherwise(floor)
    shown = pl.when(good_enough).then(pl.col("value")).otherwise(pl.col("quality"))
    detail = pl.format("value {}, threshold {}, slice {}", shown.round(4), limit.round(4), pl.col("slice"))
    wanted = pl.col("in_share") | pl.col("floor_reason").is_not_null() | staying
    return scored.with_columns(
        keep=(pl.col("fault").is_null() & good_enough & wanted).fill_null(False),
        reason=reason,
        detail=pl.coalesce("fault_detail", detail),
    )


def _with_slices(rows: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """Adds `slice` (a language; `other` for those `rare`) and its rule's `keep_share` and `min_quality`."""
    named = pl.lit(False)
    for rule in policy.rules:
        if rule.language is not None:
            corpus = pl.lit(True) if rule.corpus is None else pl.col("corpus") == rule.corpus
            named |= corpus & (pl.col("language") == rule.language)
    own = (pl.len().over("language") >= policy.min_slice) | named
    rows = rows.with_columns(rare=(~own | pl.col("language").is_null()).fill_null(True))
    sliced = rows.with_columns(slice=pl.when("rare").then(pl.lit("other")).otherwise("language"))
    chosen = pl.lit(len(policy.rules) - 1)
    for i, rule in reversed(list(enumerate(policy.rules))):
        fits = pl.lit(True)
        if rule.corpus is not None:
            fits &= pl.col("corpus") == rule.corpus
        if rule.language is not None:
            fits &= pl.col("language") == rule.language
        chosen = pl.when(fits).then(pl.lit(i)).otherwise(chosen)
    rules = pl.DataFrame({
        "rule": range(len(policy.rules)),
        "keep_share": [float(rule.keep_share) for rule in policy.rules],
        "min_quality": [float(rule.min_quality) for rule in policy.rules],
    })  # fmt: skip
    return sliced.with_columns(rule=chosen.cast(pl.Int64)).join(rules, on="rule", how="left").drop("rule")


def _with_bounds(rows: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """Adds `fault` and `fault_detail`, null where all scores asked for are there and within their bounds.

    The scorers' own columns are dropped, so that none can have the name of one that is added.
    """
    faults = [pl.when(pl.col("quality").is_null()).then(pl.lit("not_scored"))]
    details = [pl.when(pl.col("quality").is_null()).then(pl.lit(f"no score by {policy.scorer}"))]
    bounds: tuple[Minimum | Maximum, ...] = (*policy.minimums, *policy.maximums)
    for bound in bounds:
        score = pl.col(bound.scorer).cast(pl.Float64).fill_nan(None)
        reason, limit, out = _out_of_bounds(bound, score, policy.margin)
        said = pl.format(
            "{} {}, bound {}, slice {}", pl.lit(bound.scorer), score.round(4), limit.round(4), pl.col("slice")
        )
        faults += [pl.when(score.is_null()).then(pl.lit("not_scored")), pl.when(out).then(pl.lit(reason))]
        details += [pl.when(score.is_null()).then(pl.lit(f"no score by {bound.scorer}")), pl.when(out).then(said)]
    found = rows.select(fault=pl.coalesce(faults), fault_detail=pl.coalesce(details))
    return pl.concat([rows.drop(policy.bound_scorers), found], how="horizontal")


def _out_of_bounds(bound: Minimum | Maximum, score: pl.Expr, margin: float) -> tuple[str, pl.Expr, pl.Expr]:
    """The reason of a row that is out of the bound, the limit that holds for it, and whether it is out."""
    spread = (score.quantile(0.75, "linear") - score.quantile(0.25, "linear")).over("slice") / QUARTILES
    allowance = pl.when(pl.col("entered").is_not_null()).then(margin * spread).otherwise(0.0)
    if isinstance(bound, Minimum):
        limit = bound.at_least - allowance
        return f"below_minimum_{bound.scorer}", limit, score < limit
    limit = bound.at_most + allowance
    return f"above_maximum_{bound.scorer}", limit, score > limit


def _with_values(rows: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """Adds `value`, whether the row is `in_share` and a `member`, its `allowance`, and the `threshold` of its slice.

    The rows come in order of value, equal ones by doc_id, so exactly the share is kept where there is no member yet;
    the threshold is the value of the last in the share. `entry` is what a row must be above it to enter.
    """
    # An infinite influence would make the whole slice's mean one.
    influence = pl.when(pl.col("influence").is_finite()).then("influence")
    unit = pl.col("quality").std().over("slice") / influence.std().over("slice")
    lift = policy.influence_weight * unit * (influence - influence.mean().over("slice"))
    lift = pl.when(lift.is_finite()).then(lift).otherwise(0.0)
    valued = rows.with_columns(value=(pl.col("quality") + lift).round(DECIMALS)).sort(
        "value", "doc_id", descending=[True, False], nulls_last=True
    )
    member = pl.col("entered").is_not_null()
    margin = policy.margin * pl.col("value").std().over("slice").fill_null(0.0)
    shared = valued.with_columns(
        in_share=_best(EVERY, pl.col("keep_share"), "slice"),
        member=member,
        allowance=pl.when(member).then(margin).otherwise(0.0),
        # What keeps all has no place to be noisy about.
        entry=pl.when(~member & member.any().over("slice") & (pl.col("keep_share") < 1)).then(margin).otherwise(0.0),
    )
    threshold = pl.col("value").filter(pl.col("in_share")).min().over("slice")
    return shared.with_columns(threshold=threshold).with_columns(
        in_share=(pl.col("in_share") & (pl.col("value") >= pl.col("threshold") + pl.col("entry"))).fill_null(False)
    )


def _best(fits: pl.Expr, share: pl.Expr, over: str | None) -> pl.Expr:
    """Whether a row, in order of value, is among the best `share` of those that fit, in each group of `over`."""
    scored, place = (fits & pl.col("value").is_not_null()).sum(), fits.cum_sum()
    if over is not None:
        scored, place = scored.over(over), place.over(over)
    return fits & (place <= (scored * share).round(DECIMALS).ceil()) & pl.col("value").is_not_null()


def _with_guarantees(rows: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """Adds `floor_reason` (null but for what a floor keeps) and `guaranteed`; lowers `threshold` to the floors'.

    A member within the margin of what a floor keeps is guaranteed too. Rows are in order of value.
    """
    guarantees: list[tuple[str, pl.Expr, float, str | None]] = [
        ("domain_floor", EVERY, policy.domain_floor, "domain"),
        ("rare_slice", pl.col("rare"), policy.rare_share, "language"),
    ]
    for floor in policy.floors:
        fits = EVERY
        for name in ("domain", "language", "corpus"):
            if (wanted := getattr(floor, name)) is not None:
                fits &= (pl.col(name) == wanted).fill_null(False)
        guarantees.append((floor.reason, fits, floor.keep_share, None))
    rows = rows.with_columns(floor_reason=pl.lit(None, pl.String), guaranteed=pl.lit(False))
    for reason, fits, share, over in guarantees:
        if share == 0:
            continue
        best = _best(fits, pl.lit(float(share)), over)
        rows = rows.with_columns(best=best)
        last = pl.col("value").filter("best").min()
        rows = rows.with_columns(last=pl.when(fits).then(last if over is None else last.over(over)))
        staying = pl.col("member") & (pl.col("value") >= pl.col("last") - pl.col("allowance"))
        rows = rows.with_columns(
            floor_reason=pl.coalesce("floor_reason", pl.when("best").then(pl.lit(reason))),
            guaranteed=pl.col("guaranteed") | pl.col("best") | staying.fill_null(False),
            threshold=pl.min_horizontal("threshold", "last"),
        ).drop("best", "last")
    return rows.with_columns(pl.col("threshold").fill_null(float("inf")))


def _diversify(
    judged: pl.DataFrame, diversity: Diversity, margin: float, vectors: np.ndarray, centroids: np.ndarray | None
) -> pl.DataFrame:
    """`judged` (in order of doc_id) less what repeats a better document or crowds a cluster."""
    clusters = clusters_of(vectors, judged["row"].to_numpy(), centroids)
    dropped = repeated_or_crowded(judged.filter(pl.col("keep")), vectors, clusters, diversity, margin)
    gone = pl.col("reason_right").is_not_null()
    return judged.join(dropped, on="doc_id", how="left", maintain_order="left").with_columns(
        keep=pl.col("keep") & ~gone,
        reason=pl.coalesce("reason_right", "reason"),
        detail=pl.when(gone).then("detail_right").otherwise("detail"),
    )


def _rows(kept: pl.DataFrame, policy: Policy, round_: int) -> pl.DataFrame:
    return kept.with_columns(
        policy=pl.lit(policy.version), round=pl.col("entered").fill_null(round_).cast(pl.Int64)
    ).select(pl.col(n).cast(t) for n, t in L2_SELECTED.schema.items())


def _verdicts(dropped: pl.DataFrame, round_: int) -> pl.DataFrame:
    found = dropped.with_columns(tier=pl.lit("l2"), round=pl.lit(round_))
    present = set(found.columns)
    return found.select(
        (pl.col(n) if n in present else pl.lit(None)).cast(t).alias(n) for n, t in VERDICTS.schema.items()
    )


def _moves(kept: pl.DataFrame, dropped: pl.DataFrame, gone: pl.DataFrame, round_: int) -> pl.DataFrame:
    """Promotions, demotions, and members that left L1; nothing for rows that stayed where they were."""
    entered, demoted = kept.filter(pl.col("entered").is_null()), dropped.filter(pl.col("entered").is_not_null())
    parts = [
        (entered, "l1", "l2", pl.format("promoted_{}", pl.col("reason"))),
        (demoted, "l2", "l1", pl.format("demoted_{}", pl.col("reason"))),
        (gone, "l2", "l1", pl.lit("demoted_not_in_l1")),
    ]
    return pl.concat(
        frame.with_columns(
            round=pl.lit(round_), from_tier=pl.lit(source), to_tier=pl.lit(target), reason=reason
        ).select(pl.col(n).cast(t) for n, t in TIER_MOVES.schema.items())
        for frame, source, target, reason in parts
    ).sort("doc_id")

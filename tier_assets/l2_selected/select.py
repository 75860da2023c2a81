"""Selection by policy: which documents of a partition are in L2, why, and what moved since the round before.

In: a partition's candidates with their scores, the membership of the round before, a `Policy`. Out: rows of
`l2_selected`, a verdict for every other candidate, rows of `tier_moves` for what changed. Pure and deterministic: the
same scores, membership and policy give the same answer, in any order of rows. Cost: a few sorts of the candidates'
numbers; text is never read.
"""

from __future__ import annotations

import hashlib
from dataclasses import astuple, dataclass
from typing import Final

import polars as pl

from tier_tables import L2_SELECTED, TIER_MOVES
from tier_tables.books import VERDICTS

# Scores are rounded to 1e-4; what is made of them is rounded finer, so that no machine's last bit decides.
DECIMALS: Final = 6
MEMBERSHIP: Final = ("doc_id", "corpus", "snapshot", "round")


@dataclass(frozen=True, slots=True)
class Rule:
    """What is kept of a slice: the best `keep_share` of its documents, none of them below `min_quality` (0 to 5).

    `corpus` and `language` name the slice; None stands for any.
    """

    keep_share: float
    min_quality: float = 0.0
    corpus: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """How L2 is selected.

    A slice is a language of the partition's corpus; the first rule that fits it holds. Languages with fewer than
    `min_slice` documents are one slice together, so that a share of them means something. A document's value is its
    quality, plus `influence_weight` standard deviations of quality for each standard deviation of influence (higher
    influence is better; a document without influence counts as average). The best `domain_floor` of each domain are
    kept whatever their slice's share, never below `min_quality`. A member stays until its value is `margin` standard
    deviations of its slice below the threshold.
    """

    name: str
    rules: tuple[Rule, ...]
    domain_floor: float = 0.1
    min_slice: int = 20
    influence_weight: float = 0.5
    margin: float = 0.1

    def __post_init__(self) -> None:
        if not self.rules or self.rules[-1].corpus is not None or self.rules[-1].language is not None:
            raise ValueError(f"policy {self.name!r} needs a last rule for any corpus and language")
        shares = [rule.keep_share for rule in self.rules] + [self.domain_floor]
        if not all(0 <= share <= 1 for share in shares) or self.margin < 0:
            raise ValueError(f"policy {self.name!r}: shares lie in 0 to 1 and the margin is not negative")

    @property
    def version(self) -> str:
        """Name and hash of all settings, such as `best_half-5d1c0b7e`: the column `policy` of `l2_selected`."""
        return f"{self.name}-{hashlib.sha256(repr(astuple(self)).encode()).hexdigest()[:8]}"


DEFAULT: Final = Policy("best_half", (Rule(keep_share=0.5),))
SMOKE: Final = DEFAULT


@dataclass(frozen=True, slots=True)
class Selection:
    """`rows` as in `l2_selected`, `verdicts` and `moves` as in their tables: rows + verdicts = candidates."""

    rows: pl.DataFrame
    verdicts: pl.DataFrame
    moves: pl.DataFrame


def select(candidates: pl.DataFrame, previous: pl.DataFrame, policy: Policy, round_: int) -> Selection:
    """Selects among `candidates` [doc_id, corpus, snapshot, domain, language, quality, influence] of one partition.

    `previous` [doc_id, corpus, snapshot, round] is the membership of round `round_` - 1: the rows of `l2_selected`
    then, or `membership_at(moves, round_ - 1)`. Survivors keep their round. A candidate without quality gets the
    verdict `not_scored`; a former member that is no candidate any more moves out and needs no verdict.

    Raises:
        ValueError: a doc_id twice among the candidates, or a member that entered in this round or later.
    """
    if candidates["doc_id"].is_duplicated().any():
        raise ValueError(f"candidates of round {round_} hold a doc_id twice")
    if len(previous.filter(pl.col("round") >= round_)):
        raise ValueError(f"round {round_} starts from the round before it, not from members of round {round_} or later")
    members = previous.select("doc_id", entered="round")
    judged = _judge(candidates.join(members, on="doc_id", how="left"), policy).sort("doc_id")
    kept, dropped = judged.filter(pl.col("keep")), judged.filter(~pl.col("keep"))
    return Selection(
        rows=_rows(kept, policy, round_),
        verdicts=_verdicts(dropped, round_),
        moves=_moves(kept, dropped, previous.join(candidates, on="doc_id", how="anti"), round_),
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


def _judge(rows: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """`rows` with `keep`, `reason` and `detail`; `entered` is the round in which a member entered, else null."""
    scored = _with_values(_with_slices(rows, policy), policy)
    member = pl.col("entered").is_not_null()
    allowance = pl.when(member).then(policy.margin * pl.col("spread")).otherwise(0.0)
    floor = pl.col("min_quality") - allowance
    good_enough = pl.col("quality") >= floor
    staying = member & (pl.col("value") >= pl.col("threshold") - allowance)
    keep = good_enough & (pl.col("in_share") | pl.col("in_floor") | staying)
    reason = (
        pl.when(pl.col("quality").is_null())
        .then(pl.lit("not_scored"))
        .when(~good_enough)
        .then(pl.lit("below_minimum_quality"))
        .when(pl.col("in_share"))
        .then(pl.lit("above_threshold"))
        .when(pl.col("in_floor"))
        .then(pl.lit("domain_floor"))
        .when(staying)
        .then(pl.lit("within_margin"))
        .otherwise(pl.lit("below_quality_threshold"))
    )
    limit = pl.when(good_enough).then(pl.col("threshold") - allowance).otherwise(floor)
    shown = pl.when(good_enough).then(pl.col("value")).otherwise(pl.col("quality"))
    detail = pl.format("value {}, threshold {}, slice {}", shown.round(4), limit.round(4), pl.col("slice"))
    return scored.with_columns(keep=keep.fill_null(False), reason=reason, detail=detail)


def _with_slices(rows: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """Adds `slice` (a language, or `other`) and its rule's `keep_share` and `min_quality`."""
    language = pl.when(pl.len().over("language") >= policy.min_slice).then(pl.col("language"))
    sliced = rows.with_columns(slice=language.fill_null(pl.lit("other")))
    chosen = pl.lit(len(policy.rules) - 1)
    for i, rule in reversed(list(enumerate(policy.rules))):
        fits = pl.lit(True)
        if rule.corpus is not None:
            fits &= pl.col("corpus") == rule.corpus
        if rule.language is not None:
            fits &= pl.col("slice") == rule.language
        chosen = pl.when(fits).then(pl.lit(i)).otherwise(chosen)
    rules = pl.DataFrame({
        "rule": range(len(policy.rules)),
        "keep_share": [rule.keep_share for rule in policy.rules],
        "min_quality": [rule.min_quality for rule in policy.rules],
    })  # fmt: skip
    return sliced.with_columns(rule=chosen.cast(pl.Int64)).join(rules, on="rule", how="left").drop("rule")


def _with_values(rows: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """Adds `value`, its `spread` in the slice, the `threshold`, and whether the row is `in_share` and `in_floor`.

    Equal values are ordered by doc_id, so exactly the share is kept; the threshold is the last kept value.
    """
    influence = pl.col("influence").cast(pl.Float64)
    unit = pl.col("quality").std().over("slice") / influence.std().over("slice")
    lift = policy.influence_weight * unit * (influence - influence.mean().over("slice"))
    lift = pl.when(lift.is_finite()).then(lift).otherwise(0.0)
    valued = rows.with_columns(value=(pl.col("quality") + lift).round(DECIMALS)).sort(
        "value", "doc_id", descending=[True, False], nulls_last=True
    )
    scored = pl.col("value").count()
    in_slice = pl.int_range(1, pl.len() + 1).over("slice")
    in_domain = pl.int_range(1, pl.len() + 1).over("domain")
    places = (scored.over("slice") * pl.col("keep_share")).round(DECIMALS).ceil()
    floor_places = (scored.over("domain") * policy.domain_floor).round(DECIMALS).ceil()
    has_value = pl.col("value").is_not_null()
    valued = valued.with_columns(
        in_share=(in_slice <= places) & has_value,
        in_floor=(in_domain <= floor_places) & has_value,
        spread=pl.col("value").std().over("slice").fill_null(0.0),
    )
    share_threshold = pl.col("value").filter(pl.col("in_share")).min().over("slice")
    floor_threshold = pl.col("value").filter(pl.col("in_floor")).min().over("domain")
    return valued.with_columns(threshold=pl.min_horizontal(share_threshold, floor_threshold).fill_null(float("inf")))


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

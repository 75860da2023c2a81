"""A rollback: the members of an earlier round are the members again, whatever scores and policy say now.

In: a partition's candidates, its members after the round that is restored and after the round before this one. Out: a
`Selection` as any round's. Pure and deterministic; text is never read.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from tier_assets.l2_selected.policy import Policy
from tier_assets.l2_selected.select import Selection, check_round, settled

RESTORED: Final = "rolled_back"
DETAILS: Final = {
    "not_scored": "a member of the round restored, without a score now",
    "rolled_back": "not a member of the round restored",
    "not_restored": "a member neither of the round restored nor of the one before",
}


def restore(
    candidates: pl.DataFrame, members_then: pl.DataFrame, previous: pl.DataFrame, policy: Policy, round_: int
) -> Selection:
    """Makes the members of an earlier round those of round `round_`.

    Members that stay keep the round in which they had entered; those that come back enter in this round, so that the
    moves alone say both. A document that was no member then is none now, be it new: it waits for the next round.

    Args:
        candidates: [doc_id, corpus, snapshot, quality, influence], as in `select`. One without quality gets the verdict
            `not_scored`, as there; what leaves gets `rolled_back`, and what was outside and stays there `not_restored`.
        members_then: [doc_id, ...], the membership of the round that is restored: `membership_at(moves, restores)`.
            A member that is no candidate any more does not come back.
        previous: [doc_id, corpus, snapshot, round], the membership of round `round_` - 1.
        policy: the policy in force, written beside the rows; it decides nothing.
        round_: this round.

    Raises:
        ValueError: a doc_id stands twice among the candidates, or a member entered in this round or later.
    """
    check_round(candidates, previous, round_)
    numbers = candidates.with_columns(pl.col("quality", "influence").cast(pl.Float64).fill_nan(None))
    known = numbers.join(previous.select("doc_id", entered="round"), on="doc_id", how="left")
    then = members_then.select("doc_id", then=pl.lit(True)).unique()
    back = pl.col("then").fill_null(False)
    reason = (
        pl.when(back & pl.col("quality").is_null())
        .then(pl.lit("not_scored"))
        .when(back)
        .then(pl.lit(RESTORED))
        .when(pl.col("entered").is_not_null())
        .then(pl.lit("rolled_back"))
        .otherwise(pl.lit("not_restored"))
    )
    judged = known.join(then, on="doc_id", how="left").with_columns(
        keep=back & pl.col("quality").is_not_null(),
        reason=reason,
        detail=reason.replace_strict(DETAILS),
        slice=pl.lit(None, pl.String),
        value=pl.lit(None, pl.Float64),
        threshold=pl.lit(None, pl.Float64),
    )
    return settled(judged.sort("doc_id"), candidates, previous, policy, round_)

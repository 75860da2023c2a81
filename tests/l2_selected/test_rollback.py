"""A rollback: members of an earlier round are members again, nothing vanishes, and moves alone rebuild membership."""

from __future__ import annotations

import random
from dataclasses import dataclass

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tier_assets.l2_selected.policy import Policy, Rule
from tier_assets.l2_selected.rollback import restore
from tier_assets.l2_selected.select import Selection, membership_at, select
from tier_tables import L2_SELECTED, TIER_MOVES
from tier_tables.books import VERDICTS

NOBODY = pl.DataFrame(schema={"doc_id": pl.String, "corpus": pl.String, "snapshot": pl.String, "round": pl.Int64})
HALF = Policy("half", (Rule(0.5),), domain_floor=0.0, min_slice=1, margin=0.1)


def candidates(qualities: dict[str, float | None], influences: dict[str, float] | None = None) -> pl.DataFrame:
    """Documents of one language by their quality."""
    return pl.DataFrame({
        "doc_id": list(qualities),
        "corpus": "mail",
        "snapshot": "s1",
        "domain": "mail",
        "language": "en",
        "quality": pl.Series(list(qualities.values()), dtype=pl.Float64),
        "influence": pl.Series([(influences or {}).get(d) for d in qualities], dtype=pl.Float64),
    })  # fmt: skip


def members(**rounds: int) -> pl.DataFrame:
    return pl.DataFrame([(d, "mail", "s1", r) for d, r in rounds.items()], schema=NOBODY.schema, orient="row")


@pytest.fixture(scope="module")
def restored() -> Selection:
    """Round 1 had a, b, gone and bare; round 2 has a, c and gone; d was never a member; bare has no quality now."""
    now = candidates({"bare": None, "d": 5.0, "c": 4.0, "b": 1.0, "a": 2.0}, {"a": 0.5})
    return restore(now, members(a=1, b=1, bare=1, gone=1), members(a=1, c=2, gone=1), HALF, 3)


def test_restored_members_are_those_of_then_that_are_still_candidates(restored: Selection) -> None:
    assert restored.rows.schema == L2_SELECTED.schema
    assert restored.rows.select("doc_id", "quality", "influence", "policy", "reason", "round").rows() == [
        ("a", 2.0, 0.5, HALF.version, "rolled_back", 1),
        ("b", 1.0, None, HALF.version, "rolled_back", 3),
    ]


def test_restored_round_says_of_every_other_candidate_why_it_is_out(restored: Selection) -> None:
    assert restored.verdicts.schema == VERDICTS.schema
    assert restored.verdicts.select("doc_id", "tier", "reason", "round").rows() == [
        ("bare", "l2", "not_scored", 3),
        ("c", "l2", "rolled_back", 3),
        ("d", "l2", "not_restored", 3),
    ]
    assert restored.verdicts["detail"].null_count() == 0
    assert restored.values.select("doc_id", "kept").rows() == [
        ("a", True), ("b", True), ("bare", False), ("c", False), ("d", False)
    ]  # fmt: skip


def test_restored_round_moves_what_leaves_and_what_comes_back(restored: Selection) -> None:
    assert restored.moves.schema == TIER_MOVES.schema
    assert restored.moves.select("round", "doc_id", "from_tier", "to_tier", "reason").rows() == [
        (3, "b", "l1", "l2", "promoted_rolled_back"),
        (3, "c", "l2", "l1", "demoted_rolled_back"),
        (3, "gone", "l2", "l1", "demoted_not_in_l1"),
    ]


def test_restore_whatever_policy_and_scores_say_now_keeps_the_members() -> None:
    nothing = Policy("nothing", (Rule(0.0, min_quality=9.0),), domain_floor=0.0)
    found = restore(candidates({"a": 0.0, "b": 5.0}), members(a=1), members(a=1), nothing, 3)
    assert found.rows["doc_id"].to_list() == ["a"]
    assert found.moves.is_empty()


def test_restore_from_members_of_its_own_round_or_a_doc_id_twice_is_refused() -> None:
    rows = candidates({"a": 1.0})
    with pytest.raises(ValueError, match="starts from the round before"):
        restore(rows, members(), members(a=3), HALF, 3)
    with pytest.raises(ValueError, match="twice"):
        restore(pl.concat([rows, rows]), members(), members(), HALF, 3)


@dataclass(frozen=True)
class Turn:
    """A round of a made-up history: the seed of its scores and, of a rollback, how far back it goes."""

    seed: int
    back: float | None


turns = st.lists(
    st.builds(Turn, st.integers(0, 2**32 - 1), st.one_of(st.none(), st.none(), st.floats(0, 1))), min_size=1, max_size=8
)


def drawn(seed: int) -> pl.DataFrame:
    """Most of thirty documents, others in each round, one in ten without quality."""
    draw = random.Random(seed)
    here = [f"d{i:02}" for i in range(30) if draw.random() < 0.9]
    qualities = {d: None if draw.random() < 0.1 else draw.randrange(51) / 10 for d in here}
    return candidates(qualities, {d: draw.gauss(0, 1) for d in here if draw.random() < 0.8})


@given(turns)
def test_moves_of_any_rounds_and_rollbacks_alone_give_the_membership_of_each(history: list[Turn]) -> None:
    moves = TIER_MOVES.empty()
    made: list[pl.DataFrame] = []
    for round_, turn in enumerate(history, 1):
        now, previous = drawn(turn.seed), membership_at(moves, round_ - 1)
        to = 1 + int((turn.back or 0) * (round_ - 2))
        if turn.back is None or round_ == 1:
            found = select(now, previous, HALF, round_)
        else:
            found = restore(now, membership_at(moves, to), previous, HALF, round_)
            then = made[to - 1].join(now.drop_nulls("quality"), on="doc_id", how="semi")
            assert set(found.rows["doc_id"]) == set(then["doc_id"])
        judged = [*found.rows["doc_id"], *found.verdicts["doc_id"]]
        assert sorted(judged) == now["doc_id"].to_list()
        stayed = found.rows.join(previous, on="doc_id", how="inner")
        assert (stayed["round"] == stayed["round_right"]).all()
        assert (found.rows.join(previous, on="doc_id", how="anti")["round"] == round_).all()
        moves = pl.concat([moves, found.moves])
        made.append(found.rows.select(NOBODY.columns))
    for round_, rows in enumerate(made, 1):
        assert membership_at(moves, round_).equals(rows)

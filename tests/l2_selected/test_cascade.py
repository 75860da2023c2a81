"""The cascade: children of what left L2 are marked, with the reason and round of the demotion; others are not."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from tier_assets.l2_selected.cascade import out_of_policy
from tier_tables import LINEAGE, TIER_MOVES
from tier_tables.books import VERDICTS
from tier_tables.training import OUT_OF_POLICY

PLACE = {"corpus": "mail", "snapshot": "s1"}
Move = tuple[int, str, str, str]
PROMOTED = "promoted_above_threshold"
BELOW = "demoted_below_quality_threshold"


def records(**sources: list[str]) -> pl.DataFrame:
    schema = {"record_id": pl.String, "source_doc_ids": pl.List(pl.String)}
    return pl.DataFrame({"record_id": list(sources), "source_doc_ids": list(sources.values())}, schema=schema)


def facts(**doc_ids: str) -> pl.DataFrame:
    schema = {"fact_id": pl.String, "doc_id": pl.String}
    return pl.DataFrame({"fact_id": list(doc_ids), "doc_id": list(doc_ids.values())}, schema=schema)


def lineage(*pairs: tuple[str, str, str]) -> pl.DataFrame:
    rows = [{"child_table": "l4_facts", **PLACE, "child_id": c, "parent_table": t, "parent_id": p} for c, t, p in pairs]
    return pl.DataFrame(rows, schema=LINEAGE.schema)


def verdicts(**reasons: str) -> pl.DataFrame:
    rows = [{"tier": "l2", "doc_id": d, **PLACE, "reason": reason} for d, reason in reasons.items()]
    return pl.DataFrame(rows, schema=VERDICTS.schema)


def moves(rows: Sequence[Move]) -> pl.DataFrame:
    named = [{"round": r, "doc_id": d, **PLACE, "from_tier": "", "to_tier": t, "reason": why} for r, d, t, why in rows]
    return pl.DataFrame(named, schema=TIER_MOVES.schema)


def marked(rows: pl.DataFrame) -> list[tuple[str, str, str, str, int]]:
    assert rows.schema == OUT_OF_POLICY.schema
    assert rows.select("corpus", "snapshot").unique().rows() in ([], [("mail", "s1")])
    return rows.select("child_table", "doc_id", "child_id", "reason", "round").rows()


def test_children_of_demoted_documents_bear_reason_and_round_of_the_demotion() -> None:
    found = out_of_policy(
        records(r1=["a"], r2=["b"]),
        facts(f1="a", f2="b"),
        lineage(("f1", "l2_selected", "a"), ("f2", "l2_selected", "b")),
        verdicts(a="below_quality_threshold", c="below_quality_threshold"),
        moves([(1, "a", "l2", PROMOTED), (1, "b", "l2", PROMOTED), (2, "a", "l1", BELOW)]),
        round_=4,
    )  # fmt: skip
    assert marked(found) == [("l3_refined", "a", "r1", BELOW, 2), ("l4_facts", "a", "f1", BELOW, 2)]


def test_document_demoted_twice_bears_the_last_demotion() -> None:
    history = [(1, "l2", PROMOTED), (2, "l1", BELOW), (3, "l2", PROMOTED), (4, "l1", "demoted_rolled_back")]
    found = out_of_policy(
        records(r1=["a"]),
        facts(),
        lineage(),
        verdicts(a="not_restored"),
        moves([(round_, "a", tier, reason) for round_, tier, reason in history]),
        round_=5,
    )
    assert marked(found) == [("l3_refined", "a", "r1", "demoted_rolled_back", 4)]


def test_document_that_a_round_made_again_leaves_out_bears_its_verdict() -> None:
    # It had entered in round 2 and has a record; round 2 was made again, and starts from round 1, without it.
    found = out_of_policy(records(r1=["a"]), facts(), lineage(), verdicts(a="cluster_cap"), moves([]), round_=2)
    assert marked(found) == [("l3_refined", "a", "r1", "demoted_cluster_cap", 2)]


def test_record_of_several_documents_is_out_once_when_one_of_them_is() -> None:
    found = out_of_policy(
        records(r1=["c", "b", "a"]), facts(), lineage(), verdicts(b="not_scored", a="not_scored"), moves([]), round_=2
    )
    assert marked(found) == [("l3_refined", "a", "r1", "demoted_not_scored", 2)]


def test_fact_that_descends_from_a_record_that_is_out_is_out_with_it() -> None:
    found = out_of_policy(
        records(r1=["a", "b"], r2=["a"]),
        facts(f1="a", f2="a"),
        lineage(*((f, "l3_refined", r) for f, r in (("f1", "r1"), ("f2", "r2"), ("gone", "r1")))),
        verdicts(b="not_scored"),
        moves([]),
        round_=2,
    )  # fmt: skip
    assert marked(found) == [
        ("l3_refined", "b", "r1", "demoted_not_scored", 2),
        ("l4_facts", "b", "f1", "demoted_not_scored", 2),
    ]


def test_children_of_documents_that_left_l1_too_are_not_marked() -> None:
    # What is not in L1 has no verdict of L2: its children leave with the next run of their tier.
    left = moves([(2, "a", "l1", "demoted_not_in_l1")])
    assert out_of_policy(records(r1=["a"]), facts(f1="a"), lineage(), verdicts(), left, round_=2).is_empty()

"""The plan of a withdrawal: all that descends from a document, however far, and what it had displaced."""

from __future__ import annotations

import polars as pl

from tier_assets.withdraw import ROWS, plan
from tier_tables import L1_DUPLICATES, LINEAGE

PLACE = {"corpus": "c", "snapshot": "s"}


def lineage(*edges: tuple[str, str, str, str]) -> pl.DataFrame:
    rows = [
        {"parent_table": above, "parent_id": parent, "child_table": below, "child_id": child, **PLACE}
        for above, parent, below, child in edges
    ]
    return pl.DataFrame(rows, schema=LINEAGE.schema)


MEMBERS = pl.DataFrame(
    [{"table": t, "id": d, **PLACE} for t, d in (("l1_filtered", "a"), ("l2_selected", "a"), ("l1_filtered", "b"))],
    schema=ROWS,
)
TWINS = pl.DataFrame(
    [
        {"doc_id": "twin", "corpus": "c", "snapshot": "t", "kept_doc_id": "a"},
        {"doc_id": "other", "corpus": "c", "snapshot": "s", "kept_doc_id": "b"},
    ],
    schema=L1_DUPLICATES.schema,
)


def test_plan_takes_all_descendants_and_no_other_row() -> None:
    edges = lineage(
        ("l2_selected", "a", "l3_refined", "r1"),
        ("l3_refined", "r1", "l4_facts", "f1"),
        ("l1_filtered", "a", "l4_facts", "f2"),
        ("l1_filtered", "b", "l4_facts", "f3"),
    )
    found = plan(["a"], MEMBERS, edges, TWINS)
    leave = [("l1_filtered", "a"), ("l2_selected", "a"), ("l3_refined", "r1"), ("l4_facts", "f1"), ("l4_facts", "f2")]
    assert found.leave.select("table", "id").rows() == leave
    assert found.may_return["id"].to_list() == ["twin"]
    assert found.keys == ["c@s", "c@t"]
    assert "l4_facts          2 rows leave" in str(found)
    assert "1 duplicates may come back" in str(found)


def test_plan_with_the_duplicates_nothing_comes_back() -> None:
    assert plan(["a", "twin"], MEMBERS, lineage(), TWINS).may_return.is_empty()


def test_plan_ends_where_lineage_goes_in_a_circle() -> None:
    edges = lineage(("l3_refined", "r1", "l4_facts", "f1"), ("l4_facts", "f1", "l3_refined", "r1"))
    found = plan(["a"], MEMBERS, pl.concat([edges, lineage(("l2_selected", "a", "l3_refined", "r1"))]), TWINS)
    assert sorted(found.leave["id"]) == ["a", "a", "f1", "r1"]

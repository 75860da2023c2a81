"""A round on a small lake: members move, what descends from demoted ones is kept and marked; a rollback undoes it."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg
import polars as pl
import pytest

from quality_checks.gate import results_now
from resources.catalog import open_catalog
from resources.lake import Lake
from resources.step import Step
from tests.tier_assets.conftest import ENGINES
from tier_assets.definitions import build
from tier_assets.instance import open_instance
from tier_assets.l2_selected.assets import retier_partition
from tier_assets.l2_selected.in_force import in_force
from tier_assets.l2_selected.select import membership_at
from tier_assets.l3_refined.assets import kept_out_of_policy
from tier_assets.l4_organized.assets import find
from tier_assets.rounds import open_round, roll_back
from tier_assets.selection import dry_run_rollback, dry_run_round
from tier_tables import table

BRIDGES, KEY = {"corpus": "bridges", "snapshot": "2026-01"}, "bridges@2026-01"
MEMBERS = ["doc_id", "corpus", "snapshot", "round"]


def materialise(lake: Lake, *assets: str) -> None:
    """Make assets of the partition, whatever is stale."""
    with open_instance(lake) as instance:
        job = build(lake.root, ENGINES).resolve_job_def("all_tiers")
        names = [dg.AssetKey(asset) for asset in assets]
        assert job.execute_in_process(instance=instance, partition_key=KEY, asset_selection=names).success


def retier(lake: Lake) -> None:
    retier_partition(lake, BRIDGES, in_force(lake), ENGINES.encoder, "test")


def predict(lake: Lake, model: str) -> None:
    """Influence scores that speak for two documents just outside of L2 and against two just inside."""
    held = lake.scan("held_out").select("doc_id")
    quality = lake.scan("l2_scores", {"scorer": "quality", **BRIDGES}).join(held, on="doc_id", how="anti")
    rows = quality.sort("score", "doc_id", descending=[True, False]).collect()
    inside = pl.col("doc_id").is_in(list(ids(lake, "l2_selected")))
    last = inside & (inside.cum_sum() > inside.sum() - 2)
    first = ~inside & ((~inside).cum_sum() <= 2)
    score = pl.when(last).then(-5.0).when(first).then(5.0).otherwise(0.0)
    scores = rows.select("doc_id", "corpus", "snapshot", score=score, uncertainty=pl.lit(0.1))
    write(lake, "influence_scores", scores, model_version=model)


def write(lake: Lake, name: str, rows: pl.DataFrame, **extra: str) -> None:
    """Replace the partition's slice of a table."""
    with Step(lake, "l2", f"planted_{name}", BRIDGES, "test", "1", []) as step:
        stage = step.stage(name, **extra)
        schema = table(name).schema
        named = rows.with_columns(pl.lit(value).alias(column) for column, value in extra.items())
        stage.write(named.select(pl.col(column).cast(dtype) for column, dtype in schema.items()))
        step.commit(stage)


def plant_records(lake: Lake, doc_ids: Sequence[str]) -> None:
    """A record of each document in L3, with its lineage; the scripted model has none that is kept."""
    said = [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "There."}]
    rows = [
        {
            "record_id": f"r-{doc_id}", "doc_id": doc_id, **BRIDGES, "task": "edit", "style": None,
            "source_doc_ids": [doc_id], "source_spans": [{"doc_id": doc_id, "char_start": 0, "char_end": 9}],
            "messages": said, "text": "There.", "model": "m", "prompt_version": "p",
            "temperature": 0.0, "seed": 0, "max_tokens": 9, "seconds": 0.0,
            "prompt_tokens": 1, "output_tokens": 1, "verification_level": 1, "levels": [1],
        }
        for doc_id in doc_ids
    ]  # fmt: skip
    write(lake, "l3_refined", pl.DataFrame(rows, schema=table("l3_refined").schema))
    child = {"child_table": "l3_refined", **BRIDGES}
    parents = [{**child, "child_id": f"r-{d}", "parent_table": "l2_selected", "parent_id": d} for d in doc_ids]
    write(lake, "lineage", pl.DataFrame(parents, schema=table("lineage").schema), child_table="l3_refined")


def ids(lake: Lake, name: str, column: str = "doc_id") -> set[str]:
    return set(lake.scan(name, BRIDGES).collect()[column])


def blocking(lake: Lake, *tiers: str) -> list[str]:
    """Checks of the partition that would stop what comes after."""
    found = [result for tier in tiers for result in results_now(lake, tier, **BRIDGES)]
    return [f"{r.check}: {r.detail}" for r in found if r.blocks]


@pytest.fixture
def second(own_lake: Lake) -> Lake:
    """The lake in round 2, whose L3 and L4 are those of round 1."""
    plant_records(own_lake, sorted(ids(own_lake, "l2_selected")))
    predict(own_lake, "m1")
    open_round(own_lake, "m1")
    retier(own_lake)
    return own_lake


def test_round_moves_both_ways_and_its_moves_say_who_is_a_member(second: Lake) -> None:
    moves = second.scan("tier_moves", BRIDGES).collect()
    now = moves.filter(round=2)
    assert set(now["to_tier"]) == {"l1", "l2"}
    members = second.scan("l2_selected", BRIDGES).select(MEMBERS).sort("doc_id").collect()
    assert membership_at(moves, 2).equals(members)
    verdicts = second.scan("verdicts", {"tier": "l2", **BRIDGES}).collect()
    assert set(verdicts["round"]) == {2}
    assert len(verdicts) + len(members) == len(ids(second, "l1_filtered"))
    assert blocking(second, "l2") == []


def test_children_of_demoted_documents_are_kept_and_marked_through_re_runs(second: Lake) -> None:
    fallen = set(second.scan("tier_moves", BRIDGES).filter(round=2, to_tier="l1").collect()["doc_id"])
    facts = {d: f for f, d in second.scan("l4_facts", BRIDGES).select("fact_id", "doc_id").collect().iter_rows()}
    for again in (False, True):
        if again:
            materialise(second, "l3_refined")
            materialise(second, "l4_facts")
        marked = second.scan("out_of_policy", BRIDGES).collect()
        assert set(marked["doc_id"]) == fallen
        assert set(marked["reason"]) == {"demoted_below_quality_threshold"}
        assert set(marked["round"]) == {2}
        records, stated = ids(second, "l3_refined", "record_id"), ids(second, "l4_facts", "fact_id")
        assert {f"r-{doc_id}" for doc_id in fallen} <= records
        assert {facts[doc_id] for doc_id in fallen} <= stated
        with open_catalog(second) as catalog:
            for view, key in (("l3_refined", "record_id"), ("l4_facts", "fact_id")):
                query = f"SELECT {key} FROM {view} WHERE NOT in_policy AND corpus = ?"
                out = {row[0] for row in catalog.execute(query, [BRIDGES["corpus"]]).fetchall()}
                assert out == set(marked.filter(child_table=view)["child_id"])
    assert ids(second, "l4_facts") == ids(second, "l2_selected") | fallen
    assert blocking(second, "l2", "l3", "l4") == []
    said = {d: s for d, s in second.scan("l4_facts", BRIDGES).select("doc_id", "statement").collect().iter_rows()}
    for doc_id, statement in said.items():
        found = {hit.doc_id for hit in find(second, statement, 500)}
        assert (doc_id in found) == (doc_id not in fallen)


def test_children_of_a_document_that_leaves_l1_are_not_kept(second: Lake) -> None:
    fallen = second.scan("out_of_policy", BRIDGES).collect()["doc_id"].sort()
    rows = second.scan("l1_filtered", BRIDGES).filter(pl.col("doc_id") != fallen[0]).collect()
    write(second, "l1_filtered", rows)
    kept = {record for found in kept_out_of_policy(second, BRIDGES) for record in found.rows["record_id"]}
    assert f"r-{fallen[0]}" not in kept
    assert f"r-{fallen[-1]}" in kept
    retier(second)
    assert fallen[0] not in ids(second, "out_of_policy")


def test_rollback_restores_the_members_and_unmarks_their_children(second: Lake) -> None:
    first = membership_at(second.scan("tier_moves", BRIDGES).collect(), 1)
    entered = set(second.scan("tier_moves", BRIDGES).filter(round=2, to_tier="l2").collect()["doc_id"])
    roll_back(second, 1)
    retier(second)
    assert ids(second, "l2_selected") == set(first["doc_id"])
    assert not set(first["doc_id"]) & ids(second, "out_of_policy")
    reasons = dict(second.scan("verdicts", {"tier": "l2", **BRIDGES}).select("doc_id", "reason").collect().iter_rows())
    assert {doc_id for doc_id, reason in reasons.items() if reason == "rolled_back"} == entered
    assert blocking(second, "l2") == []


def test_partition_that_was_never_selected_by_then_is_selected_in_a_rollback(own_lake: Lake) -> None:
    before = ids(own_lake, "l2_selected")
    write(own_lake, "tier_moves", table("tier_moves").empty(), round="1")
    predict(own_lake, "m1")
    open_round(own_lake, "m1")
    roll_back(own_lake, 1)
    retier(own_lake)
    assert ids(own_lake, "l2_selected") == before
    assert set(own_lake.scan("l2_selected", BRIDGES).collect()["round"]) == {3}


@pytest.mark.parametrize("scores", [[0.5], [None]])
def test_round_of_a_model_that_says_the_same_of_all_moves_nothing(own_lake: Lake, scores: list[float | None]) -> None:
    rows = own_lake.scan("l1_filtered", BRIDGES).select("doc_id", "corpus", "snapshot").collect()
    rows = rows.with_columns(score=pl.Series(scores * len(rows), dtype=pl.Float64), uncertainty=pl.lit(0.1))
    write(own_lake, "influence_scores", rows, model_version="m1")
    before = ids(own_lake, "l2_selected")
    open_round(own_lake, "m1")
    retier(own_lake)
    assert ids(own_lake, "l2_selected") == before
    assert own_lake.scan("tier_moves", BRIDGES).filter(round=2).collect().is_empty()


def test_dry_runs_of_a_round_and_a_rollback_tell_what_would_move_and_change_nothing(own_lake: Lake) -> None:
    with pytest.raises(
        ValueError, match=r"no influence scores of model 'm1' in these partitions; models that have: none"
    ):
        dry_run_round(own_lake, "m1", [KEY], ENGINES)
    predict(own_lake, "m1")
    version = own_lake.version("tier_ledger")
    told = dry_run_round(own_lake, "m1", [KEY], ENGINES)
    assert told.startswith("round 2, which selects by the influence model m1")
    assert own_lake.version("tier_ledger") == version
    open_round(own_lake, "m1")
    retier(own_lake)
    moved = own_lake.scan("tier_moves", BRIDGES).filter(round=2).collect()
    assert set(moved["to_tier"]) == {"l1", "l2"}
    for doc_id, reason in moved.head(10).select("doc_id", "reason").iter_rows():
        assert doc_id in told
        assert reason in told
    back = dry_run_rollback(own_lake, 1, [KEY], ENGINES)
    assert back.startswith("round 3, which restores round 1")
    assert all(doc_id in back for doc_id in moved.head(10)["doc_id"])
    with pytest.raises(ValueError, match=r"cannot go back to round 2; earlier rounds: \[1\]"):
        dry_run_rollback(own_lake, 2, [KEY], ENGINES)

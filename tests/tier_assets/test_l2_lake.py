"""L2 on a small lake by the real assets: what is learnt, what takes force, and what a policy changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import polars as pl
import pytest

from resources.encoder_resource import GpuEncoder
from resources.lake import Lake
from resources.step import Step
from tests.tier_assets.conftest import ENGINES, make
from tier_assets.instance import open_instance
from tier_assets.l2_selected.assets import embed_partition
from tier_assets.l2_selected.in_force import adopt, candidates, in_force, load_fit
from tier_assets.l2_selected.policy import Minimum, Policy, Rule, open_policy
from tier_assets.l2_selected.scoring import TOPIC_NAMES
from tier_assets.runs import run
from tier_assets.selection import dry_run
from tier_tables import VERIFICATIONS

BRIDGES = {"corpus": "bridges", "snapshot": "2026-01"}
KEYS = ["bridges@2026-01", "mills@2026-01"]
FIFTH = Policy("best_fifth", (Rule(0.2),), domain_floor=0.0)


def documents(lake: Lake, table: str = "l1_filtered") -> set[str]:
    return set(lake.scan(table, BRIDGES).collect()["doc_id"])


def test_every_scorer_has_a_score_of_every_document(own_lake: Lake) -> None:
    fit = load_fit(own_lake, in_force(own_lake).fit)
    scores = own_lake.scan("l2_scores", BRIDGES).collect()
    names = {*fit.linear.names, "perplexity", "quality_encoder", "rule_margin", *TOPIC_NAMES}
    assert set(scores["scorer"]) == names
    for _, rows in scores.group_by("scorer"):
        assert set(rows["doc_id"]) == documents(own_lake)
    topics = scores.filter(pl.col("scorer").is_in(TOPIC_NAMES)).group_by("doc_id").agg(pl.col("score").sum())
    assert topics["score"].is_between(0.999, 1.001).all()


def test_fit_rows_bear_what_they_learnt_from_and_how_well(own_lake: Lake) -> None:
    rows = own_lake.scan("scorers").collect()
    assert rows["scorer"].to_list() == ["quality", "perplexity", "quality_encoder", "clusters"]
    assert rows["fit"].n_unique() == 1
    quality = rows.row(0, named=True)
    assert quality["num_labels"] == own_lake.scan("l2_annotations").select("doc_id", "part").unique().collect().height
    assert -1 <= quality["spearman_low"] <= quality["spearman"] <= quality["spearman_high"] <= 1
    assert {row["corpus"] for row in quality["by_corpus"]} == {"bridges", "mills"}


def test_verification_of_a_tiny_lake_says_that_it_could_not_train(own_lake: Lake) -> None:
    row = own_lake.scan("verifications").collect().row(0, named=True)
    assert row["detail"].startswith("too little to verify: ")
    assert (row["gates"], row["passed"], row["reference_gain"]) == (False, True, None)
    assert in_force(own_lake).policy == open_policy("best_half")


def test_embeddings_are_kept_for_texts_that_stayed(own_lake: Lake) -> None:
    before = own_lake.scan("embeddings", BRIDGES).collect()
    rows = own_lake.scan("l1_filtered", BRIDGES).collect()
    first, last = rows["doc_id"].min(), rows["doc_id"].max()
    text = pl.when(pl.col("doc_id") == first).then(pl.lit("Other words entirely.")).otherwise("text")
    stage = own_lake.stage("l1_filtered", BRIDGES)
    stage.write(rows.with_columns(text=text).filter(pl.col("doc_id") != last))
    with Step(own_lake, "l1", "l1_filtered", BRIDGES, "r", "v", []) as step:
        step.commit(stage)
    for embedded in (1, 0):
        with Step(own_lake, "l2", "l2_embeddings", BRIDGES, "r", "v", []) as step:
            assert embed_partition(own_lake, step, BRIDGES, ENGINES.encoder, KEYS[0]) == (23, embedded)
    after = own_lake.scan("embeddings", BRIDGES).collect()
    assert set(after["doc_id"]) == set(before["doc_id"]) - {last}
    assert after.filter(doc_id=first)["text_hash"].item() != before.filter(doc_id=first)["text_hash"].item()


def test_dry_run_tells_what_would_move_and_changes_nothing(own_lake: Lake) -> None:
    before, version = documents(own_lake, "l2_selected"), own_lake.version("tier_ledger")
    told = dry_run(own_lake, FIFTH, KEYS, ENGINES)
    assert "bridges@2026-01" in told
    assert "below_quality_threshold" in told
    assert "just kept" in told
    assert (documents(own_lake, "l2_selected"), own_lake.version("tier_ledger")) == (before, version)


def test_dry_run_of_an_unknown_scorer_names_it(own_lake: Lake) -> None:
    policy = Policy("p", (Rule(0.5),), minimums=(Minimum("beauty", 1.0),))
    with pytest.raises(ValueError, match="'beauty'"):
        dry_run(own_lake, policy, KEYS, ENGINES)


def test_adopted_policy_is_verified_and_then_selects(own_lake: Lake) -> None:
    adopt(own_lake, FIFTH)
    assert in_force(own_lake).policy != FIFTH
    outcome = make(own_lake, to="l2")
    assert not outcome.problems
    assert any("l2_verification" in made and "l2_scorer" not in made for made in outcome.made)
    assert in_force(own_lake).policy == FIFTH
    rows = own_lake.scan("l2_selected", BRIDGES).collect()
    assert set(rows["policy"]) == {FIFTH.version}
    assert len(rows) == 5  # a fifth of 24, rounded up
    assert make(own_lake, to="l2").made == []


def test_policy_that_its_verification_refused_does_not_select(own_lake: Lake) -> None:
    adopt(own_lake, FIFTH)
    standing, pair = in_force(own_lake), candidates(own_lake)
    assert pair is not None
    refused = {
        "judged_at": datetime.now(UTC),
        "verification": "v",
        "fit": pair.fit,
        "policy": FIFTH.version,
        "gates": True,
        "passed": False,
    }
    judged = own_lake.scan("verifications").collect()
    row = judged.row(0, named=True) | refused
    stage = own_lake.stage("verifications", {})
    stage.write(pl.concat([judged, pl.DataFrame([row], schema=VERIFICATIONS.schema)]))
    with Step(own_lake, "l2", "l2_verification", None, "r", "v", []) as step:
        step.commit(stage)
    assert in_force(own_lake) == standing


@pytest.mark.slow
def test_lake_without_an_encoder_scores_and_selects(own_lake: Lake) -> None:
    with open_instance(own_lake) as instance:
        outcome = run(own_lake, instance, KEYS, "l2", engines=replace(ENGINES, encoder=GpuEncoder(setting="off")))
    assert not outcome.problems
    held = own_lake.scan("l2_scores", BRIDGES).filter(pl.len().over("scorer") > 0).collect()
    assert not set(held["scorer"]) & {"quality_encoder", *TOPIC_NAMES}
    assert len(documents(own_lake, "l2_selected")) == 12

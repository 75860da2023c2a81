"""The demo's loop has turned once: probes of a real checkpoint became a model, and the model moved documents."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from tests.demo.conftest import Demo, Run

pytestmark = pytest.mark.slow


def ask(demo: Demo, query: str) -> list[tuple]:
    """Rows that the demo's catalog answers."""
    with duckdb.connect(str(demo.root / "lake.duckdb"), read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_demo_loop_two_rounds_one_model_and_moves_both_ways(demo: Demo) -> None:
    assert ask(demo, "SELECT round, kind FROM influence_rounds") == [(2, "influence")]
    ((promoted, labels, audited, audit),) = ask(
        demo, "SELECT promoted, num_labels, num_audited, audit_spearman FROM influence_models"
    )
    assert promoted
    assert labels >= 300
    assert audited >= 100
    assert audit > 0.3
    moved = dict(ask(demo, "SELECT to_tier, count(*) FROM tier_moves WHERE round = 2 GROUP BY ALL"))
    assert moved["l1"] > 0
    assert moved["l2"] > 0
    assert {r for (r,) in ask(demo, "SELECT DISTINCT round FROM l2_selected")} == {1, 2}


def test_demo_loop_members_are_what_the_moves_alone_say(demo: Demo) -> None:
    last = (
        "SELECT doc_id FROM tier_moves QUALIFY row_number() OVER (PARTITION BY doc_id ORDER BY round DESC) = 1 "
        "AND to_tier = 'l2'"
    )
    assert sorted(ask(demo, last)) == sorted(ask(demo, "SELECT doc_id FROM l2_selected"))


def test_demo_loop_overhead_is_within_its_share_of_the_stage(demo: Demo) -> None:
    ((share, audit),) = ask(demo, "SELECT flops / stage_flops, audit_flops / stage_flops FROM influence_models")
    assert 0 < share <= 0.3
    assert audit > 0


def test_demo_loop_what_is_held_out_was_neither_probed_nor_predicted_nor_drawn(demo: Demo) -> None:
    for table in ("influence_probes", "influence_scores", "stage_draws"):
        assert ask(demo, f"SELECT count(*) FROM {table}")[0][0] > 0
        assert ask(demo, f"SELECT count(*) FROM {table} JOIN held_out USING (doc_id)") == [(0,)]


def test_demo_loop_every_stage_has_a_control_arm_and_weights_that_sum_to_one(demo: Demo) -> None:
    stages = [stage for (stage,) in ask(demo, "SELECT DISTINCT stage FROM mixtures ORDER BY 1")]
    assert stages == ["stage-001", "stage-002"]
    sums = ask(demo, "SELECT stage, arm, step, made_at, sum(weight) FROM mixtures GROUP BY ALL")
    assert all(total == pytest.approx(1.0) for *_, total in sums)
    assert {stage for stage, arm, *_ in sums if arm == "control"} == set(stages)
    twice = "SELECT doc_id FROM stage_draws GROUP BY doc_id HAVING count(*) > 1"
    assert ask(demo, twice) == []


def test_demo_loop_fallen_records_are_kept_and_marked(demo: Demo) -> None:
    marked = ask(demo, "SELECT child_table, count(*) FROM out_of_policy GROUP BY ALL")
    assert dict(marked).get("l4_facts", 0) > 0
    for table, key in (("l3_refined", "record_id"), ("l4_facts", "fact_id")):
        outside = f"SELECT count(*) FROM {table} WHERE NOT in_policy"
        listed = f"SELECT count(*) FROM out_of_policy o JOIN {table} t ON o.child_id = t.{key}"
        assert ask(demo, outside) == ask(demo, listed)


def test_demo_try_influence_ranks_the_reference_itself_above_noise(demo: Demo, run_lake: Run, tmp_path: Path) -> None:
    texts = [
        text for (text,) in ask(demo, "SELECT text FROM l1_filtered WHERE domain = 'factbook' ORDER BY doc_id LIMIT 40")
    ]
    reference, lines = tmp_path / "reference.jsonl", tmp_path / "lines.jsonl"
    reference.write_text(
        "".join(json.dumps({"id": str(i), "text": text[:2000]}) + "\n" for i, text in enumerate(texts))
    )
    given = {"alike": texts[0][:2000], "noise": "zq vx 9w jj kq xz qq 7v " * 60}
    lines.write_text("".join(json.dumps({"id": name, "text": text}) + "\n" for name, text in given.items()))
    ((checkpoint,),) = ask(demo, "SELECT DISTINCT checkpoint FROM training_telemetry WHERE checkpoint IS NOT NULL")
    done = run_lake("try", "influence", str(lines), "--checkpoint", checkpoint, "--reference", str(reference))
    found = {row["id"]: row["influence"] for row in map(json.loads, done.stdout.splitlines())}
    assert list(found) == ["alike", "noise"]
    assert found["alike"] > found["noise"]


def test_demo_rollback_dry_run_names_the_moves_and_moves_nothing(demo: Demo, run_lake: Run) -> None:
    before = ask(demo, "SELECT count(*) FROM tier_moves")
    assert "restores round 1" in run_lake("rollback", "1", "--dry-run").stdout
    assert ask(demo, "SELECT count(*) FROM tier_moves") == before
    refused = run_lake("rollback", "5", check=False)
    assert refused.returncode == 2
    assert "earlier rounds: [1]" in refused.stderr

"""The loop's books: which run steers, which checkpoint is due, which stage is next, which round is in force; and what
the sensors ask for."""

from __future__ import annotations

import json
import os
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from resources.engines import Engines
from resources.lake import Lake
from tests.tier_assets.conftest import ENGINES
from tier_assets import plan, retiering
from tier_assets.definitions import build
from tier_assets.instance import open_instance
from tier_assets.l2_selected.select import membership_at
from tier_assets.m1_training.stages import consumed, next_stage
from tier_assets.m1_training.telemetry import TelemetryWriter, take
from tier_assets.partitions import registered_keys
from tier_assets.references import choose_reference
from tier_assets.rounds import Round, open_round, roll_back, round_in_force, rounds
from tier_assets.runs import Runner, retier
from tier_assets.steering import last_checkpoint, steer_by, steering_run, tokens_between
from tier_tables import MIXTURES, table

# Some 20 s in all.
pytestmark = pytest.mark.slow


def report(lake: Lake, run: str, steps: range, checkpoint: Path | None = None, tokens: int = 100) -> None:
    """Telemetry of a run: a step a report, a checkpoint at the last."""
    with TelemetryWriter(lake, run) as writer:
        for step in steps:
            left = checkpoint if step == steps[-1] else None
            if left is not None:
                left.mkdir(parents=True, exist_ok=True)
            writer.report(step, {"bridges": (tokens, 3.0)}, 1e-3, checkpoint=None if left is None else str(left))


def test_rounds_a_model_opens_one_round_however_often_it_is_promoted(lake: Lake) -> None:
    assert rounds(lake) == [Round(1)]
    assert open_round(lake, "a").number == 2
    assert open_round(lake, "a").number == 2
    assert open_round(lake, "b").number == 3
    assert [r.model_version for r in rounds(lake)] == [None, "a", "b"]


def test_rounds_rollback_opens_a_round_with_the_earlier_model(lake: Lake) -> None:
    open_round(lake, "a")
    open_round(lake, "b")
    assert roll_back(lake, 2) == Round(4, "rollback", "a", 2)
    assert roll_back(lake, 1) == Round(5, "rollback", None, 1)
    assert open_round(lake, "b").number == 6


@pytest.mark.parametrize("to", [0, 2, 7])
def test_rounds_rollback_to_no_earlier_round_names_those_there_are(lake: Lake, to: int) -> None:
    open_round(lake, "a")
    with pytest.raises(ValueError, match=rf"cannot go back to round {to}; earlier rounds: \[1\]"):
        roll_back(lake, to)


def test_steering_run_is_the_first_that_reports_until_one_is_chosen(lake: Lake) -> None:
    assert steering_run(lake) is None
    report(lake, "first", range(1, 3))
    report(lake, "second", range(1, 3))
    assert steering_run(lake) == "first"
    steer_by(lake, "second")
    assert steering_run(lake) == "second"
    with pytest.raises(ValueError, match=r"no run 'third' has reported; known: \['first', 'second'\]"):
        steer_by(lake, "third")


def test_due_checkpoint_waits_for_a_checkpoint_and_its_thresholds(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report(lake, "run", range(1, 11))
    assert plan.due_checkpoint(lake) is None
    report(lake, "run", range(11, 21), tmp_path / "step-20")
    assert plan.due_checkpoint(lake) == last_checkpoint(lake, "run")
    assert last_checkpoint(lake, "run").step == 20  # type: ignore[union-attr]
    assert tokens_between(lake, "run", 10, 20) == 1000
    monkeypatch.setenv("LAKE_PROBE_STEPS", "21")
    assert plan.due_checkpoint(lake) is None
    monkeypatch.setenv("LAKE_PROBE_STEPS", "20")
    monkeypatch.setenv("LAKE_PROBE_TOKENS", "2001")
    assert plan.due_checkpoint(lake) is None
    monkeypatch.setenv("LAKE_PROBE_TOKENS", "2000")
    assert plan.due_checkpoint(lake) is not None
    monkeypatch.setenv("LAKE_PROBE_TOKENS", "many")
    with pytest.raises(ValueError, match="LAKE_PROBE_TOKENS is 'many'"):
        plan.due_checkpoint(lake)


def draw_of(lake: Lake, stage: str, step: int, ids: list[str]) -> None:
    """What `mixtures` leaves of a stage's draw."""
    rows = [
        {
            "stage": stage, "run": "run", "arm": "random", "step": step, "domain": "bridges", "weight": 1.0,
            "policy": "draw", "num_documents": len(ids), "num_tokens": 10, "table_versions": "{}", "seed": 0,
            "made_at": None,
        }
    ]  # fmt: skip
    lake.append("mixtures", pl.DataFrame(rows, schema=MIXTURES.schema))
    schema = table("stage_draws").schema
    drawn = pl.DataFrame({"doc_id": ids}).with_columns(
        stage=pl.lit(stage), arm=pl.lit("random"), place=pl.int_range(len(ids)), corpus=pl.lit("c"),
        snapshot=pl.lit("s"), domain=pl.lit("bridges"), num_tokens=pl.lit(5), value=pl.lit(None, pl.Float64),
    )  # fmt: skip
    written = lake.replace("stage_draws", {"stage": stage}, drawn.select(schema.names()))
    output = {"table": "stage_draws", "slice": written.slice, "version": written.version, "token": written.token}
    lake.finish({"tier": "l2", "step": "mixtures", "output_versions": [output], "input_versions": []})


def test_next_stage_is_the_one_that_has_not_begun_and_draws_what_is_left(lake: Lake) -> None:
    assert next_stage(lake, "run").name == "stage-001"
    draw_of(lake, "stage-001", 0, ["a", "b"])
    assert next_stage(lake, "run").name == "stage-001"
    assert consumed(lake, next_stage(lake, "run")).to_list() == []
    report(lake, "run", range(1, 3))
    now = next_stage(lake, "run")
    assert (now.name, now.first_step) == ("stage-002", 2)
    assert sorted(consumed(lake, now)) == ["a", "b"]


def seen_by(lake: Lake, sensor: dg.SensorDefinition, instance: dg.DagsterInstance) -> dg.SensorResult:
    """What a sensor asks for."""
    with dg.build_sensor_context(instance=instance, resources={"lake": lake}) as context:
        found = sensor(context)
        if isinstance(found, dg.SensorResult):
            return found
        told = list(found)  # type: ignore[arg-type]
    requests = [each for each in told if isinstance(each, dg.RunRequest)]
    skipped = next((each.skip_message for each in told if isinstance(each, dg.SkipReason)), None)
    return dg.SensorResult(run_requests=requests, skip_reason=skipped)


def test_telemetry_sensor_asks_once_a_checkpoint_that_is_there(lake: Lake, tmp_path: Path) -> None:
    with open_instance(lake) as instance:
        assert "no training run" in str(seen_by(lake, retiering.telemetry_sensor, instance).skip_reason)
        report(lake, "run", range(1, 3), tmp_path / "step-2")
        found = seen_by(lake, retiering.telemetry_sensor, instance)
        assert [request.run_key for request in found.run_requests] == ["influence:run:2"]
        assert [key.path[-1] for key in found.run_requests[0].asset_selection] == [
            "reference_items",
            "influence_probes",
            "influence_models",
            "mixture_weights",
        ]
        os.rmdir(tmp_path / "step-2")
        found = seen_by(lake, retiering.telemetry_sensor, instance)
        assert not found.run_requests
        assert "is gone" in str(found.skip_reason)


def test_probes_of_a_checkpoint_that_is_gone_leave_the_round_as_it_is(own_lake: Lake, tmp_path: Path) -> None:
    report(own_lake, "run", range(1, 3), tmp_path / "step-2")
    os.rmdir(tmp_path / "step-2")
    with open_instance(own_lake) as instance:
        runner = Runner(own_lake, instance, ENGINES)
        assert not runner.make("learn_influence", ["influence_probes", "influence_models"])
    assert "step 2 of 'run' is gone" in next(iter(runner.outcome.problems.values()))
    assert round_in_force(own_lake) == Round(1)


def test_probes_of_a_folder_that_is_no_checkpoint_say_so_and_write_nothing(own_lake: Lake, tmp_path: Path) -> None:
    report(own_lake, "run", range(1, 3), tmp_path / "step-2")
    (tmp_path / "step-2" / "config.json").write_text("{}")
    with open_instance(own_lake) as instance:
        runner = Runner(own_lake, instance, ENGINES)
        assert not runner.make("learn_influence", ["influence_probes", "influence_models"])
    assert "no weights; model.safetensors is expected" in next(iter(runner.outcome.problems.values()))
    assert own_lake.scan("influence_probes").collect().is_empty()
    assert round_in_force(own_lake) == Round(1)


def test_retier_sensor_asks_for_each_partition_of_a_new_round_and_landing_leaves_it_to_it(own_lake: Lake) -> None:
    with open_instance(own_lake) as instance:
        assert not seen_by(own_lake, retiering.retier_sensor, instance).run_requests
        open_round(own_lake, "a")
        roll_back(own_lake, 1)
        found = seen_by(own_lake, retiering.retier_sensor, instance)
        assert [request.partition_key for request in found.run_requests] == ["bridges@2026-01", "mills@2026-01"]
        assert {request.run_key for request in found.run_requests} == {
            "retier:3:bridges@2026-01",
            "retier:3:mills@2026-01",
        }
        assert found.run_requests[0].tags["dagster/priority"] == "10"
        assert found.cursor == "3:None"
        assert [r for r in retiering._requests(own_lake, ENGINES) if "retier" in str(r.run_key)] == []
        assert not [r for r in retiering._requests(own_lake, ENGINES) if r.partition_key]


def members_but_one(lake: Lake) -> str:
    """L2 of a partition without one of its members, as a finished step; that member."""
    partition = {"corpus": "bridges", "snapshot": "2026-01"}
    rows = lake.scan("l2_selected", partition).collect().sort("doc_id")
    last = lake.last_step("l2_selected", partition)
    assert last is not None
    written = lake.replace("l2_selected", partition, rows.tail(-1))
    output = {"table": "l2_selected", "slice": written.slice, "version": written.version, "token": written.token}
    others = [o for o in last["output_versions"] if o["table"] != "l2_selected"]  # type: ignore[attr-defined]
    lake.finish({**last, "output_versions": [output, *others]})
    return str(rows["doc_id"][0])


@pytest.fixture
def drawn(own_lake: Lake, tmp_path: Path) -> Lake:
    """A lake whose first stage is drawn and waits; the run `run` is at step 2."""
    report(own_lake, "run", range(1, 3))
    for role, dish in (("reference", "bread"), ("guard", "soup")):  # the lake's pages are too few to hold any out
        file = tmp_path / f"{dish}.jsonl"
        words = "salt flour onion butter leek barley pepper stock".split()
        lines = [{"id": word, "text": f"Good {dish} wants {word}, a slow fire and an hour."} for word in words]
        file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        choose_reference(own_lake, str(file), role, None)
    with open_instance(own_lake) as instance:
        runner = Runner(own_lake, instance, ENGINES)
        assert runner.make("draw_stage", ["reference_items", "mixtures"]), runner.outcome.problems
    return own_lake


def drawn_ids(lake: Lake, stage: str = "stage-001") -> set[str]:
    return set(lake.scan("stage_draws", {"stage": stage}).collect()["doc_id"])


def redrawn(lake: Lake, *retiered: str) -> bool:
    """Whether a stage is drawn again after these partitions were brought into the round."""
    with open_instance(lake) as instance:
        runner = Runner(lake, instance, ENGINES)
        runner.make_upper(retiered, "l2")
        runner.redraw()
    assert not runner.outcome.problems
    return "mixtures" in runner.outcome.made


def test_retier_draws_a_stage_that_waits_again_and_only_where_members_changed(drawn: Lake) -> None:
    assert not redrawn(drawn)
    gone = members_but_one(drawn)
    assert gone in drawn_ids(drawn)
    with open_instance(drawn) as instance:
        outcome = retier(drawn, instance, [], ENGINES)
    assert (outcome.made, outcome.problems) == (["mixtures", "funnel"], {})
    assert gone not in drawn_ids(drawn)
    assert drawn_ids(drawn)
    assert next_stage(drawn, "run").name == "stage-001"
    assert not redrawn(drawn)


def test_draw_waits_until_every_partition_is_in_the_round(drawn: Lake) -> None:
    open_round(drawn, "none-predicted")
    roll_back(drawn, 1)
    assert not redrawn(drawn, "mills@2026-01")
    assert redrawn(drawn, "bridges@2026-01")


def test_stage_that_has_begun_is_never_drawn_again_nor_the_one_after_it_drawn(drawn: Lake) -> None:
    before = drawn_ids(drawn)
    report(drawn, "run", range(3, 4))
    members_but_one(drawn)
    assert not redrawn(drawn)
    with open_instance(drawn) as instance:
        assert not seen_by(drawn, retiering.retier_sensor, instance).run_requests
    assert drawn_ids(drawn) == before
    assert not drawn_ids(drawn, "stage-002")


def test_retier_sensor_asks_for_the_draw_once_every_partition_is_in_the_round(drawn: Lake) -> None:
    with open_instance(drawn) as instance:
        assert not seen_by(drawn, retiering.retier_sensor, instance).run_requests
        open_round(drawn, "none-predicted")
        roll_back(drawn, 1)
        found = seen_by(drawn, retiering.retier_sensor, instance).run_requests
        assert {request.job_name for request in found} == {"retier"}
        runner = Runner(drawn, instance, ENGINES)
        runner.make_upper(registered_keys(drawn), "l2")
        (request,) = seen_by(drawn, retiering.retier_sensor, instance).run_requests
        assert request.job_name == "draw_stage"
        assert [key.path[-1] for key in request.asset_selection] == ["mixtures"]
        (again,) = seen_by(drawn, retiering.retier_sensor, instance).run_requests
        assert again.run_key == request.run_key
        runner.make("draw_stage", ["mixtures"])
        assert not seen_by(drawn, retiering.retier_sensor, instance).run_requests


def test_rollback_round_brings_every_partition_to_it_and_members_stay_what_moves_say(own_lake: Lake) -> None:
    before = own_lake.scan("l2_selected").select("doc_id", "round").collect().sort("doc_id")
    text = own_lake.state("l1_filtered")
    open_round(own_lake, "none-predicted")
    roll_back(own_lake, 1)
    with open_instance(own_lake) as instance:
        runner = Runner(own_lake, instance, ENGINES)
        runner.make_upper(["bridges@2026-01", "mills@2026-01"], "l2")
    assert not runner.outcome.problems
    assert not plan.awaits_round(own_lake, "bridges@2026-01")
    after = own_lake.scan("l2_selected").select("doc_id", "round").collect().sort("doc_id")
    assert after.equals(before)
    moves = own_lake.scan("tier_moves").collect()
    assert membership_at(moves, 3)["doc_id"].to_list() == after["doc_id"].to_list()
    assert own_lake.state("l1_filtered") == text


def test_take_of_a_replayed_report_is_refused_with_its_reason(lake: Lake) -> None:
    line = {"run": "r", "step": 1, "domain": "all", "tokens": 10, "loss": 2.0, "lr": 0.1}
    take(lake, [line], None)
    take(lake, [line | {"loss": 3.0}], None)
    assert lake.scan("training_telemetry").collect()["loss"].to_list() == [2.0]
    assert lake.scan("telemetry_refused").collect()["reason"].to_list() == ["replayed_step"]


def test_definitions_hold_the_loop_without_a_circle() -> None:
    graph = build("unused", Engines()).resolve_asset_graph()
    above = {key.path[-1]: {p.path[-1] for p in graph.get(key).parent_keys} for key in graph.get_all_asset_keys()}
    assert "l2_selected" in above["mixtures"]
    assert "mixtures" in above["training_telemetry"]
    assert "influence_models" in above["influence_scores"]
    assert "training_telemetry" not in above["influence_probes"]

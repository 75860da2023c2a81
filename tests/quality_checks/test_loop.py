"""Invariants of the loop: each planted break is found by name and key; a lake whose loop has turned holds them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from _small_lake import MAIL, NEWS, fill, plant

from quality_checks import loop
from resources.lake import Lake
from tier_tables import table

# Some 15 s and more in all.
pytestmark = pytest.mark.slow

START = datetime(2025, 1, 1, tzinfo=UTC)


def write(lake: Lake, name: str, rows: list[dict[str, Any]], slice_: Mapping[str, str] | None = None) -> int:
    """Replace a slice by the rows, as a finished step; its version."""
    known = {c: t for c, t in table(name).schema.items() if rows and c in rows[0]}
    frame = fill(
        name, pl.DataFrame([dict(slice_ or {}) | row for row in rows], schema={**known, **_typed(name, slice_)})
    )
    written = lake.replace(name, slice_ or {}, frame)
    output = {"table": written.table, "slice": written.slice, "version": written.version, "token": written.token}
    lake.finish({"tier": "l2", "step": name, "output_versions": [output]})
    return written.version


def _typed(name: str, slice_: Mapping[str, str] | None) -> dict[str, Any]:
    return {column: table(name).schema[column] for column in slice_ or {}}


def log(lake: Lake, name: str, rows: list[dict[str, Any]]) -> None:
    """Append rows to a log table."""
    schema = {c: t for c, t in table(name).schema.items() if c in rows[0]}
    lake.append(name, fill(name, pl.DataFrame(rows, schema=schema)))


def held(*ids: str, version: str = "v1") -> list[dict[str, Any]]:
    return [{"doc_id": i, **NEWS, "reference_version": version, "reason": "ancestor", "item_id": "i1"} for i in ids]


def weights(
    stage: str, arm: str, shares: Mapping[str, float], held_out: int = 0, **values: Any
) -> list[dict[str, Any]]:
    row = {
        "stage": stage,
        "run": "r",
        "arm": arm,
        "step": 1,
        "policy": "draw",
        "num_documents": 1,
        "table_versions": json.dumps({"held_out": held_out}),
        "made_at": START,
    } | values
    return [row | {"domain": domain, "weight": weight} for domain, weight in shares.items()]


def drawn(lake: Lake, stage: str, ids: Mapping[str, str], partition: Mapping[str, str] = NEWS) -> None:
    write(lake, "stage_draws", [{"doc_id": i, "arm": arm, **partition} for i, arm in ids.items()], {"stage": stage})


def select_again(lake: Lake, influence: Mapping[str, float | None], round_: int) -> None:
    """Rewrite the influence of l2's rows of `news`, as a selection of this round that read the scores as they are."""
    replaced = pl.col("doc_id").replace_strict(influence, default=None, return_dtype=pl.Float64)
    plant(lake, "l2_selected", lambda rows: rows.with_columns(influence=replaced))
    before = lake.last_step("l2_selected", NEWS)
    assert before is not None
    reads = [{"table": "influence_scores", "version": 0, "state": lake.state("influence_scores", NEWS)}]
    lake.finish({**before, "output_versions": [], "input_versions": reads, "round": round_})


@pytest.fixture
def turned(lake: Lake) -> Lake:
    """The small lake after one turn of the loop: d3 is held out, d0 to d2 are scored, two stages are drawn."""
    items = [{"item_id": "i1", "role": "reference", "reference_version": "v1", "doc_ids": ["d3", "withdrawn"]}]
    write(lake, "reference_items", items)
    version = write(lake, "held_out", held("d3"))
    model = {"model_version": "m1", "run": "r", "step": 100, "reference_version": "v1", "drift": 0.2}
    write(lake, "influence_models", [model])
    probes = [{"doc_id": i, **NEWS, "reference_version": "v1", "kind": "true"} for i in ("d0", "d1")]
    write(lake, "influence_probes", probes)
    log(lake, "influence_rounds", [{"round": 2, "kind": "influence", "model_version": "m1", "opened_at": START}])
    scores = [{"doc_id": i, "score": 0.5} for i in ("d0", "d1", "d2")]
    write(lake, "influence_scores", scores, {"model_version": "m1", **NEWS})
    select_again(lake, {"d0": 0.5, "d1": 0.5, "d2": 0.5}, 2)
    reports = [{"run": "r", "step": step, "domain": "all", "received_at": START} for step in (1, 100)]
    log(lake, "training_telemetry", reports)
    for stage, ids in (("s1", {"d0": "cynical", "m0": "control"}), ("s2", {"d1": "cynical", "d2": "control"})):
        shares = {"news": 0.25, "mail": 0.75}
        log(lake, "mixtures", weights(stage, "cynical", shares, version) + weights(stage, "control", shares, version))
        drawn(lake, stage, ids)
    return lake


CHECKS = (
    loop.references_hold_their_ancestors_out,
    loop.held_out_documents_are_not_probed,
    loop.held_out_documents_bear_no_influence,
    loop.held_out_documents_are_not_drawn,
    loop.influence_is_the_score_of_the_model_in_force,
    loop.influence_is_fresh,
    loop.influence_drifts_slowly,
    loop.mixture_weights_sum_to_one,
    loop.stages_keep_a_control_arm,
    loop.documents_are_drawn_once,
)


def failing(lake: Lake, partition: Mapping[str, str] = NEWS) -> dict[str, list[str]]:
    """Failing check -> failing keys."""
    found = {check.__name__: check(lake, "l2", partition).collect() for check in CHECKS}
    assert all(rows.columns == ["key", "found"] for rows in found.values())
    return {name: sorted(rows["key"]) for name, rows in found.items() if rows.height}


@pytest.mark.parametrize("partition", [NEWS, MAIL])
def test_loop_that_has_not_turned_holds_everything(lake: Lake, partition: dict[str, str]) -> None:
    assert failing(lake, partition) == {}


@pytest.mark.parametrize("partition", [NEWS, MAIL])
def test_loop_that_has_turned_soundly_holds_everything(turned: Lake, partition: dict[str, str]) -> None:
    assert failing(turned, partition) == {}


def test_ancestor_of_a_reference_that_stays_in_the_pool_fails(turned: Lake) -> None:
    write(turned, "held_out", [])
    assert failing(turned) == {"references_hold_their_ancestors_out": ["d3"]}


def test_held_out_document_that_is_probed_fails_for_its_own_reference_only(turned: Lake) -> None:
    probes = [{"doc_id": i, **NEWS, "reference_version": "v1", "kind": "true"} for i in ("d0", "d3")]
    write(turned, "influence_probes", probes)
    assert failing(turned) == {"held_out_documents_are_not_probed": ["d3"]}
    write(turned, "influence_probes", [row | {"reference_version": "v0"} for row in probes])
    assert failing(turned) == {}


def test_held_out_document_that_bears_influence_fails_for_its_own_reference_only(turned: Lake) -> None:
    place = {"model_version": "m1", **NEWS}
    write(turned, "influence_scores", [{"doc_id": i, "score": 0.5} for i in ("d0", "d1", "d2", "d3")], place)
    assert failing(turned) == {"held_out_documents_bear_no_influence": ["d3"]}
    write(turned, "influence_models", [{"model_version": "m1", "run": "r", "step": 100, "reference_version": "v0"}])
    assert failing(turned) == {}


def test_probes_and_scores_of_a_model_that_is_not_in_force_are_not_judged(turned: Lake) -> None:
    model = {"run": "r", "step": 100, "reference_version": "v1", "drift": 0.2}
    models = [model | {"model_version": "m1", "checkpoint": "c1"}, model | {"model_version": "m2", "checkpoint": "c2"}]
    probes = [{"doc_id": "d3", **NEWS, "reference_version": "v1", "kind": "true", "checkpoint": "c1"}]
    write(turned, "influence_probes", probes)
    write(turned, "influence_models", models)
    place = {"model_version": "m1", **NEWS}
    write(turned, "influence_scores", [{"doc_id": i, "score": 0.5} for i in ("d0", "d1", "d2", "d3")], place)
    broken = {"held_out_documents_are_not_probed": ["d3"], "held_out_documents_bear_no_influence": ["d3"]}
    assert failing(turned) == broken
    log(turned, "influence_rounds", [{"round": 3, "kind": "influence", "model_version": "m2", "opened_at": START}])
    assert failing(turned) == {}
    write(turned, "influence_models", [models[0], models[1] | {"checkpoint": "c1"}])
    assert failing(turned) == {"held_out_documents_are_not_probed": ["d3"]}
    write(turned, "influence_models", [])
    assert failing(turned) == {"held_out_documents_are_not_probed": ["d3"]}


def test_held_out_document_that_is_drawn_fails_where_the_draw_knew_it(turned: Lake) -> None:
    drawn(turned, "s2", {"d1": "cynical", "d3": "control"})
    assert failing(turned) == {"held_out_documents_are_not_drawn": ["d3"]}
    write(turned, "held_out", held("d3"))  # the draw named an earlier version
    assert failing(turned) == {}


def test_influence_beside_a_row_is_that_of_the_model_in_force(turned: Lake) -> None:
    select_again(turned, {"d0": 0.5, "d1": 0.4, "d2": None}, 2)
    assert failing(turned) == {"influence_is_the_score_of_the_model_in_force": ["d1", "d2"]}
    # Predicted anew: the selection is due, and what it was made of is gone.
    write(turned, "influence_scores", [{"doc_id": "d0", "score": 0.1}], {"model_version": "m1", **NEWS})
    assert failing(turned) == {}


def test_influence_of_a_round_without_a_model_is_none(turned: Lake) -> None:
    select_again(turned, {"d0": 0.5}, 1)
    assert failing(turned) == {"influence_is_the_score_of_the_model_in_force": ["d0"]}
    select_again(turned, {}, 1)
    assert failing(turned) == {}


@pytest.mark.parametrize(("steps", "is_fresh"), [(loop.MAX_STALE_STEPS, True), (loop.MAX_STALE_STEPS + 1, False)])
def test_model_that_the_run_has_left_behind_is_stale(turned: Lake, steps: int, is_fresh: bool) -> None:
    log(turned, "training_telemetry", [{"run": "r", "step": 100 + steps, "received_at": START}])
    assert failing(turned) == ({} if is_fresh else {"influence_is_fresh": ["m1"]})


def test_model_of_another_run_than_the_one_that_steers_is_stale(turned: Lake) -> None:
    log(turned, "steering_runs", [{"run": "other", "chosen_at": START}])
    assert failing(turned) == {"influence_is_fresh": ["m1"]}


@pytest.mark.parametrize(("drift", "holds"), [(None, True), (loop.MAX_DRIFT, True), (loop.MAX_DRIFT + 0.01, False)])
def test_model_that_ranks_otherwise_than_the_one_before_drifts(turned: Lake, drift: float | None, holds: bool) -> None:
    model = {"model_version": "m1", "run": "r", "step": 100, "reference_version": "v1", "drift": drift}
    write(turned, "influence_models", [model])
    assert failing(turned) == ({} if holds else {"influence_drifts_slowly": ["m1"]})


@pytest.mark.parametrize("shares", [{"news": 0.5, "mail": 0.4}, {"news": 1.5, "mail": -0.5}, {"news": float("nan")}])
def test_weights_that_are_no_shares_of_one_fail(turned: Lake, shares: dict[str, float]) -> None:
    log(turned, "mixtures", weights("s2", "mixture", shares, policy="slope:prior", step=7))
    assert failing(turned) == {"mixture_weights_sum_to_one": ["r s2 mixture@7"]}


def test_weights_of_a_stage_that_is_drawn_again_are_those_of_the_last_draw(turned: Lake) -> None:
    later = START + timedelta(seconds=1)
    log(turned, "mixtures", weights("s2", "cynical", {"news": 1.0}, made_at=later))
    assert failing(turned) == {"stages_keep_a_control_arm": ["r s2"]}
    log(turned, "mixtures", weights("s2", "control", {"news": 1.0}, made_at=later))
    assert failing(turned) == {}


def test_weights_that_are_written_again_count_by_their_last_row(turned: Lake) -> None:
    later = START + timedelta(seconds=1)
    log(turned, "mixtures", weights("s2", "mixture", {"news": 0.5, "mail": 0.4}, policy="slope:prior", step=7))
    log(turned, "mixtures", weights("s2", "mixture", {"mail": 0.5}, policy="slope:prior", step=7, made_at=later))
    assert failing(turned) == {}


@pytest.mark.parametrize("num_documents", [None, 0])
def test_stage_without_a_control_arm_fails(turned: Lake, num_documents: int | None) -> None:
    rows = weights("s3", "cynical", {"news": 1.0})
    if num_documents is not None:
        rows += weights("s3", "control", {"news": 1.0}, num_documents=num_documents)
    log(turned, "mixtures", rows)
    assert failing(turned) == {"stages_keep_a_control_arm": ["r s3"]}


def test_document_that_an_arm_draws_twice_fails_in_its_own_partition(turned: Lake) -> None:
    drawn(turned, "s2", {"d0": "cynical"})
    assert failing(turned) == {"documents_are_drawn_once": ["d0"]}
    assert failing(turned, MAIL) == {}


def test_document_that_two_arms_or_two_runs_draw_is_no_failure(turned: Lake) -> None:
    drawn(turned, "s2", {"d0": "control"})
    log(turned, "mixtures", weights("s9", "cynical", {"news": 1.0}, run="other"))
    log(turned, "mixtures", weights("s9", "control", {"news": 1.0}, run="other"))
    drawn(turned, "s9", {"d0": "cynical"})
    assert failing(turned) == {}

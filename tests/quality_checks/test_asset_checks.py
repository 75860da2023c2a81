"""The checks in real Dagster runs, in process, over toy assets that write real Delta tables."""

import warnings

import dagster as dg
import polars as pl
import pytest
from _small_lake import MAIL, NEWS, plant
from dagster._core.storage.event_log.base import PartitionKeyFilter

from quality_checks.asset_checks import build_checks
from quality_checks.gate import LakeGate, gate_resource
from quality_checks.judge import last_results
from resources.lake import Lake
from tier_tables import CHECK_RESULTS, MAIN_TABLES

corpora = dg.DynamicPartitionsDefinition(name="corpora")
KEYS = ["mail@2024", "news@2024"]


def toy_asset(tier: str, parents: list[str]) -> dg.AssetsDefinition:
    """An asset of the tier's name that asks the gate, and writes its slice again as it stands."""

    @dg.asset(
        name=MAIN_TABLES[tier].name,
        deps=parents,
        partitions_def=corpora,
        required_resource_keys={"lake", "gate"},
    )
    def toy(context: dg.AssetExecutionContext) -> None:
        lake: Lake = context.resources.lake
        gate: LakeGate = context.resources.gate
        for key in context.partition_keys:
            corpus, snapshot = key.split("@")
            gate.require(tier, corpus, snapshot)
            plant(lake, MAIN_TABLES[tier].name, lambda rows: rows, {"corpus": corpus, "snapshot": snapshot})

    return toy


def definitions(lake: Lake) -> dg.Definitions:
    names = [t.name for t in MAIN_TABLES.values()]
    assets = [toy_asset(tier, names[max(place - 1, 0) : place]) for place, tier in enumerate(MAIN_TABLES)]
    return dg.Definitions(
        assets=assets,
        asset_checks=build_checks(corpora),
        resources={"lake": lake, "gate": gate_resource},
        executor=dg.in_process_executor,
    )


@pytest.fixture
def instance() -> dg.DagsterInstance:
    instance = dg.DagsterInstance.ephemeral()
    instance.add_dynamic_partitions("corpora", KEYS)
    return instance


def materialise(
    lake: Lake, instance: dg.DagsterInstance, names: list[str], keys: list[str]
) -> dg.ExecuteInProcessResult:
    """One run over the assets (and their checks) and the partition keys."""
    job = definitions(lake).get_implicit_global_asset_job_def()
    one = {"partition_key": keys[0]} if len(keys) == 1 else {}
    many = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
    return job.get_subset(
        asset_selection={dg.AssetKey(n) for n in names},
        asset_check_selection={
            check.check_key for check in build_checks(corpora) if check.check_key.asset_key.to_user_string() in names
        },
    ).execute_in_process(instance=instance, raise_on_error=False, tags={} if one else many, **one)


def evaluations(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], dg.AssetCheckEvaluation]:
    return {(e.check_name, e.partition): e for e in result.get_asset_check_evaluations()}


def test_checks_load_without_a_warning_about_previews() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checks = build_checks(corpora)
        dg.Definitions(asset_checks=checks, resources={"lake": object()}).get_repository_def()
        assert not any(issubclass(f[2], dg.PreviewWarning) for f in warnings.filters)
    names = [check.check_key.name for check in checks]
    assert names == [f"{tier}_{kind}" for tier in ("l0", "l1", "l2", "l3", "l4") for kind in ("suite", "invariants")]


def test_checks_of_a_sound_run_pass_and_are_recorded(lake: Lake, instance: dg.DagsterInstance) -> None:
    result = materialise(lake, instance, ["l1_filtered"], ["news@2024"])
    assert result.success
    found = evaluations(result)
    assert {name: e.passed for name, e in found.items()} == {
        ("l1_suite", "news@2024"): True,
        ("l1_invariants", "news@2024"): True,
    }
    assert found["l1_suite", "news@2024"].target_materialization_data.run_id == result.run_id
    recorded = lake.scan(CHECK_RESULTS.name).select("tier", "run_id").unique().collect().rows()
    assert set(recorded) == {("l0", "gate"), ("l1", result.run_id)}
    assert {r.passed for r in last_results(lake, "l1", **NEWS)} == {True}


def test_checks_of_a_run_with_two_partitions_judge_each(lake: Lake, instance: dg.DagsterInstance) -> None:
    plant(lake, "l2_selected", lambda rows: rows.with_columns(reason=pl.lit("")), MAIL)
    result = materialise(lake, instance, ["l2_selected"], KEYS)
    assert not result.success
    passed = {name: e.passed for name, e in evaluations(result).items()}
    assert passed == {
        ("l2_suite", "mail@2024"): False,
        ("l2_suite", "news@2024"): True,
        ("l2_invariants", "mail@2024"): True,
        ("l2_invariants", "news@2024"): True,
    }
    storage = instance.event_log_storage
    key = dg.AssetCheckKey(dg.AssetKey("l2_selected"), "l2_suite")
    shown = {
        partition: storage.get_asset_check_execution_history(
            key, 1, partition_filter=PartitionKeyFilter(key=partition)
        )[0].status.value
        for partition in KEYS
    }
    assert shown == {"mail@2024": "FAILED", "news@2024": "SUCCEEDED"}


def test_checks_that_fail_stop_the_next_tier_and_name_the_keys(lake: Lake, instance: dg.DagsterInstance) -> None:
    plant(lake, "l1_filtered", lambda rows: rows.with_columns(num_words=pl.lit(0, pl.Int64)))
    result = materialise(lake, instance, ["l1_filtered", "l2_selected"], ["news@2024"])
    assert not result.success
    assert [e.step_key for e in result.get_step_success_events()] == ["l1_filtered", "l1_filtered_l1_invariants"]
    suite = evaluations(result)["l1_suite", "news@2024"]
    assert (suite.passed, suite.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert suite.metadata["failing_keys"].value == {"num_words_is_positive": ["d0", "d1", "d2", "d3"]}
    assert suite.metadata["num_failing_rows"].value == 4
    assert suite.description == "num_words_is_positive (4)"
    rows = {record.data["check"]: record.data for record in suite.metadata["checks"].records}
    assert rows["num_words_is_positive"]["failing_keys"] == "d0, d1, d2, d3"
    assert rows["num_words_is_positive"]["detail"] == "a text has a word; found num_words=0"
    assert rows["language_has_its_shape"]["detail"] == "an ISO 639 code of two or three letters"


def test_checks_that_only_warn_pass_with_their_warning_and_let_the_next_tier_go_on(
    lake: Lake, instance: dg.DagsterInstance
) -> None:
    plant(lake, "l1_filtered", lambda rows: rows.with_columns(language=pl.Series(["en", "de", "fr", "es"])))
    result = materialise(lake, instance, ["l1_filtered", "l2_selected"], ["news@2024"])
    assert result.success
    suite = evaluations(result)["l1_suite", "news@2024"]
    assert (suite.passed, suite.severity) == (True, dg.AssetCheckSeverity.WARN)
    assert suite.description == "warning: one_language_prevails (1)"
    assert (suite.metadata["num_failed_checks"].value, suite.metadata["num_warnings"].value) == (0, 1)
    assert suite.metadata["failing_keys"].value == {"one_language_prevails": ["news@2024"]}
    last = {r.check: r.passed for r in last_results(lake, "l1", **NEWS)}
    assert not last["one_language_prevails"]


def test_gate_in_a_later_run_of_its_own_refuses_and_reopens(lake: Lake, instance: dg.DagsterInstance) -> None:
    good = lake.scan("l1_filtered", NEWS).collect()
    plant(lake, "l1_filtered", lambda rows: rows.with_columns(num_words=pl.lit(0, pl.Int64)))
    assert not materialise(lake, instance, ["l1_filtered"], ["news@2024"]).success
    refused = materialise(lake, instance, ["l2_selected"], ["news@2024"])
    assert not refused.success
    said = str(refused.get_step_failure_events()[0].event_specific_data)
    assert (
        "l2 is not made from l1_filtered of news@2024: check num_words_is_positive failed in 4 (d0, d1, d2, d3)" in said
    )
    assert materialise(lake, instance, ["l2_selected"], ["mail@2024"]).success
    plant(lake, "l1_filtered", lambda _: good)
    assert materialise(lake, instance, ["l2_selected"], ["news@2024"]).success

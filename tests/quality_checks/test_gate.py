"""The judge's books and the gate that reads them."""

from __future__ import annotations

import polars as pl
import pytest
from _small_lake import MAIL, NEWS, plant

from quality_checks.gate import LakeGate, Sound, UnsoundParentError, require_sound_parent, sound_partitions
from quality_checks.judge import all_last_results, check_names, judge_invariants, judge_partition, last_results, record
from resources.lake import Lake
from tier_tables import CHECK_RESULTS, TIERS


def spoil(lake: Lake, partition: dict[str, str] = NEWS) -> None:
    plant(lake, "l1_filtered", lambda rows: rows.with_columns(num_words=pl.lit(0, pl.Int64)), partition)


def num_recorded(lake: Lake) -> int:
    return lake.scan(CHECK_RESULTS.name).select(pl.len()).collect().item()


@pytest.mark.parametrize("tier", TIERS)
def test_record_then_last_results_gives_the_same_in_stable_order(lake: Lake, tier: str) -> None:
    results = judge_partition(lake, tier, **NEWS)
    record(lake, results, "run-1")
    assert last_results(lake, tier, **NEWS) == results
    assert [r.check for r in results] == check_names(tier)
    assert len(set(check_names(tier))) == len(check_names(tier))
    assert last_results(lake, tier, **MAIL) == []


def test_last_results_after_two_judgements_are_the_later_ones(lake: Lake) -> None:
    record(lake, judge_partition(lake, "l1", **NEWS), "run-1")
    before = lake.state("l1_filtered", NEWS)
    spoil(lake)
    record(lake, judge_partition(lake, "l1", **NEWS), "run-2")
    record(lake, judge_partition(lake, "l1", **MAIL), "run-3")
    last = last_results(lake, "l1", **NEWS)
    assert [r.check for r in last if not r.passed] == ["num_words_is_positive"]
    assert {r.state for r in last} == {lake.state("l1_filtered", NEWS)} != {before}
    assert all_last_results(lake) == last_results(lake, "l1", **MAIL) + last


def test_judge_of_a_file_with_another_schema_says_only_that(lake: Lake) -> None:
    (piece,) = lake.slices("l1_filtered", NEWS)
    rows = pl.read_parquet(piece.files[0], hive_partitioning=False)
    rows.drop("num_words").write_parquet(piece.files[0])
    (whole,), (invariants,) = judge_partition(lake, "l1", **NEWS), judge_invariants(lake, "l1", **NEWS)
    assert whole == invariants
    assert "num_words is absent, not Int64" in whole.detail
    with pytest.raises(UnsoundParentError, match="files_follow_the_contract failed in 1"):
        require_sound_parent(lake, "l2", **NEWS)


def test_record_of_nothing_writes_nothing(lake: Lake) -> None:
    record(lake, [], "run-1")
    assert lake.version(CHECK_RESULTS.name) == -1


def test_gate_of_an_unjudged_parent_judges_once_and_records(lake: Lake) -> None:
    require_sound_parent(lake, "l2", **NEWS)
    assert num_recorded(lake) == len(check_names("l1"))
    require_sound_parent(lake, "l2", **NEWS)
    assert num_recorded(lake) == len(check_names("l1"))


def test_gate_of_a_parent_changed_since_its_judgement_judges_again(lake: Lake) -> None:
    require_sound_parent(lake, "l2", **NEWS)
    spoil(lake)
    with pytest.raises(UnsoundParentError) as refusal:
        require_sound_parent(lake, "l2", **NEWS)
    assert str(refusal.value) == (
        "l2 is not made from l1_filtered of news@2024: check num_words_is_positive failed in 4 (d0, d1, d2, d3): "
        "a text has a word [expect_column_values_to_be_between(column=num_words, min_value=1)]; found num_words=0. "
        "Mend the source or the step, run `lake run --corpus news --snapshot 2024 --to l1 --force`, then this again; "
        "`lake check --tier l1` shows all its checks."
    )


def test_gate_of_a_failed_parent_refuses_without_judging_again(lake: Lake) -> None:
    spoil(lake)
    for _ in range(2):
        with pytest.raises(UnsoundParentError):
            require_sound_parent(lake, "l2", **NEWS)
    assert num_recorded(lake) == len(check_names("l1"))


def test_gate_of_a_half_judged_parent_judges_the_whole(lake: Lake) -> None:
    spoil(lake)
    passed = [r for r in judge_partition(lake, "l1", **NEWS) if r.passed]
    record(lake, passed, "run-1")
    with pytest.raises(UnsoundParentError, match="num_words_is_positive"):
        require_sound_parent(lake, "l2", **NEWS)


def test_gate_of_a_parent_with_warnings_opens(lake: Lake) -> None:
    plant(lake, "l1_filtered", lambda rows: rows.with_columns(language=pl.Series(["en", "de", "fr", "es"])))
    require_sound_parent(lake, "l2", **NEWS)
    assert [r.check for r in last_results(lake, "l1", **NEWS) if not r.passed] == ["one_language_prevails"]


def test_gate_of_a_parent_never_made_says_how_to_make_it(lake: Lake) -> None:
    with pytest.raises(UnsoundParentError, match=r"l0_raw of new@2025 was never made.*`lake run --corpus new --snap"):
        require_sound_parent(lake, "l1", "new", "2025")


def test_gate_of_l0_opens_always(lake: Lake) -> None:
    LakeGate(lake).require("l0", "new", "2025")
    assert num_recorded(lake) == 0


def test_gate_of_an_unknown_tier_names_the_known_ones(lake: Lake) -> None:
    with pytest.raises(ValueError, match="'l9' has no parent tier"):
        require_sound_parent(lake, "l9", **NEWS)


def test_sound_partitions_with_one_spoilt_gives_both_sides(lake: Lake) -> None:
    assert sound_partitions(lake, "l2") == Sound(("mail@2024", "news@2024"), ())
    spoil(lake, MAIL)
    sound = sound_partitions(lake, "l2")
    assert sound.keys == ("news@2024",)
    (refused,) = sound.refused
    assert refused.key == "mail@2024"
    assert "num_words_is_positive failed in 1 (m0)" in refused.why

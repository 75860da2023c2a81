"""Reports of training: each is a row, a refusal with its reason, or a repeat; nothing is lost."""

from __future__ import annotations

import json
import math
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.lake import Lake
from tier_assets.m1_training import telemetry
from tier_assets.m1_training.telemetry import TelemetryWriter, accept, tail, take
from tier_tables import table

NOW = datetime(2025, 1, 1, tzinfo=UTC)
NOTHING = table("training_telemetry").empty()
DOMAINS = ("web", "code")
SOUND: dict[str, Any] = {"run": "r", "step": 5, "domain": "web", "tokens": 500, "loss": 2.5, "lr": 0.001}


def judged(*reports: dict[str, Any], known: pl.DataFrame = NOTHING) -> telemetry.Accepted:
    return accept(reports, known, DOMAINS, NOW)


def rows_of(*reports: dict[str, Any]) -> pl.DataFrame:
    return judged(*reports).rows


def test_report_that_is_sound_becomes_a_row() -> None:
    report = SOUND | {"domain_tokens": 200, "checkpoint": "s3://bucket/5", "optimizer": "s3://bucket/5/o.pt"}
    assert rows_of(report).to_dicts() == [report | {"received_at": NOW}]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"loss": math.nan}, "loss_not_finite"),
        ({"loss": -math.inf}, "loss_not_finite"),
        ({"loss": "2.5"}, "ill_typed_field"),
        ({"loss": True}, "ill_typed_field"),
        ({"loss": 10**400}, "ill_typed_field"),
        ({"loss": None}, "missing_field"),
        ({"run": None}, "missing_field"),
        ({"run": ""}, "ill_typed_field"),
        ({"run": "\ud800"}, "ill_typed_field"),
        ({"domain": 7}, "ill_typed_field"),
        ({"domain": "mail"}, "unknown_domain"),
        ({"step": 0}, "step_out_of_range"),
        ({"step": -3}, "step_out_of_range"),
        ({"step": 1.5}, "ill_typed_field"),
        ({"step": math.nan}, "ill_typed_field"),
        ({"step": 2.0**70}, "step_out_of_range"),
        ({"tokens": -1}, "tokens_out_of_range"),
        ({"domain_tokens": 501}, "tokens_out_of_range"),
        ({"domain_tokens": -1}, "tokens_out_of_range"),
        ({"lr": -1e-9}, "lr_out_of_range"),
        ({"lr": math.nan}, "lr_out_of_range"),
        ({"lr": math.inf}, "lr_out_of_range"),
        ({"checkpoint": 7}, "ill_typed_field"),
        ({"checkpoint": "/nowhere/step-5"}, "checkpoint_not_found"),
        ({"checkpoint": "x" * 5_000}, "checkpoint_not_found"),
        ({"checkpoint": "a\0b"}, "checkpoint_not_found"),
        ({"step": 1}, None),
        ({"step": 5.0, "tokens": 500.0}, None),
        ({"tokens": 0, "lr": 0, "loss": -1}, None),
        ({"domain": "all"}, None),
        ({"domain_tokens": 500}, None),
        ({"checkpoint": str(Path(__file__).parent)}, None),
        ({"grad_norm": "whatever"}, None),
    ],
)
def test_report_with_a_wrong_field_is_refused_with_its_reason(change: dict[str, Any], reason: str | None) -> None:
    found = judged(SOUND | change)
    assert found.refused["reason"].to_list() == ([reason] if reason else [])
    assert found.rows.height == (reason is None)


def test_report_without_a_field_is_refused() -> None:
    for field in SOUND:
        without = {name: value for name, value in SOUND.items() if name != field}
        assert judged(without).refused["reason"].to_list() == ["missing_field"]


def test_refused_row_says_whose_it_was_and_keeps_the_report() -> None:
    report = SOUND | {"loss": math.nan}
    (row,) = judged(report).refused.to_dicts()
    assert row == {
        "run": "r",
        "step": 5,
        "domain": "web",
        "reason": "loss_not_finite",
        "detail": "loss=nan",
        "line": json.dumps(report),
        "received_at": NOW,
    }
    (row,) = judged({"run": 7, "step": "x", "domain": None}).refused.to_dicts()
    assert (row["run"], row["step"], row["domain"], row["reason"]) == (None, None, None, "ill_typed_field")


def test_any_domain_is_taken_where_the_lake_has_none() -> None:
    assert accept([SOUND | {"domain": "mail"}], NOTHING, None, NOW).rows.height == 1


@pytest.mark.parametrize("change", [{"loss": 2.6}, {"tokens": 501}, {"lr": 0.1}, {"checkpoint": "s3://b/5"}])
def test_step_told_again_with_other_values_is_refused(change: dict[str, Any]) -> None:
    again = SOUND | change
    assert judged(again, known=rows_of(SOUND)).refused["reason"].to_list() == ["replayed_step"]
    together = judged(SOUND, again)
    assert (together.rows.height, together.refused["reason"].to_list()) == (1, ["replayed_step"])


def test_same_report_again_is_ignored_whether_taken_or_refused() -> None:
    broken = SOUND | {"loss": math.nan}
    found = judged(SOUND, broken, SOUND, broken)
    assert (found.rows.height, found.refused.height, found.num_ignored) == (1, 1, 2)
    again = judged(SOUND, known=rows_of(SOUND))
    assert (again.rows.height, again.refused.height, again.num_ignored) == (0, 0, 1)


def test_checkpoint_that_is_named_from_here_is_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "step-5").mkdir()
    monkeypatch.chdir(tmp_path)
    known = rows_of(SOUND | {"checkpoint": "step-5"})
    assert known["checkpoint"].to_list() == [str(tmp_path / "step-5")]
    assert judged(SOUND | {"checkpoint": "step-5"}, known=known).num_ignored == 1
    assert str(tmp_path / "step-6") in judged(SOUND | {"checkpoint": "step-6"}).refused["detail"][0]


def test_same_report_again_is_ignored_though_its_checkpoint_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "step-5"
    folder.mkdir()
    report = SOUND | {"checkpoint": str(folder)}
    known = rows_of(report)
    folder.rmdir()
    assert judged(report, known=known).num_ignored == 1


def test_same_report_again_is_ignored_though_another_domain_has_turned_up() -> None:
    known = rows_of(SOUND)
    assert known["domain_tokens"].to_list() == [500]
    found = judged(SOUND | {"domain": "code"}, SOUND, known=known)
    assert (found.rows["domain_tokens"].to_list(), found.num_ignored) == ([250], 1)


@pytest.mark.parametrize(
    ("step", "tokens", "is_taken"),
    [(1, 0, True), (1, 100, True), (1, 101, False), (3, 99, False), (3, 100, True), (3, 300, True), (3, 301, False),
     (9, 299, False), (9, 300, True)],
)  # fmt: skip
def test_tokens_of_a_late_report_lie_between_its_neighbours(step: int, tokens: int, is_taken: bool) -> None:
    around = [SOUND | {"step": 2, "tokens": 100}, SOUND | {"step": 4, "tokens": 300}]
    late = SOUND | {"step": step, "tokens": tokens}
    for found in (judged(late, known=rows_of(*around)), judged(*around, late)):
        assert (late["step"] in found.rows["step"]) == is_taken
        assert found.refused["reason"].to_list() == ([] if is_taken else ["tokens_went_back"])


def test_other_run_has_its_own_steps_and_tokens() -> None:
    known = rows_of(SOUND)
    assert judged(SOUND | {"run": "other", "tokens": 1, "loss": 9.0}, known=known).rows.height == 1


def test_tokens_of_domains_that_are_not_told_are_even_shares() -> None:
    found = judged(SOUND, SOUND | {"domain": "code", "domain_tokens": 100}, SOUND | {"step": 6, "tokens": 601})
    assert found.rows["domain_tokens"].to_list() == [250, 100, 300]


REPORTS = st.lists(
    st.builds(
        lambda step, domain, tokens, loss: SOUND | {"step": step, "domain": domain, "tokens": tokens, "loss": loss},
        st.integers(0, 4),
        st.sampled_from(("web", "code", "mail")),
        st.integers(0, 3),
        st.sampled_from((1.0, 2.0, math.nan)),
    ).map(lambda report: report | {"domain_tokens": 0}),
    max_size=12,
)


@settings(max_examples=40)
@given(REPORTS, st.integers(0, 12))
def test_reports_in_two_batches_are_judged_as_in_one(reports: list[dict[str, Any]], cut: int) -> None:
    whole = judged(*reports)
    first = judged(*reports[:cut])
    second = judged(*reports[cut:], known=first.rows)
    assert pl.concat([first.rows, second.rows]).equals(whole.rows)
    assert whole.rows.height + whole.refused.height + whole.num_ignored == len(reports)
    steps = whole.rows.group_by("step").agg(low=pl.col("tokens").min(), high=pl.col("tokens").max()).sort("step")
    assert (steps["low"][1:] >= steps["high"][:-1]).all()
    assert not whole.rows.select(telemetry.KEY).is_duplicated().any()


# --- the lake ------------------------------------------------------------------------------------------------------


def telemetry_of(lake: Lake) -> pl.DataFrame:
    return lake.scan("training_telemetry").sort("run", "step", "domain").collect()


def test_writer_counts_tokens_of_all_domains_and_of_each(lake: Lake) -> None:
    with TelemetryWriter(lake, "r") as writer:
        writer.report(1, {"web": (100, 3.0), "code": (20, 2.0)}, 0.1)
        writer.report(2, {"web": (50, 2.5)}, 0.2)
    rows = telemetry_of(lake).select("step", "domain", "tokens", "domain_tokens", "loss", "lr").rows()
    assert rows == [
        (1, "code", 120, 20, 2.0, 0.1),
        (1, "web", 120, 100, 3.0, 0.1),
        (2, "web", 170, 150, 2.5, 0.2),
    ]


def test_writer_takes_numbers_of_numpy(lake: Lake) -> None:
    with TelemetryWriter(lake, "r") as writer:
        writer.report(1, {"web": (np.int64(100), np.float32(2.5))}, np.float32(0.5))  # type: ignore[dict-item]
    assert telemetry_of(lake).select("tokens", "loss", "lr").rows() == [(100, 2.5, 0.5)]


def test_writer_appends_in_batches_and_at_once_with_a_checkpoint(lake: Lake, tmp_path: Path) -> None:
    with TelemetryWriter(lake, "r") as writer:
        for step in range(1, telemetry.FLUSH_STEPS + 11):
            writer.report(step, {"web": (1, 1.0)}, 0.1)
        assert telemetry_of(lake).height == telemetry.FLUSH_STEPS
        writer.report(telemetry.FLUSH_STEPS + 11, {"web": (1, 1.0)}, 0.1, checkpoint=tmp_path)
        assert telemetry_of(lake)["checkpoint"].to_list()[-1] == str(tmp_path)
    assert lake.version("training_telemetry") == 2  # version 0 made the table
    assert telemetry_of(lake)["step"].to_list() == list(range(1, telemetry.FLUSH_STEPS + 12))


def test_writer_that_is_left_by_an_error_has_reported_what_it_was_told(lake: Lake) -> None:
    def train() -> None:
        with TelemetryWriter(lake, "r") as writer:
            writer.report(1, {"web": (1, 1.0)}, 0.1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train()
    assert telemetry_of(lake)["step"].to_list() == [1]


def test_writer_of_a_resumed_run_goes_on_from_the_step_it_resumes_at(lake: Lake) -> None:
    with TelemetryWriter(lake, "r") as writer:
        for step in (1, 2, 3):
            writer.report(step, {"web": (10, 1.0), "code": (5, float(step))}, 0.1)
    with TelemetryWriter(lake, "r") as writer:  # resumed at step 3, of which web repeats what was told
        writer.report(3, {"web": (10, 1.0), "code": (5, 9.0)}, 0.1)
        writer.report(4, {"web": (10, 1.0), "mail": (1, 1.0)}, 0.1)
    rows = telemetry_of(lake).filter(pl.col("step") >= 3).select("step", "domain", "tokens", "domain_tokens", "loss")
    assert rows.rows() == [
        (3, "code", 45, 15, 3.0),
        (3, "web", 45, 30, 1.0),
        (4, "mail", 56, 1, 1.0),
        (4, "web", 56, 40, 1.0),
    ]
    assert lake.scan("telemetry_refused").select("step", "domain", "reason").collect().rows() == [
        (3, "code", "replayed_step")
    ]


def test_writer_refuses_a_loss_that_is_no_number_and_counts_its_tokens(lake: Lake) -> None:
    with TelemetryWriter(lake, "r") as writer:
        writer.report(1, {"web": (10, math.nan), "code": (5, 1.0)}, 0.1)
    assert telemetry_of(lake).select("domain", "tokens").rows() == [("code", 15)]
    assert lake.scan("telemetry_refused").collect()["reason"].to_list() == ["loss_not_finite"]


def test_writer_told_a_step_twice_or_tokens_below_zero_says_so(lake: Lake) -> None:
    writer = TelemetryWriter(lake, "r")
    writer.report(2, {"web": (1, 1.0)}, 0.1)
    for step in (2, 1):
        with pytest.raises(ValueError, match=f"come in order: {step} after 2"):
            writer.report(step, {"web": (1, 1.0)}, 0.1)
    with pytest.raises(ValueError, match="0 or more tokens"):
        writer.report(3, {"web": (-1, 1.0)}, 0.1)


def test_domains_that_the_lake_does_not_have_are_refused(lake: Lake) -> None:
    document = {c: None for c in table("l1_filtered").schema}
    place = {"corpus": "c", "snapshot": "s"}
    rows = pl.DataFrame([document | place | {"doc_id": "d", "domain": "web"}], schema=table("l1_filtered").schema)
    written = lake.replace("l1_filtered", place, rows)
    output = {"table": written.table, "slice": written.slice, "version": written.version, "token": written.token}
    lake.finish({"tier": "l1", "step": "l1_filtered", **place, "output_versions": [output]})
    with TelemetryWriter(lake, "r") as writer:
        writer.report(1, {"web": (1, 1.0), "mail": (1, 1.0), "all": (1, 1.0)}, 0.1)
    assert telemetry_of(lake)["domain"].to_list() == ["all", "web"]
    assert lake.scan("telemetry_refused").select("domain", "reason").collect().rows() == [("mail", "unknown_domain")]


# --- a file that another process appends to ------------------------------------------------------------------------


def lines_of(*reports: object) -> bytes:
    return b"".join(json.dumps(report).encode() + b"\n" for report in reports)


def test_tail_takes_each_line_once_and_loses_none(lake: Lake, tmp_path: Path) -> None:
    reports = [SOUND | {"step": step, "tokens": step * 10} for step in range(1, 40)]
    random.Random(0).shuffle(reports)
    wrong = b'no json\n[1]\n\xff\xfe\n{"run": "r"}\n' + lines_of(SOUND | {"step": 41, "loss": math.nan})
    repeats = lines_of(*reports[:7]) + b'no json\n{"run": "r"}\n'
    file = tmp_path / "telemetry.jsonl"
    file.write_bytes(lines_of(*reports[:20]) + wrong + b"\n" + lines_of(*reports[20:]) + repeats)
    assert tail(lake, file) == file.stat().st_size
    num_lines = len([line for line in file.read_bytes().splitlines() if line])
    refused = lake.scan("telemetry_refused").collect()
    assert telemetry_of(lake)["step"].to_list() == list(range(1, 40))
    assert sorted(refused["reason"]) == ["loss_not_finite", "missing_field", "not_an_object", "not_json", "not_json"]
    assert telemetry_of(lake).height + refused.height + 9 == num_lines


def test_tail_of_a_torn_line_waits_for_its_end(lake: Lake, tmp_path: Path) -> None:
    file = tmp_path / "telemetry.jsonl"
    first, second = lines_of(SOUND), lines_of(SOUND | {"step": 6})
    file.write_bytes(first + second[:9])
    at = tail(lake, file)
    assert (at, telemetry_of(lake)["step"].to_list()) == (len(first), [5])
    assert tail(lake, file, at) == at
    with open(file, "ab") as end:
        end.write(second[9:-1])
    at = tail(lake, file, at)  # whole, but for the end of its line
    assert (at, telemetry_of(lake)["step"].to_list()) == (len(first + second) - 1, [5, 6])
    with open(file, "ab") as end:
        end.write(b"\n" + lines_of(SOUND | {"step": 7}))
    assert tail(lake, file, at) == file.stat().st_size
    assert telemetry_of(lake)["step"].to_list() == [5, 6, 7]
    assert lake.scan("telemetry_refused").collect().is_empty()


def test_tail_of_a_file_that_was_begun_anew_reads_it_from_its_start(lake: Lake, tmp_path: Path) -> None:
    file = tmp_path / "telemetry.jsonl"
    file.write_bytes(lines_of(SOUND, SOUND | {"step": 6}))
    at = tail(lake, file)
    file.write_bytes(lines_of(SOUND | {"step": 7}))
    assert tail(lake, file, at) == file.stat().st_size
    assert telemetry_of(lake)["step"].to_list() == [5, 6, 7]


def test_tail_from_an_earlier_byte_takes_nothing_twice(lake: Lake, tmp_path: Path) -> None:
    file = tmp_path / "telemetry.jsonl"
    file.write_bytes(lines_of(SOUND, SOUND | {"loss": math.nan}) + b"no json\n")
    for _ in range(2):
        assert tail(lake, file, 0) == file.stat().st_size
    assert (telemetry_of(lake).height, lake.scan("telemetry_refused").collect().height) == (1, 2)


def test_tail_of_a_report_that_would_now_be_refused_for_another_reason_takes_nothing_twice(
    lake: Lake, tmp_path: Path
) -> None:
    file = tmp_path / "telemetry.jsonl"
    late = SOUND | {"step": 2, "tokens": 900}  # more than at step 5; then step 2 is told by another
    file.write_bytes(lines_of(SOUND, late, SOUND | {"step": 2, "tokens": 10}, late))
    for _ in range(2):
        tail(lake, file)
        assert lake.scan("telemetry_refused").collect()["reason"].to_list() == ["tokens_went_back"]


def test_tail_of_many_lines_takes_them_in_batches(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "TAIL_LINES", 10)
    file = tmp_path / "telemetry.jsonl"
    file.write_bytes(lines_of(*(SOUND | {"step": step} for step in range(1, 26))))
    assert tail(lake, file) == file.stat().st_size
    assert telemetry_of(lake)["step"].to_list() == list(range(1, 26))
    assert lake.version("training_telemetry") == 3


def test_tail_of_a_missing_file_says_so(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        tail(lake, tmp_path / "none.jsonl")


def test_take_reads_only_the_runs_that_report(lake: Lake) -> None:
    take(lake, [SOUND, SOUND | {"run": "other", "tokens": 900}], None)
    found = take(lake, [SOUND | {"step": 6, "tokens": 600}, SOUND, SOUND | {"run": "other", "step": 6}], None)
    assert (found.rows["run"].to_list(), found.refused["reason"].to_list(), found.num_ignored) == (
        ["r"],
        ["tokens_went_back"],
        1,
    )

"""The bridge to great-expectations: batches add up, errors rise, nothing is printed, nothing is sent."""

from __future__ import annotations

import socket

import polars as pl
import pytest

from quality_checks import adapter
from quality_checks.adapter import run_expectations
from quality_checks.suites import Expectation, between, matches

ROWS = pl.DataFrame({"key": ["a", "b", "c", "d", "e"], "n": [1, -1, None, -3, -2], "s": ["x", "", "é", None, "y"]})
POSITIVE = between("n_is_positive", "n", 0, None, "a count")
SHAPED = matches("s_is_ascii", "s", r"^[a-z]+$", "plain letters")


@pytest.mark.parametrize("rows_per_batch", [1, 2, 5, 100])
def test_expectations_in_batches_of_any_size_give_the_same_findings(
    rows_per_batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "ROWS_PER_BATCH", rows_per_batch)
    positive, shaped = run_expectations(ROWS.lazy(), (POSITIVE, SHAPED), "key")
    assert (positive.num_failed, positive.failing_keys) == (3, ("b", "d", "e"))
    assert (shaped.num_failed, shaped.failing_keys) == (2, ("b", "c"))
    assert positive.detail == "a count [expect_column_values_to_be_between(column=n, min_value=0)]; found n=-1"


def test_expectations_of_no_rows_pass() -> None:
    assert [f.passed for f in run_expectations(ROWS.head(0).lazy(), (POSITIVE, SHAPED), "key")] == [True, True]


def test_expectations_over_aggregates_are_refused() -> None:
    mean = Expectation("mean", "expect_column_mean_to_be_between", {"column": "n"}, "error", "no row")
    with pytest.raises(ValueError, match="not row by row: \\['expect_column_mean_to_be_between'\\]"):
        run_expectations(ROWS.lazy(), (mean,), "key")


def test_expectations_on_an_absent_column_raise_with_the_name() -> None:
    with pytest.raises(RuntimeError, match="nowhere"):
        run_expectations(ROWS.lazy(), (between("x", "nowhere", 0, 1, "absent"),), "key")


def test_expectations_print_nothing_and_open_no_socket(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError(f"a connection to {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    run_expectations(ROWS.lazy(), (POSITIVE, SHAPED), "key")
    assert capfd.readouterr() == ("", "")
    assert [r for r in caplog.records if r.name.startswith("great_expectations")] == []

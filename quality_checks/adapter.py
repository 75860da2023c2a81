"""Runs an expectation suite with great-expectations on Polars rows.

In go a lazy frame of light columns and a tuple of expectations, out come findings. great-expectations has no
Polars engine, so rows go to pandas a batch at a time: about 1.4 s for 15 expectations on a million rows, plus 2-4 s
to import it once. Keys are looked up only for what failed. It stays off the network and prints nothing.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from quality_checks.check_result import MAX_FAILING_KEYS, Finding
from quality_checks.suites import Expectation

if TYPE_CHECKING:
    from great_expectations.core.expectation_validation_result import ExpectationValidationResult
    from great_expectations.data_context import AbstractDataContext
    from great_expectations.datasource.fluent.interfaces import Batch

ROWS_PER_BATCH = 500_000
# These judge a row each, so that batches add up; an aggregate over rows belongs in the summary row.
ROW_BY_ROW = (
    "expect_column_values_to_not_be_null",
    "expect_column_values_to_be_between",
    "expect_column_values_to_be_in_set",
    "expect_column_values_to_match_regex",
    "expect_column_pair_values_to_be_equal",
)


def open_context() -> AbstractDataContext:
    """A great-expectations context in memory, without analytics, docs site, progress bars or log lines."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations
        from great_expectations.data_context.types import base

        for name in ("great_expectations", base.__name__):  # the second sets its own level at import
            logging.getLogger(name).setLevel(logging.ERROR)
        return great_expectations.get_context(
            mode="ephemeral",
            project_config=base.DataContextConfig(
                store_backend_defaults=base.InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
                analytics_enabled=False,
                progress_bars=base.ProgressBarsConfig(globally=False),
            ),
        )


def run_expectations(rows: pl.LazyFrame, expectations: Sequence[Expectation], key: str) -> list[Finding]:
    """Judge `rows` by `expectations`; one finding each, in their order.

    Args:
        rows: the columns that the expectations name and the column `key`.
        expectations: row-by-row expectations (`ROW_BY_ROW`).
        key: column whose values name the failing rows.

    Raises:
        ValueError: an expectation that is not row by row.
        RuntimeError: great-expectations could not run an expectation; the message carries its own words.
    """
    unknown = sorted({e.type for e in expectations} - set(ROW_BY_ROW))
    if unknown:
        raise ValueError(f"not row by row: {unknown}; known: {sorted(ROW_BY_ROW)}")
    if not expectations:
        return []
    context = open_context()
    definition = (
        context.data_sources.add_pandas("lake").add_dataframe_asset("rows").add_batch_definition_whole_dataframe("all")
    )
    num_failed = [0] * len(expectations)
    failing: list[list[tuple[str, str]]] = [[] for _ in expectations]
    for frame in rows.collect_batches(chunk_size=ROWS_PER_BATCH, engine="streaming"):
        batch = definition.get_batch({"dataframe": frame.to_pandas()})
        for place, count, found in _failures(batch, expectations, key):
            num_failed[place] += count
            failing[place] = sorted(failing[place] + found)[:MAX_FAILING_KEYS]
    return [_as_finding(e, n, f) for e, n, f in zip(expectations, num_failed, failing)]


def _failures(
    batch: Batch, expectations: Sequence[Expectation], key: str
) -> list[tuple[int, int, list[tuple[str, str]]]]:
    """(place, failing rows, [(key, value found)]) of the expectations that this batch fails."""
    summary = _validate(batch, dict(enumerate(expectations)), {"result_format": "SUMMARY"})
    failed = {place: expectations[place] for place, result in summary.items() if not result.success}
    if not failed:
        return []
    with_keys = {"result_format": "COMPLETE", "unexpected_index_column_names": [key]}
    complete = _validate(batch, failed, with_keys | {"return_unexpected_index_query": False})
    found = []
    for place, result in complete.items():
        rows = [
            (_shown(row[key]), ", ".join(f"{column}={_shown(value)}" for column, value in row.items() if column != key))
            for row in result.result["unexpected_index_list"]
        ]
        found.append((place, int(result.result["unexpected_count"]), sorted(rows)[:MAX_FAILING_KEYS]))
    return found


def _validate(
    batch: Batch, expectations: dict[int, Expectation], result_format: dict[str, object]
) -> dict[int, ExpectationValidationResult]:
    """Place -> great-expectations' result."""
    from great_expectations import ExpectationSuite
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    suite = ExpectationSuite(
        name="tier",
        expectations=[
            ExpectationConfiguration(type=e.type, kwargs=dict(e.kwargs), meta={"place": place})
            for place, e in expectations.items()
        ],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = batch.validate(suite, result_format=result_format)
    placed = {}
    for result in report.results:
        run = result.expectation_config
        assert run is not None
        info = result.exception_info
        errors = [e for e in ([info] if "raised_exception" in info else info.values()) if e["raised_exception"]]
        if errors:
            raise RuntimeError(f"{run.type}({run.kwargs}): {errors[0]['exception_message']}")
        placed[run.meta["place"]] = result
    return placed


def _shown(value: object) -> str:
    """A value in few characters; great-expectations gives NaN for a null."""
    item = value.item() if hasattr(value, "item") else value
    if item is None or item != item:
        return "null"
    # pandas makes floats of integers where one is null.
    return str(int(item) if isinstance(item, float) and item.is_integer() else item)[:80]


def _as_finding(expectation: Expectation, num_failed: int, failing: list[tuple[str, str]]) -> Finding:
    found = f"; found {failing[0][1]}" if failing and failing[0][1] else ""
    keys = tuple(key for key, _ in failing)
    return Finding(expectation.name, expectation.severity, num_failed, keys, describe(expectation) + found)


def describe(expectation: Expectation) -> str:
    """The expectation in words: reason, then great-expectations' type and arguments."""
    kwargs = ", ".join(f"{name}={value}" for name, value in expectation.kwargs.items() if value is not None)
    return f"{expectation.reason} [{expectation.type}({kwargs})]"

"""Judges one partition of one tier and keeps what was found in `check_results`.

In goes a lake, a tier and a partition; out come results in a stable order: contract, suite, invariants. A result
holds for the state of the files that were judged: `lake.state` of the tier's main table, read before judging.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

import polars as pl

from quality_checks.adapter import run_expectations
from quality_checks.check_result import CheckResult, Finding, Partition
from quality_checks.invariants import INVARIANTS, run_invariants
from quality_checks.rows import key_column
from quality_checks.suites import rows_to_judge, suite, summary_to_judge
from resources.lake import Lake
from tier_tables import CHECK_RESULTS, MAIN_TABLES, TIERS

CONTRACT = "files_follow_the_contract"
RUN_BY_HAND = "cli"


def check_names(tier: str) -> list[str]:
    """All checks of a tier, in the order in which they are judged."""
    return [CONTRACT, *(e.name for e in suite(tier)), *(i.name for i in INVARIANTS[tier])]


def judge_partition(lake: Lake, tier: str, corpus: str, snapshot: str) -> list[CheckResult]:
    """All checks of the tier on one partition, in the order of `check_names`.

    Files that do not follow the contract cannot be read as its rows: then that is the only result.

    Raises:
        ValueError: unknown tier.
    """
    now = lake.at_one_moment()
    found = judge_suite(now, tier, corpus, snapshot)
    return found + judge_invariants(now, tier, corpus, snapshot) if found[0].passed else found


def judge_suite(lake: Lake, tier: str, corpus: str, snapshot: str) -> list[CheckResult]:
    """The contract and the tier's expectations on one partition.

    Raises:
        ValueError: unknown tier.
    """
    lake = lake.at_one_moment()
    partition, state = _partition(lake, tier, corpus, snapshot)
    findings = [follows_contract(lake, tier, partition)]
    if findings[0].passed:
        expectations = suite(tier)
        by_row = [e for e in expectations if e.judges == "rows"]
        by_partition = [e for e in expectations if e.judges == "summary"]
        summary = summary_to_judge(lake, tier, partition)
        found = [
            *run_expectations(rows_to_judge(lake, tier, partition), by_row, key_column(tier)),
            *run_expectations(summary.lazy(), by_partition, "partition"),
        ]
        place = {e.name: number for number, e in enumerate(expectations)}
        findings += sorted(found, key=lambda f: place[f.check])
    return _results(findings, tier, corpus, snapshot, state)


def judge_invariants(lake: Lake, tier: str, corpus: str, snapshot: str) -> list[CheckResult]:
    """The tier's invariants on one partition; where its files do not follow the contract, that result alone.

    Raises:
        ValueError: unknown tier.
    """
    lake = lake.at_one_moment()
    partition, state = _partition(lake, tier, corpus, snapshot)
    contract = follows_contract(lake, tier, partition)
    findings = run_invariants(lake, tier, partition) if contract.passed else [contract]
    return _results(findings, tier, corpus, snapshot, state)


def follows_contract(lake: Lake, tier: str, partition: Partition) -> Finding:
    """Every data file has the contract's columns, in type; a failing key is a file's name."""
    wanted = MAIN_TABLES[tier].file_schema
    failing: list[tuple[str, str]] = []
    for piece in lake.slices(MAIN_TABLES[tier].name, partition):
        for file in piece.files:
            scan = pl.scan_parquet(file, hive_partitioning=False, glob=False, storage_options=lake.storage_options)
            there = scan.collect_schema()
            wrong = [f"{c} is {there.get(c, 'absent')}, not {t}" for c, t in wanted.items() if there.get(c) != t]
            wrong += [f"unknown column {c}" for c in there if c not in wanted]
            if wrong:
                failing.append((file.rsplit("/", 1)[-1], ", ".join(wrong)))
    found = f"; found {failing[0][1]}" if failing else ""
    keys = tuple(name for name, _ in failing[:20])
    return Finding(CONTRACT, "error", len(failing), keys, "files hold the columns that tier_tables describes" + found)


def record(lake: Lake, results: Sequence[CheckResult], run_id: str) -> None:
    """Append the results to `check_results`, all in one commit."""
    if not results:
        return
    now = datetime.now(UTC)
    rows = [
        asdict(r)
        | {"check_name": r.check, "passed": r.passed, "failing_keys": list(r.failing_keys)}
        | {"run_id": run_id, "checked_at": now}
        for r in results
    ]
    lake.append(CHECK_RESULTS.name, pl.DataFrame(rows, schema=CHECK_RESULTS.schema))


def last_results(lake: Lake, tier: str, corpus: str, snapshot: str) -> list[CheckResult]:
    """The last recorded result of each check on one partition, of whatever state, in the order of `check_names`."""
    rows = lake.scan(CHECK_RESULTS.name).filter(
        (pl.col("tier") == tier) & (pl.col("corpus") == corpus) & (pl.col("snapshot") == snapshot)
    )
    return _last(rows)


def all_last_results(lake: Lake) -> list[CheckResult]:
    """The last recorded result of every check on every partition: by tier, corpus, snapshot, then check."""
    return _last(lake.scan(CHECK_RESULTS.name))


def _last(rows: pl.LazyFrame) -> list[CheckResult]:
    last = rows.sort("checked_at").unique(["tier", "corpus", "snapshot", "check_name"], keep="last").collect()
    places = {tier: {name: place for place, name in enumerate(check_names(tier))} for tier in TIERS}
    results = [
        CheckResult(
            **{c: row[c] for c in ("severity", "num_failed", "detail", "tier", "corpus", "snapshot", "state")},
            check=row["check_name"],
            failing_keys=tuple(row["failing_keys"]),
        )
        for row in last.iter_rows(named=True)
        # A check that this version no longer has says nothing any more.
        if row["check_name"] in places.get(row["tier"], ())
    ]
    return sorted(results, key=lambda r: (r.tier, r.corpus, r.snapshot, places[r.tier][r.check]))


def _partition(lake: Lake, tier: str, corpus: str, snapshot: str) -> tuple[Partition, str]:
    if tier not in TIERS:
        raise ValueError(f"unknown tier {tier!r}; known: {list(TIERS)}")
    partition = {"corpus": corpus, "snapshot": snapshot}
    return partition, lake.state(MAIN_TABLES[tier].name, partition)


def _results(findings: Iterable[Finding], tier: str, corpus: str, snapshot: str, state: str) -> list[CheckResult]:
    return [CheckResult(**asdict(f), tier=tier, corpus=corpus, snapshot=snapshot, state=state) for f in findings]

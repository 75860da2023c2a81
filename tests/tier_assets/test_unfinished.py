"""Files that no step finished: not read, named by a warning, gone with the step's next run."""

from __future__ import annotations

import polars as pl
import pytest

from quality_checks.judge import judge_partition
from resources.lake import Lake
from tests.tier_assets.conftest import make

BRIDGES = {"corpus": "bridges", "snapshot": "2026-01"}


@pytest.mark.slow
def test_files_without_a_ledger_row_are_named_not_read_and_removed_by_the_next_run(own_lake: Lake) -> None:
    before = own_lake.scan("l1_filtered", BRIDGES).collect()
    stage = own_lake.stage("l1_filtered", BRIDGES)
    stage.write(before.head(1).with_columns(doc_id=pl.lit("f" * 32)))
    own_lake.commit(stage)  # and here the process is killed
    assert own_lake.scan("l1_filtered", BRIDGES).collect().equals(before)
    results = {r.check: r for r in judge_partition(own_lake, "l1", **BRIDGES)}
    assert results["commits_are_finished"].num_failed == 1
    assert not results["commits_are_finished"].blocks
    assert all(r.passed for name, r in results.items() if name != "commits_are_finished")
    step = own_lake.last_step("l1_filtered", BRIDGES)
    assert step is not None
    own_lake.finish({**step, "code_version": "older"})
    assert not make(own_lake).problems
    assert own_lake.unfinished("l1_filtered", BRIDGES) == []

"""A step is one version: it ends in one ledger row, or nothing of it shows."""

from __future__ import annotations

import pickle

import pytest
from _made_up import MAIL, NEWS, finish, put, rows
from polars.testing import assert_frame_equal

from resources.catalog import catalog_path, open_catalog
from resources.lake import Lake, RacingWriterError
from resources.step import Staged, Step, code_version, cpu_seconds, is_current, reads_of


def l1(lake: Lake, reads: list[dict[str, object]] | None = None, version: str = "v1") -> Step:
    return Step(lake, "l1", "l1_filtered", NEWS, "run-1", version, reads or [])


def test_finished_step_writes_one_ledger_row_with_all_it_did(lake: Lake) -> None:
    put(lake, "l0_raw", NEWS, rows("l0_raw", 4, NEWS))
    reads = reads_of(lake, {"l0_raw": NEWS})
    with l1(lake, reads) as step:
        verdicts, kept = step.stage("verdicts", tier="l1"), step.stage("l1_filtered")
        verdicts.write(rows("verdicts", 1, {"tier": "l1", **NEWS}))
        kept.write(rows("l1_filtered", 3, NEWS))
        first, second = step.commit(verdicts), step.commit(kept)
        step.counts(rows_in=3, rows_kept=2)
        step.counts(rows_in=1, rows_kept=1, rows_rejected=1)
    written = lake.last_step("l1_filtered", NEWS)
    assert written is not None
    wanted: dict[str, object] = {
        "tier": "l1",
        "corpus": "news",
        "run_id": "run-1",
        "round": None,
        "code_version": "v1",
        "rows_in": 4,
    }
    wanted |= {"rows_kept": 3, "rows_rejected": 1, "prompt_tokens": 0, "gpu_s": 0.0, "input_versions": reads}
    assert {name: written[name] for name in wanted} == wanted
    assert written["output_versions"] == [
        {"table": "verdicts", "slice": "tier=l1/corpus=news/snapshot=2024-01", "version": 1, "token": first.token},
        {"table": "l1_filtered", "slice": "corpus=news/snapshot=2024-01", "version": 1, "token": second.token},
    ]
    assert written["started_at"] < written["finished_at"]  # type: ignore[operator]
    assert_frame_equal(lake.scan("l1_filtered").collect(), rows("l1_filtered", 3, NEWS))


def test_finished_step_leaves_a_fresh_catalog(lake: Lake) -> None:
    with l1(lake) as step:
        stage = step.stage("l1_filtered")
        stage.write(rows("l1_filtered", 3, NEWS))
        step.commit(stage)
    built = catalog_path(lake).stat().st_ino
    with open_catalog(lake) as catalog:
        assert catalog.execute("SELECT count(*) FROM l1_filtered").fetchall() == [(3,)]
    assert catalog_path(lake).stat().st_ino == built


def test_step_that_fails_after_its_commits_shows_nothing(lake: Lake) -> None:
    put(lake, "l1_filtered", NEWS, rows("l1_filtered", 1, NEWS))

    def fail() -> None:
        with l1(lake) as step:
            stage = step.stage("l1_filtered")
            stage.write(rows("l1_filtered", 3, NEWS))
            step.commit(stage)
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert_frame_equal(lake.scan("l1_filtered").collect(), rows("l1_filtered", 1, NEWS))
    assert lake.last_step("l1_filtered", NEWS) is None


def test_step_overtaken_between_commit_and_end_is_refused(lake: Lake) -> None:
    def be_overtaken() -> None:
        with l1(lake) as step:
            stage = step.stage("l1_filtered")
            stage.write(rows("l1_filtered", 3, NEWS))
            step.commit(stage)
            lake.replace("l1_filtered", NEWS, rows("l1_filtered", 1, NEWS))  # begun after our commit: not refused

    with pytest.raises(RacingWriterError, match="another step committed"):
        be_overtaken()
    assert lake.ledger().height == 0
    assert lake.scan("l1_filtered").collect().height == 0


def test_step_is_not_disturbed_by_another_partition(lake: Lake) -> None:
    with l1(lake) as step:
        stage = step.stage("l1_filtered")
        put(lake, "l1_filtered", MAIL, rows("l1_filtered", 1, MAIL))
        stage.write(rows("l1_filtered", 3, NEWS))
        step.commit(stage)
        put(lake, "l1_filtered", MAIL, rows("l1_filtered", 2, MAIL))
    assert lake.scan("l1_filtered", NEWS).collect().height == 3
    assert lake.scan("l1_filtered", MAIL).collect().height == 2


def staged(lake: Lake) -> bytes:
    """What the first op of a step hands to the second."""
    handle = Staged(NEWS, reads_of(lake, {"l0_raw": NEWS}), counts={"rows_in": 5, "output_tokens": 9}, cpu_s=100.0)
    for name, partition in (("verdicts", {"tier": "l1", **NEWS}), ("l1_filtered", NEWS)):
        stage = lake.stage(name, partition)
        stage.write(rows(name, 2, partition))
        handle.stages.append(stage.close())
    return pickle.dumps(handle)


def test_step_takes_what_an_earlier_op_staged_with_its_costs(lake: Lake) -> None:
    handed_on = staged(lake)
    assert len(handed_on) < 20_000  # a handle, not a frame
    with l1(lake) as step:
        step.take(pickle.loads(handed_on))
        step.counts(rows_in=1)
    assert step.all_counts()["rows_in"] == 6
    last = lake.last_step("l1_filtered", NEWS)
    assert last is not None
    assert (last["rows_in"], last["output_tokens"]) == (6, 9)
    assert 100 <= float(str(last["cpu_s"])) < 110
    assert_frame_equal(lake.scan("l1_filtered").collect(), rows("l1_filtered", 2, NEWS))


def test_step_retried_after_it_died_between_commits_finishes(lake: Lake) -> None:
    handed_on = staged(lake)

    def lose_the_node() -> None:
        with l1(lake) as step:
            step.commit(pickle.loads(handed_on).stages[0])
            raise OSError("node lost")

    with pytest.raises(OSError, match="node lost"):
        lose_the_node()
    with l1(lake) as step:
        step.take(pickle.loads(handed_on))
    assert_frame_equal(lake.scan("l1_filtered").collect(), rows("l1_filtered", 2, NEWS))
    assert_frame_equal(lake.scan("verdicts").collect(), rows("verdicts", 2, {"tier": "l1", **NEWS}))
    assert (lake.version("verdicts"), lake.version("l1_filtered")) == (1, 1)


def test_step_with_staged_files_that_another_run_overtook_is_refused(lake: Lake) -> None:
    handed_on = staged(lake)
    with l1(lake) as step:
        step.take(pickle.loads(staged(lake)))
    with pytest.raises(RacingWriterError), l1(lake) as late:
        late.take(pickle.loads(handed_on))
    assert lake.ledger().height == 1


def test_counts_of_an_unknown_name_are_refused(lake: Lake) -> None:
    with pytest.raises(ValueError, match=r"unknown counts \['rows_lost'\]; known: \['rows_in'"):
        l1(lake).counts(rows_lost=1)


# --- whether there is anything to do ---------------------------------------------------------------------------------

INPUTS = {"l0_raw": NEWS, "l2_annotations": {}}


def test_reads_name_version_and_state_of_what_is_visible(lake: Lake) -> None:
    absent = {"table": "l2_annotations", "version": -1, "state": ""}
    assert reads_of(lake, INPUTS) == [{"table": "l0_raw", "version": -1, "state": ""}, absent]
    put(lake, "l0_raw", MAIL, rows("l0_raw", 1, MAIL))
    put(lake, "l0_raw", NEWS, rows("l0_raw", 1, NEWS))
    lake.replace("l0_raw", NEWS, rows("l0_raw", 2, NEWS))  # not finished
    state = lake.slices("l0_raw", NEWS)[0].state
    found = reads_of(lake, INPUTS)
    assert found == [{"table": "l0_raw", "version": 2, "state": lake.state("l0_raw", NEWS)}, absent]
    assert len(state) == 16


def test_step_is_current_until_its_input_or_its_code_changes(lake: Lake) -> None:
    def current(version: str = "v1") -> bool:
        return is_current(lake, "l1_filtered", NEWS, INPUTS, version)

    put(lake, "l0_raw", NEWS, rows("l0_raw", 1, NEWS))
    assert not current()  # never run
    with l1(lake, reads_of(lake, INPUTS)):
        pass
    assert current()
    assert not current("v2")
    assert not is_current(lake, "l1_filtered", MAIL, INPUTS, "v1")
    put(lake, "l0_raw", MAIL, rows("l0_raw", 1, MAIL))  # another partition
    unfinished = lake.replace("l0_raw", NEWS, rows("l0_raw", 2, NEWS))
    assert current()
    finish(lake, unfinished)
    assert not current()
    with l1(lake, reads_of(lake, INPUTS)):
        pass
    put(lake, "l2_annotations", {}, rows("l2_annotations", 1, NEWS))
    assert not current()


def test_step_over_all_partitions_is_current_until_any_changes(lake: Lake) -> None:
    put(lake, "l1_filtered", NEWS, rows("l1_filtered", 1, NEWS))
    everything: dict[str, dict[str, str]] = {"l1_filtered": {}}
    with Step(lake, "l2", "l2_annotations", None, "run-1", "v1", reads_of(lake, everything)):
        pass
    assert is_current(lake, "l2_annotations", None, everything, "v1")
    put(lake, "l1_filtered", MAIL, rows("l1_filtered", 1, MAIL))
    assert not is_current(lake, "l2_annotations", None, everything, "v1")


def test_code_version_depends_on_every_part_and_on_nothing_else() -> None:
    assert code_version("l1", 3, {"min_words": 50}) == "369aee4aa2ad"
    assert code_version("l1", 3, {"min_words": 51}) != code_version("l1", 3, {"min_words": 50})
    assert code_version("l1", 3) != code_version("l1", "3")


def test_cpu_seconds_count_this_process() -> None:
    before = cpu_seconds()
    assert sum(i * i for i in range(2_000_000)) > 0
    assert 0 < cpu_seconds() - before < 60

"""Writers that race or are killed: what readers see stays whole, and nothing is there twice."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import polars as pl
import pytest
from _made_up import MAIL, NEWS, finish, put, rows
from _writer import NUM_ROWS, RACED, generation, step
from polars.testing import assert_frame_equal

from resources.catalog import open_catalog
from resources.delta import open_or_create
from resources.lake import Lake, RacingWriterError
from tier_tables import table

# Some 15 s and more in all.
pytestmark = pytest.mark.slow

WRITER = Path(__file__).with_name("_writer.py")
POINTS = ("staged", "verdicts committed", "rows committed")


def start(lake: Lake, what: str, number: int, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(WRITER), lake.root, what, str(number), *arguments]
    environment = {**os.environ, "POLARS_MAX_THREADS": "1"}
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


def race(lake: Lake, what: str, num_writers: int, gate: Path) -> list[int]:
    """Exit codes of writers that pass a gate together."""
    gate.parent.mkdir()
    writers = [start(lake, what, number, str(gate)) for number in range(1, num_writers + 1)]
    while len(list(gate.parent.iterdir())) < num_writers and all(w.poll() is None for w in writers):
        time.sleep(0.01)
    gate.touch()
    said = [w.communicate(timeout=300)[1] for w in writers]
    codes = [w.returncode for w in writers]
    assert set(codes) <= {0, RACED}, said
    return codes


def assert_shows(lake: Lake, number: int) -> None:
    """Readers of the lake and of the catalog see the rows and verdicts of one generation, whole, and none twice."""
    kept, dropped = generation(number)
    assert_frame_equal(lake.scan("l1_filtered", NEWS).collect(), kept)
    assert_frame_equal(lake.scan("verdicts", {"tier": "l1", **NEWS}).collect(), dropped)
    with open_catalog(lake) as catalog:
        shown = catalog.execute(
            "SELECT (SELECT list(num_chars) FROM l1_filtered WHERE corpus = 'news'), "
            "(SELECT list(detail) FROM verdicts WHERE corpus = 'news')"
        ).fetchall()
    assert shown == [([number] * NUM_ROWS, [str(number)] * 2)]


# --- killed ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", POINTS)
def test_killed_step_shows_the_old_state_and_its_rerun_the_new(lake: Lake, point: str) -> None:
    step(lake, 1)
    killed = start(lake, "step", 2, point)
    assert killed.wait(timeout=120) == -signal.SIGKILL
    assert_shows(lake, 1)
    put(lake, "l1_filtered", MAIL, rows("l1_filtered", 3, MAIL))  # a later version of the same table
    assert_shows(lake, 1)
    assert lake.scan("l1_filtered", MAIL).collect().height == 3
    step(lake, 2)
    assert_shows(lake, 2)
    latest = lake.scan("l1_filtered", NEWS, version=lake.version("l1_filtered")).collect()
    assert_frame_equal(latest, generation(2)[0])


@pytest.mark.parametrize("point", POINTS)
def test_killed_extension_leaves_no_orphan_after_the_next(lake: Lake, point: str) -> None:
    step(lake, 1, mode="extend")
    killed = start(lake, "step", 2, point, "extend")
    assert killed.wait(timeout=120) == -signal.SIGKILL
    assert_shows(lake, 1)
    step(lake, 2, mode="extend")
    wanted = pl.concat([generation(1)[0], generation(2)[0]]).sort("doc_id")
    assert_frame_equal(lake.scan("l1_filtered").sort("doc_id").collect(), wanted)
    assert_frame_equal(lake.scan("l1_filtered", version=lake.version("l1_filtered")).sort("doc_id").collect(), wanted)


def test_first_step_killed_shows_nothing_and_its_rerun_all(lake: Lake) -> None:
    assert start(lake, "step", 1, "rows committed").wait(timeout=120) == -signal.SIGKILL
    assert lake.partitions("l1_filtered") == []
    assert lake.scan("verdicts").collect().height == 0
    step(lake, 1)
    assert_shows(lake, 1)


def test_writer_killed_at_any_moment_shows_one_generation_whole(lake: Lake) -> None:
    shown = 0
    for delay_s in (0.0, 0.03, 0.11, 0.26):
        writer = start(lake, "generations", shown + 1)
        assert writer.stdout is not None
        told = int(writer.stdout.readline())
        time.sleep(delay_s)
        writer.kill()
        told = int(([str(told), *writer.stdout.read().split()])[-1])
        shown = lake.scan("l1_filtered", NEWS).select("num_chars").collect().item(0, 0)
        assert shown in (told, told + 1)
        assert_shows(lake, shown)


# --- raced -----------------------------------------------------------------------------------------------------------


def test_racing_first_writes_of_one_slice_let_exactly_one_win(lake: Lake, tmp_path: Path) -> None:
    codes = race(lake, "first", 4, tmp_path / "race" / "gate")
    assert sorted(codes) == [0, RACED, RACED, RACED]
    winner = codes.index(0) + 1
    assert_frame_equal(lake.scan("l1_filtered").collect(), generation(winner)[0])
    assert_frame_equal(lake.scan("l1_filtered", version=lake.version("l1_filtered")).collect(), generation(winner)[0])


def test_racing_writers_of_different_slices_all_come_through(lake: Lake, tmp_path: Path) -> None:
    assert race(lake, "many", 6, tmp_path / "race" / "gate") == [0] * 6
    found = lake.scan("l1_filtered").group_by("corpus").agg(pl.len(), pl.col("num_chars").unique().first()).collect()
    wanted = {(f"w{n}-{i}", NUM_ROWS, n) for n in range(1, 7) for i in range(8)}
    assert set(found.rows()) == wanted
    assert lake.ledger().height == 48


def test_racing_steps_on_one_partition_never_mix(lake: Lake, tmp_path: Path) -> None:
    assert race(lake, "same", 3, tmp_path / "race" / "gate") == [0] * 3
    assert sorted(lake.ledger()["run_id"]) == ["run-1", "run-2", "run-3"]
    assert_shows(lake, lake.scan("l1_filtered").select("num_chars").collect().item(0, 0))


def test_racing_creators_all_succeed_and_one_creates(tmp_path: Path) -> None:
    together = Barrier(6)

    def create(number: int) -> int:
        lake = Lake(str(tmp_path / str(number)))
        together.wait()
        lake.create()
        return open_or_create(lake.path("mixtures"), table("mixtures"), None).version()

    with ThreadPoolExecutor(6) as threads:
        for number in range(25):
            assert list(threads.map(create, [number] * 6)) == [0] * 6
    logs = [len(list(folder.glob("mixtures/_delta_log/*.json"))) for folder in tmp_path.iterdir()]
    assert logs == [1] * 25
    assert [p for p in tmp_path.rglob("*") if p.name.startswith(".lake.json")] == []


def test_threads_that_append_to_one_log_of_a_new_lake_lose_nothing(tmp_path: Path) -> None:
    lake, together = Lake(str(tmp_path / "lake")), Barrier(2)

    def append(number: int) -> None:
        together.wait()
        for first in range(number * 100, number * 100 + 20):
            lake.append("model_replies", rows("model_replies", 1, {}, first))

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(append, (1, 2)))
    wanted = {f"key-{n * 100 + i}" for n in (1, 2) for i in range(20)}
    assert set(lake.scan("model_replies").select("key").collect()["key"]) == wanted
    assert lake.scan("model_replies").collect().height == 40


@pytest.mark.parametrize(("name", "partition"), [("l2_selected", NEWS), ("scorers", {})])
def test_commit_of_a_stage_that_was_overtaken_is_refused(lake: Lake, name: str, partition: dict[str, str]) -> None:
    early, late = lake.stage(name, partition), lake.stage(name, partition)
    early.write(rows(name, 1, partition))
    late.write(rows(name, 2, partition))
    finish(lake, lake.commit(late))
    with pytest.raises(RacingWriterError, match=f"another writer committed {name}:"):
        lake.commit(pickle.loads(pickle.dumps(early.close())))
    assert_frame_equal(lake.scan(name).collect(), rows(name, 2, partition))


def test_commit_done_twice_by_a_retried_op_changes_nothing(lake: Lake) -> None:
    stage = lake.stage("l2_selected", NEWS)
    stage.write(rows("l2_selected", 2, NEWS))
    handed_on = pickle.dumps(stage.close())
    written = [lake.commit(pickle.loads(handed_on), mode) for mode in ("extend", "extend", "replace")]
    assert written[0] == written[1] == written[2]
    assert lake.version("l2_selected") == 1
    finish(lake, written[2])
    assert_frame_equal(lake.scan("l2_selected").collect(), rows("l2_selected", 2, NEWS))


def scores(scorer: str, number: int) -> pl.DataFrame:
    return rows("l2_scores", number, {"scorer": scorer, **NEWS})


def test_commit_together_several_slices_are_one_version_and_leave_the_others(lake: Lake) -> None:
    put(lake, "l2_scores", {"scorer": "old", **NEWS}, scores("old", 3))
    before = lake.version("l2_scores")
    for number in (2, 1):  # the second replaces the first
        stages = lake.stages("l2_scores", [{"scorer": name, **NEWS} for name in ("a", "b")])
        for stage, name in zip(stages, ("a", "b")):
            stage.write(scores(name, number))
        written = lake.commit_together(stages)
        assert written == lake.commit_together(pickle.loads(pickle.dumps(stages)))
        assert {w.version for w in written} == {lake.version("l2_scores")}
        finish(lake, *written)
    assert lake.version("l2_scores") == before + 2
    for name, number in (("a", 1), ("b", 1), ("old", 3)):
        assert_frame_equal(lake.scan("l2_scores", {"scorer": name}).collect(), scores(name, number))


def test_commit_together_one_slice_overtaken_nothing_shows(lake: Lake) -> None:
    stages = lake.stages("l2_scores", [{"scorer": name, **NEWS} for name in ("a", "b")])
    for stage, name in zip(stages, ("a", "b")):
        stage.write(scores(name, 2))
    put(lake, "l2_scores", {"scorer": "b", **NEWS}, scores("b", 1))
    with pytest.raises(RacingWriterError, match="another writer committed l2_scores:scorer=b"):
        lake.commit_together(stages)
    assert_frame_equal(lake.scan("l2_scores").collect(), scores("b", 1))


def test_commit_together_of_stages_begun_apart_is_refused(lake: Lake) -> None:
    apart = [lake.stage("l2_scores", {"scorer": name, **NEWS}) for name in ("a", "b")]
    with pytest.raises(ValueError, match="begun together"):
        lake.commit_together(apart)

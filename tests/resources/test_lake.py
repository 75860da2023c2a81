"""What is written is read back, in slices, at the versions that the ledger names."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from _made_up import MAIL, NEWS, finish, partition_of, put, rows
from deltalake import DeltaTable
from polars.testing import assert_frame_equal

from resources import delta
from resources.catalog import open_catalog
from resources.lake import COMPACT_LOG_AT, Lake, LakeFormatError
from tier_tables import TABLES, TIER_LEDGER, table

STEPPED = [t.name for t in TABLES if t.stepped]
LOGS = [t.name for t in TABLES if not t.stepped]


# --- rows in, rows out -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STEPPED)
def test_replace_then_scan_and_batches_give_the_very_rows(lake: Lake, name: str) -> None:
    partition = partition_of(name)
    written = rows(name, 11, partition)
    put(lake, name, partition, written)
    assert_frame_equal(lake.scan(name).collect(), written)
    read = list(lake.batches(name, partition, rows=4))
    assert max(batch.height for batch in read) <= 4
    assert_frame_equal(pl.concat(read), written)


@pytest.mark.parametrize("name", LOGS)
def test_append_then_scan_and_batches_give_the_very_rows(lake: Lake, name: str) -> None:
    partition = partition_of(name)
    for first in (0, 5):
        lake.append(name, rows(name, 5, partition, first))
    written = rows(name, 10, partition)
    by = [column for column in table(name).key if column not in partition]
    assert_frame_equal(lake.scan(name).collect().sort(by), written.sort(by))
    assert_frame_equal(pl.concat(lake.batches(name)).sort(by), written.sort(by))


@pytest.mark.parametrize("name", [t.name for t in TABLES])
def test_scan_of_an_absent_table_gives_no_rows_of_its_schema(lake: Lake, name: str) -> None:
    found = lake.scan(name).collect()
    assert found.schema == rows(name, 0, partition_of(name)).schema
    assert found.height == 0
    assert list(lake.batches(name)) == []
    assert (lake.version(name), lake.state(name)) == (-1, "")


def test_replace_of_a_lazy_frame_in_several_files_keeps_the_order(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delta, "ROWS_PER_FILE", 1_000)
    written = rows("l2_selected", 5_500, NEWS)
    put(lake, "l2_selected", NEWS, written.lazy())
    assert len(lake.slices("l2_selected")[0].files) == 6
    assert_frame_equal(lake.scan("l2_selected").collect(), written)
    assert_frame_equal(pl.concat(lake.batches("l2_selected")), written)


def test_stage_of_many_small_frames_gathers_them_into_one_file(lake: Lake) -> None:
    stage = lake.stage("l2_selected", NEWS)
    for first in range(0, 50, 10):
        stage.write(rows("l2_selected", 10, NEWS, first))
    finish(lake, lake.commit(stage))
    assert len(stage.files) == 1
    assert_frame_equal(lake.scan("l2_selected").collect(), rows("l2_selected", 50, NEWS))


def test_stage_of_large_frames_begins_a_file_at_the_limit(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delta, "BYTES_PER_FILE", 100_000)
    stage = lake.stage("l0_raw", NEWS)
    for index in range(5):
        stage.write(rows("l0_raw", 1, NEWS, index).with_columns(raw=pl.lit(bytes(60_000))))
    finish(lake, lake.commit(stage))
    assert [num_rows for _, num_rows, _ in stage.files] == [2, 2, 1]
    assert lake.scan("l0_raw").select("doc_id").collect().to_series().to_list() == [f"doc_id-{i}" for i in range(5)]


def test_partial_partition_gives_all_slices_within_it(lake: Lake) -> None:
    for tier, corpus in (("l0", NEWS), ("l1", NEWS), ("l1", MAIL)):
        partition = {"tier": tier, **corpus}
        put(lake, "verdicts", partition, rows("verdicts", 2, partition))
    found = lake.scan("verdicts", {"tier": "l1"}).select("tier", "corpus").unique().sort("corpus").collect().rows()
    assert found == [("l1", "mail"), ("l1", "news")]
    assert lake.scan("verdicts", {"corpus": "news"}).collect().height == 4
    assert lake.scan("verdicts", {"corpus": "speeches"}).collect().height == 0
    assert lake.partitions("verdicts") == [{"tier": "l0", **NEWS}, {"tier": "l1", **MAIL}, {"tier": "l1", **NEWS}]


def test_partition_values_that_look_like_numbers_and_dates_stay_text(lake: Lake) -> None:
    partition = {"corpus": "007", "snapshot": "2024-01-01"}
    put(lake, "l2_selected", partition, rows("l2_selected", 1, partition))
    assert lake.scan("l2_selected").select("corpus", "snapshot").collect().rows() == [("007", "2024-01-01")]
    assert lake.scan("l2_selected").filter(pl.col("corpus") == "007").collect().height == 1
    assert next(lake.batches("l2_selected")).select("corpus", "snapshot").rows() == [("007", "2024-01-01")]
    with open_catalog(lake) as catalog:
        found = catalog.execute("SELECT corpus, snapshot FROM l2_selected WHERE corpus = '007'").fetchall()
    assert found == [("007", "2024-01-01")]


def test_batches_of_some_columns_have_them_in_the_order_asked(lake: Lake) -> None:
    put(lake, "l1_filtered", NEWS, rows("l1_filtered", 3, NEWS))
    assert next(lake.batches("l1_filtered", columns=["num_chars", "corpus"])).columns == ["num_chars", "corpus"]
    only_partition = pl.concat(lake.batches("l1_filtered", columns=["corpus"]))
    assert only_partition.to_dict(as_series=False) == {"corpus": ["news"] * 3}


def test_replace_by_no_rows_empties_the_slice_alone(lake: Lake) -> None:
    for partition in (NEWS, MAIL):
        put(lake, "l2_selected", partition, rows("l2_selected", 2, partition))
    put(lake, "l2_selected", NEWS, rows("l2_selected", 0, NEWS))
    assert lake.partitions("l2_selected") == [MAIL]
    assert [(s.num_rows, len(s.files)) for s in lake.slices("l2_selected")] == [(2, 1), (0, 1)]
    assert_frame_equal(lake.scan("l2_selected").collect(), rows("l2_selected", 2, MAIL))


def test_replace_casts_unsigned_columns_to_what_delta_stores(lake: Lake) -> None:
    written = rows("l1_filtered", 1, NEWS).with_columns(num_chars=pl.lit(7, pl.UInt32), num_words=pl.lit(1, pl.UInt64))
    put(lake, "l1_filtered", NEWS, written)
    assert lake.scan("l1_filtered").select("num_chars", "num_words").collect().rows() == [(7, 1)]


# --- wrong calls -----------------------------------------------------------------------------------------------------


def test_wrong_names_are_refused_with_the_right_ones(lake: Lake) -> None:
    put(lake, "l2_selected", NEWS, rows("l2_selected", 1, NEWS))
    good = rows("l2_selected", 1, NEWS)
    wrong = {
        r"unknown table 'l9'; known: \['benchmarks'": lambda: lake.scan("l9"),
        r"no partition columns \['tier'\]; it has \['corpus', 'snapshot'\]": lambda: lake.scan(
            "l2_selected", {"tier": "l2"}
        ),
        r"no partition columns \['tier'\]": lambda: lake.scan("l2_selected", {"tier": "l2"}, version=1),
        r"no version 9; it has 0 to 1": lambda: lake.scan("l2_selected", version=9),
        r"no version -1": lambda: lake.scan("l2_selected", version=-1),
        r"no columns \['body'\]; it has \['doc_id'": lambda: list(lake.batches("l2_selected", columns=["body"])),
        r"partitioned by \['corpus', 'snapshot'\], but the partition names \['corpus'\]": lambda: lake.replace(
            "l2_selected", {"corpus": "news"}, good
        ),
        r"miss columns \['policy'\] and have unknown columns \['polity'\]": lambda: lake.replace(
            "l2_selected", NEWS, good.rename({"policy": "polity"})
        ),
        r"'l2_selected' is written by steps": lambda: lake.append("l2_selected", good),
        r"rows for 'mixtures' have columns \['stage'\]; it has": lambda: lake.append(
            "mixtures", rows("mixtures", 1, {}).select("stage")
        ),
        r"the ledger has no columns \['rows'\]; it has \['tier'": lambda: lake.finish({"rows": 1}),
        r"unknown settings 'large'; known: \['smoke', 'default'\]": lambda: lake.create("large"),
    }
    for message, call in wrong.items():
        with pytest.raises(ValueError, match=message):
            call()
    assert lake.scan("l2_selected").collect().height == 1


@pytest.mark.parametrize("corpus", ["a b", "ü", "a/b", "..", "a=b", "a%20b", "", "NULL", "*"])
def test_replace_with_a_value_that_cannot_name_a_folder_is_refused(lake: Lake, corpus: str) -> None:
    with pytest.raises(ValueError, match="cannot name a folder"):
        lake.replace("l2_selected", {**NEWS, "corpus": corpus}, rows("l2_selected", 1, {**NEWS, "corpus": corpus}))


@pytest.mark.parametrize("lazy", [False, True])
def test_replace_with_rows_of_another_slice_is_refused(lake: Lake, lazy: bool) -> None:
    both = pl.concat([rows("l2_selected", 1, NEWS), rows("l2_selected", 1, MAIL)])
    with pytest.raises(ValueError, match=r"slice 'corpus=news/.*' of 'l2_selected' have corpus \['mail'\]"):
        lake.replace("l2_selected", NEWS, both.lazy() if lazy else both)
    without = rows("l2_selected", 2, MAIL).drop("corpus", "snapshot")
    put(lake, "l2_selected", NEWS, without)
    assert lake.partitions("l2_selected") == [NEWS]


# --- versions --------------------------------------------------------------------------------------------------------


def test_replace_shows_only_once_a_ledger_row_names_it(lake: Lake) -> None:
    old, new = rows("l2_selected", 2, NEWS), rows("l2_selected", 3, NEWS, first=7)
    put(lake, "l2_selected", NEWS, old)
    state = lake.state("l2_selected", NEWS)
    written = lake.replace("l2_selected", NEWS, new)
    assert_frame_equal(lake.scan("l2_selected").collect(), old)
    assert lake.state("l2_selected", NEWS) == state
    finish(lake, written)
    assert_frame_equal(lake.scan("l2_selected").collect(), new)
    assert lake.state("l2_selected", NEWS) != state


def test_another_slices_step_does_not_show_an_unfinished_one(lake: Lake) -> None:
    put(lake, "l2_selected", NEWS, rows("l2_selected", 2, NEWS))
    lake.replace("l2_selected", NEWS, rows("l2_selected", 9, NEWS))
    put(lake, "l2_selected", MAIL, rows("l2_selected", 3, MAIL))
    assert_frame_equal(lake.scan("l2_selected", NEWS).collect(), rows("l2_selected", 2, NEWS))
    assert_frame_equal(lake.scan("l2_selected", MAIL).collect(), rows("l2_selected", 3, MAIL))


def test_extend_adds_to_what_readers_see_and_drops_what_no_step_finished(lake: Lake) -> None:
    def extend(first: int) -> delta.Written:
        stage = lake.stage("l0_raw", NEWS)
        stage.write(rows("l0_raw", 2, NEWS, first))
        return lake.commit(stage, "extend")

    finish(lake, extend(0))
    extend(2)  # killed before it finished
    assert_frame_equal(lake.scan("l0_raw").collect(), rows("l0_raw", 2, NEWS))
    finish(lake, extend(4))
    found = lake.scan("l0_raw").sort("doc_id").collect()
    assert_frame_equal(found, pl.concat([rows("l0_raw", 2, NEWS), rows("l0_raw", 2, NEWS, 4)]))
    assert_frame_equal(found, lake.scan("l0_raw", version=lake.version("l0_raw")).sort("doc_id").collect())


def test_extend_of_a_slice_that_an_unfinished_step_replaced_is_refused(lake: Lake) -> None:
    put(lake, "l0_raw", NEWS, rows("l0_raw", 2, NEWS))
    lake.replace("l0_raw", NEWS, rows("l0_raw", 1, NEWS))
    with pytest.raises(ValueError, match="replaced by an unfinished step"):
        lake.commit(lake.stage("l0_raw", NEWS), "extend")
    assert lake.scan("l0_raw").collect().height == 2


def test_scan_of_a_version_travels_to_it(lake: Lake) -> None:
    versions = [put(lake, "l2_selected", NEWS, rows("l2_selected", n, NEWS)).version for n in (1, 2, 3)]
    assert [lake.scan("l2_selected", version=v).collect().height for v in versions] == [1, 2, 3]
    assert lake.scan("l2_selected", MAIL, versions[0]).collect().height == 0


def test_at_one_moment_shows_nothing_that_finishes_later(lake: Lake) -> None:
    put(lake, "l2_selected", NEWS, rows("l2_selected", 1, NEWS))
    still = lake.at_one_moment()
    put(lake, "l2_selected", NEWS, rows("l2_selected", 2, NEWS))
    put(lake, "scorers", {}, rows("scorers", 1, {}))
    assert (still.scan("l2_selected").collect().height, still.scan("scorers").collect().height) == (1, 0)
    assert (lake.scan("l2_selected").collect().height, lake.scan("scorers").collect().height) == (2, 1)


def test_slices_after_many_commits_are_read_from_checkpoints(lake: Lake) -> None:
    kept = put(lake, "l2_selected", MAIL, rows("l2_selected", 2, MAIL))
    _set(lake, "l2_selected", {"delta.checkpointInterval": "5"})
    for _ in range(12):
        last = put(lake, "l2_selected", NEWS, rows("l2_selected", 1, NEWS))
    assert list(Path(lake.path("l2_selected"), "_delta_log").glob("*.checkpoint.parquet"))
    assert (kept.turn, last.turn) == (1, 12)
    assert [s.num_rows for s in lake.slices("l2_selected")] == [2, 1]


def test_a_slice_finished_long_ago_is_read_though_its_log_is_old(lake: Lake) -> None:
    put(lake, "l2_selected", MAIL, rows("l2_selected", 2, MAIL))
    lake.replace(
        "l2_selected", MAIL, rows("l2_selected", 9, MAIL)
    )  # killed: only the version before shows what is right
    _set(lake, "l2_selected", {"delta.checkpointInterval": "2"})
    long_ago = time.time() - 400 * 86_400
    for _ in range(4):
        for entry in Path(lake.path("l2_selected"), "_delta_log").glob("*.json"):
            os.utime(entry, (long_ago, long_ago))
        put(lake, "l2_selected", NEWS, rows("l2_selected", 1, NEWS))
    assert lake.scan("l2_selected", MAIL).collect().height == 2
    assert lake.scan("l2_selected").collect().height == 3


def test_vacuum_deletes_orphans_and_keeps_what_readers_see(lake: Lake) -> None:
    put(lake, "l2_selected", NEWS, rows("l2_selected", 1, NEWS))
    put(lake, "l2_selected", NEWS, rows("l2_selected", 2, NEWS))
    lake.replace("l2_selected", NEWS, rows("l2_selected", 3, NEWS))  # never finished: it removed what readers see
    lake.stage("l2_selected", NEWS).write(rows("l2_selected", 4, NEWS).lazy())  # never committed
    assert lake.vacuum("l2_selected") == []  # nothing is past the retention
    _set(lake, "l2_selected", {"delta.deletedFileRetentionDuration": "interval 0 days"})
    assert len(lake.vacuum("l2_selected")) == 2
    assert_frame_equal(lake.scan("l2_selected").collect(), rows("l2_selected", 2, NEWS))
    assert len(list(Path(lake.path("l2_selected")).rglob("*.parquet"))) == 2
    assert lake.vacuum("l1_filtered") == []  # no such table yet


def _set(lake: Lake, name: str, properties: dict[str, str]) -> None:
    DeltaTable(lake.path(name)).alter.set_table_properties(properties)


# --- the ledger and the root -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_steps", [70, pytest.param(300, marks=pytest.mark.slow)])
def test_ledger_of_many_steps_stays_in_few_files(lake: Lake, num_steps: int) -> None:
    for index in range(num_steps):
        lake.finish({"step": "made_up", "corpus": "news", "snapshot": "1", "rows_in": index})
    files = DeltaTable(lake.path("tier_ledger")).file_uris()
    assert len(files) <= COMPACT_LOG_AT
    assert lake.ledger()["rows_in"].to_list() == list(range(num_steps))
    last = lake.last_step("made_up", {"corpus": "news", "snapshot": "1"})
    assert last is not None
    assert last["rows_in"] == num_steps - 1
    assert lake.last_step("made_up") is None


def test_ledger_is_read_anew_when_another_lake_object_finishes(lake: Lake) -> None:
    assert lake.ledger().equals(TIER_LEDGER.empty())
    for step in ("first", "second"):
        Lake(lake.root).finish({"step": step})
        assert lake.ledger()["step"].to_list()[-1] == step


def test_moved_lake_shows_the_same_rows_and_states(lake: Lake, tmp_path: Path) -> None:
    written = rows("l2_selected", 3, NEWS)
    put(lake, "l2_selected", NEWS, written)
    state = lake.state("l2_selected")
    moved = Lake(str(shutil.move(lake.root, tmp_path / "elsewhere")))
    assert moved.state("l2_selected") == state
    assert_frame_equal(moved.scan("l2_selected").collect(), written)


@pytest.mark.parametrize("folder", ["my lake", "süd-see", "o'hara, (old)", "a~b+c"])
def test_lake_in_a_folder_of_unusual_name_works(tmp_path: Path, folder: str) -> None:
    lake = Lake(str(tmp_path / folder))
    put(lake, "l2_selected", NEWS, rows("l2_selected", 3, NEWS))
    assert lake.scan("l2_selected").collect().height == 3
    assert next(lake.batches("l2_selected")).height == 3


@pytest.mark.parametrize("folder", ["a[b]", "100%", "a=b", "a#b", "what?", "a*"])
def test_lake_in_a_folder_that_delta_cannot_take_is_refused(tmp_path: Path, folder: str) -> None:
    with pytest.raises(ValueError, match="a lake cannot lie at"):
        Lake(str(tmp_path / folder))


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ('{"format_version": 99}', "was written by lake format 99; this version reads format 5"),
        ("{}", "was written by lake format None; this version reads format 5"),
        ("[1", "is no description of a lake"),
    ],
)
def test_lake_of_another_format_is_refused_naming_both(tmp_path: Path, marker: str, message: str) -> None:
    (tmp_path / "lake.json").write_text(marker)
    with pytest.raises(LakeFormatError, match=message):
        Lake(str(tmp_path))


def test_lake_at_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LakeFormatError, match="is a file; a lake's root is a folder"):
        Lake(str(tmp_path / "file"))


def test_lake_keeps_the_settings_it_was_created_with(tmp_path: Path) -> None:
    Lake(str(tmp_path / "lake")).create("smoke")
    Lake(str(tmp_path / "lake")).create("default")
    assert Lake(str(tmp_path / "lake")).settings == "smoke"


def test_reading_an_absent_lake_creates_nothing(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    assert lake.scan("l1_filtered").collect().height == 0
    assert lake.ledger().height == 0
    assert not Path(lake.root).exists()


# --- memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_replace_of_a_large_partition_takes_a_fraction_of_its_memory() -> None:
    script = Path(__file__).parents[2] / "benchmarks" / "delta_writer.py"
    printed = subprocess.check_output([sys.executable, str(script), "250000"], text=True)
    last_columns = [line.replace(",", "").split()[-3:] for line in printed.splitlines()[1:]]
    (in_memory, _, lazy), (_, _, batches), (_, _, eager) = [[float(n) for n in line] for line in last_columns]
    assert in_memory > 500
    assert lazy < in_memory * 0.7
    assert batches < in_memory * 0.7
    assert eager > in_memory

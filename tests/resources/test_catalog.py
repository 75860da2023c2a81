"""The catalog shows what the ledger names, from an empty lake on, and never goes back."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest
from _made_up import MAIL, NEWS, output, partition_of, put, rows, texts
from polars.testing import assert_frame_equal

from resources.catalog import JOINED, catalog_path, open_catalog, refresh
from resources.lake import Lake
from tier_tables import TABLES, table

VERSION_OF_LEDGER = "SELECT shown->'versions'->>'tier_ledger' FROM catalog_info"


def one(connection: duckdb.DuckDBPyConnection, query: str) -> object:
    found = connection.execute(query).fetchall()
    assert len(found) == 1
    return found[0][0]


def count(lake: Lake, view: str) -> object:
    with open_catalog(lake) as catalog:
        return one(catalog, f"SELECT count(*) FROM {view}")


# --- what the views are ----------------------------------------------------------------------------------------------


def test_every_view_exists_on_an_empty_lake_with_its_types(lake: Lake) -> None:
    types: dict[object, str] = {
        pl.String: "VARCHAR",
        pl.Int64: "BIGINT",
        pl.Float64: "DOUBLE",
        pl.Boolean: "BOOLEAN",
        pl.Binary: "BLOB",
        pl.Datetime("us", "UTC"): "TIMESTAMP WITH TIME ZONE",
        pl.List(pl.Float64): "DOUBLE[]",
        pl.List(pl.Float32): "FLOAT[]",
        pl.List(pl.Float32): "FLOAT[]",
        table("scorers").schema["by_corpus"]: "STRUCT(corpus VARCHAR, num_labels BIGINT, spearman DOUBLE)[]",
        pl.List(pl.Int64): "BIGINT[]",
        pl.List(pl.String): "VARCHAR[]",
        table("l1_filtered").schema[
            "edits"
        ]: 'STRUCT(op VARCHAR, char_start BIGINT, char_end BIGINT, "text" VARCHAR)[]',
        table("l3_refined").schema["source_spans"]: "STRUCT(doc_id VARCHAR, char_start BIGINT, char_end BIGINT)[]",
        table("l3_refined").schema["messages"]: 'STRUCT("role" VARCHAR, "content" VARCHAR)[]',
        table("scorers").schema["by_corpus"]: "STRUCT(corpus VARCHAR, num_labels BIGINT, spearman DOUBLE)[]",
        table("reference_sets").schema["items"]: 'STRUCT(item_id VARCHAR, "domain" VARCHAR, "text" VARCHAR)[]',
        table("tier_ledger").schema["input_versions"]: 'STRUCT("table" VARCHAR, "version" BIGINT, state VARCHAR)[]',
        table("tier_ledger").schema["output_versions"]: (
            'STRUCT("table" VARCHAR, slice VARCHAR, "version" BIGINT, token VARCHAR)[]'
        ),
    }
    with open_catalog(lake) as catalog:
        for described in TABLES:
            view = f"{described.name}_rows" if described.name in JOINED else described.name
            found = [row[:2] for row in catalog.execute(f"DESCRIBE {view}").fetchall()]
            assert found == [(name, types[dtype]) for name, dtype in described.schema.items()], described.name
            assert one(catalog, f"SELECT count(*) FROM {described.name}") == 0
        assert one(catalog, "SELECT count(*) FROM funnel") == 0
        assert one(catalog, "SELECT count(*) FROM tier_rounds") == 0


@pytest.mark.parametrize("name", [t.name for t in TABLES])
def test_view_of_a_table_gives_the_very_rows(lake: Lake, name: str) -> None:
    partition = partition_of(name)
    written = rows(name, 7, partition)
    if table(name).stepped:
        put(lake, name, partition, written)
    else:
        lake.append(name, written)
    view = f"{name}_rows" if name in JOINED else name
    with open_catalog(lake) as catalog:
        found = catalog.execute(f"SELECT * FROM {view}").pl()
    # DuckDB names no zone of its own and hands lists and text on as other Arrow layouts.
    assert_frame_equal(found.select(pl.col(c).cast(t) for c, t in written.schema.items()), written)


@pytest.mark.parametrize(
    ("view", "column", "meaning"),
    [("l1_filtered", "language", "ISO 639 code"), ("l4_facts", "state", "verified or withdrawn")],
)
def test_columns_of_a_view_say_what_they_mean(lake: Lake, view: str, column: str, meaning: str) -> None:
    asked = f"SELECT comment FROM duckdb_columns() WHERE table_name = '{view}' AND column_name = '{column}'"
    with open_catalog(lake) as catalog:
        assert one(catalog, asked) == meaning


def test_selected_documents_have_their_text(lake: Lake) -> None:
    put(lake, "l1_filtered", NEWS, texts({"d1": "Zürich", "d2": "Genf"}, NEWS))
    put(lake, "l1_filtered", MAIL, texts({"d1": "another lake's d1"}, MAIL))
    put(lake, "l2_selected", NEWS, rows("l2_selected", 1, NEWS).with_columns(doc_id=pl.lit("d1")))
    with open_catalog(lake) as catalog:
        assert catalog.execute("SELECT doc_id, corpus, text FROM l2_selected").fetchall() == [("d1", "news", "Zürich")]


def test_records_and_facts_tell_whether_they_are_in_policy(lake: Lake) -> None:
    for name, key in (("l3_refined", "record_id"), ("l4_facts", "fact_id")):
        put(lake, name, NEWS, rows(name, 3, NEWS))
        marked = rows("out_of_policy", 1, NEWS).with_columns(child_table=pl.lit(name), child_id=pl.lit(f"{key}-1"))
        put(lake, "out_of_policy", NEWS, marked)
        with open_catalog(lake) as catalog:
            found = catalog.execute(f"SELECT {key}, in_policy FROM {name} ORDER BY ALL").fetchall()
        assert found == [(f"{key}-0", True), (f"{key}-1", False), (f"{key}-2", True)]


def test_funnel_has_the_last_step_of_each_tier_and_partition(lake: Lake) -> None:
    for corpus, kept in (("news", 1), ("mail", 2), ("news", 3)):
        lake.finish({"tier": "l1", "step": "l1_filtered", "corpus": corpus, "snapshot": "1", "rows_kept": kept})
    lake.finish({"tier": "l2", "step": "scorers", "rows_kept": 9})
    with open_catalog(lake) as catalog:
        found = catalog.execute("SELECT tier, corpus, rows_kept FROM funnel ORDER BY corpus").fetchall()
    assert found == [("l1", "mail", 2), ("l1", "news", 3)]


def ledger(lake: Lake, step: str, corpus: str | None, round_: int | None, **columns: float) -> None:
    """A finished step: of a partition, or of the whole lake where `corpus` is None."""
    snapshot = None if corpus is None else "1"
    lake.finish({"tier": step[:2], "step": step, "corpus": corpus, "snapshot": snapshot, "round": round_, **columns})


def tier_rounds(lake: Lake, *columns: str) -> list[tuple[object, ...]]:
    with open_catalog(lake) as catalog:
        return catalog.execute(f"SELECT {', '.join(columns)} FROM tier_rounds ORDER BY tier, round").fetchall()


def test_tier_rounds_count_a_step_to_the_round_that_stood(lake: Lake) -> None:
    ledger(lake, "l1_filtered", "news", None, cpu_s=1.0)
    ledger(lake, "l2_scorer", None, None, cpu_s=2.0)
    ledger(lake, "l2_selected", "news", 1, cpu_s=4.0)
    ledger(lake, "l2_scorer", None, None, cpu_s=8.0)
    ledger(lake, "l3_refined", "news", None, cpu_s=16.0)
    ledger(lake, "l2_selected", "news", 2, cpu_s=32.0)
    ledger(lake, "l2_selected", "mail", 1, cpu_s=64.0)
    ledger(lake, "l3_refined", "news", None, cpu_s=128.0)
    assert tier_rounds(lake, "tier", "round", "cpu_s") == [
        ("l1", 1, 1.0),
        ("l2", 1, 2.0 + 4.0 + 8.0 + 64.0),
        ("l2", 2, 32.0),
        ("l3", 1, 16.0),
        ("l3", 2, 128.0),
    ]


def test_tier_rounds_sum_rows_of_last_steps_and_costs_of_all(lake: Lake) -> None:
    counts = {"rows_in": 10, "rows_kept": 4, "rows_rejected": 6, "tokens_in": 900, "tokens_rejected": 400}
    ledger(lake, "l2_annotations", None, None, llm_s=30.0, prompt_tokens=700, cached_prompt_tokens=90, output_tokens=7)
    ledger(lake, "l2_scores", "news", None, cpu_s=1.0, rows_in=99, rows_kept=99, tokens_kept=99)
    ledger(lake, "l2_selected", "news", 1, cpu_s=2.0, rows_in=1, rows_kept=1, tokens_kept=1)
    ledger(lake, "l2_selected", "news", 1, cpu_s=2.0, gpu_s=5.0, tokens_kept=500, **counts)
    ledger(lake, "l2_selected", "mail", 1, cpu_s=3.0, tokens_kept=1_500, **counts)
    names = "rows_in rows_kept rows_rejected tokens_in tokens_kept tokens_rejected cpu_s gpu_s llm_s".split()
    assert tier_rounds(lake, *names) == [(20, 8, 12, 1_800, 2_000, 800, 8.0, 5.0, 30.0)]
    asked = ("prompt_tokens", "cached_prompt_tokens", "output_tokens", "cpu_s_per_kept_million_tokens")
    assert tier_rounds(lake, *asked) == [(700, 90, 7, 8.0 / 2_000 * 1e6)]


def test_tier_rounds_of_a_tier_that_kept_nothing_have_no_cost_a_token(lake: Lake) -> None:
    ledger(lake, "l2_scorer", None, None, cpu_s=2.0)
    assert tier_rounds(lake, "rows_kept", "tokens_kept", "cpu_s_per_kept_million_tokens") == [(0, 0, None)]


def test_tier_rounds_show_the_gain_of_each_rounds_last_verification(lake: Lake) -> None:
    for step, corpus, round_ in (("l1_filtered", "news", None), ("l2_selected", "news", 1)):
        ledger(lake, step, corpus, round_)
    made = rows("verifications", 3, {}).with_columns(
        round=pl.Series([1, 1, 2]),
        judged_at=pl.Series([datetime(2026, 1, day, tzinfo=UTC) for day in (3, 2, 4)]),
        reference_gain=pl.Series([-0.25, 0.5, 1.0]),
        reference_error=pl.Series([0.2, 0.1, 0.3]),
        gates=pl.Series([False, True, True]),
    )
    written = lake.replace("verifications", {}, made)
    lake.finish({"tier": "l2", "step": "l2_verification", "output_versions": [output(written)]})
    ledger(lake, "l2_selected", "news", 2)
    assert tier_rounds(lake, "tier", "round", "reference_gain", "reference_error", "gates") == [
        ("l1", 1, None, None, None),
        ("l2", 1, -0.25, 0.2, False),
        ("l2", 2, 1.0, 0.3, True),
    ]


def test_catalog_is_read_only(lake: Lake) -> None:
    with open_catalog(lake) as catalog, pytest.raises(duckdb.InvalidInputException, match="read-only"):
        catalog.execute("CREATE TABLE l5 AS SELECT 1")


def test_file_opens_in_another_process_without_the_lake(lake: Lake) -> None:
    put(lake, "l1_filtered", NEWS, rows("l1_filtered", 3, NEWS))
    program = (
        "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only=True); "
        "print(c.execute('SELECT count(*) FROM l1_filtered').fetchone()[0], c.execute('FROM l2_selected').fetchall())"
    )
    said = subprocess.check_output([sys.executable, "-c", program, str(refresh(lake))], text=True, cwd="/")
    assert said == "3 []\n"


# --- when it is rebuilt ----------------------------------------------------------------------------------------------


def test_unfinished_rows_do_not_show_and_finished_ones_do(lake: Lake) -> None:
    put(lake, "l1_filtered", NEWS, rows("l1_filtered", 3, NEWS))
    written = lake.replace("l1_filtered", NEWS, rows("l1_filtered", 8, NEWS))
    assert count(lake, "l1_filtered") == 3
    lake.finish({"output_versions": [{n: getattr(written, n) for n in ("table", "slice", "version", "token")}]})
    assert count(lake, "l1_filtered") == 8


def test_catalog_of_an_unchanged_lake_is_not_rebuilt(lake: Lake) -> None:
    put(lake, "l1_filtered", NEWS, rows("l1_filtered", 3, NEWS))
    before = refresh(lake).stat()
    lake.replace("l1_filtered", NEWS, rows("l1_filtered", 8, NEWS))  # not finished: nothing new to show
    after = refresh(lake).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_open_reader_goes_on_and_the_next_one_sees_the_new_rows(lake: Lake) -> None:
    put(lake, "l1_filtered", NEWS, rows("l1_filtered", 3, NEWS))
    with open_catalog(lake) as old:
        built = catalog_path(lake).stat().st_ino
        put(lake, "l1_filtered", NEWS, rows("l1_filtered", 8, NEWS))
        # In the same process, where DuckDB would hand out the file that `old` has open.
        assert count(lake, "l1_filtered") == 8
        assert one(old, "SELECT count(*) FROM l1_filtered") == 3
        assert catalog_path(lake).stat().st_ino != built  # another file in its place: nobody reads one half written


@pytest.mark.parametrize("damage", [b"", b"not a database", None])
def test_damaged_catalog_is_rebuilt(lake: Lake, damage: bytes | None) -> None:
    put(lake, "l1_filtered", NEWS, rows("l1_filtered", 3, NEWS))
    path = refresh(lake)
    path.write_bytes(path.read_bytes()[:5_000] if damage is None else damage)
    assert count(lake, "l1_filtered") == 3


def test_moved_lake_has_its_catalog_rebuilt_with_the_new_paths(lake: Lake, tmp_path: Path) -> None:
    put(lake, "l1_filtered", NEWS, rows("l1_filtered", 3, NEWS))
    refresh(lake)
    moved = Lake(str(shutil.move(lake.root, tmp_path / "elsewhere")))
    with open_catalog(moved) as catalog:
        assert one(catalog, "SELECT count(*) FROM l1_filtered") == 3
        views = one(catalog, "SELECT string_agg(sql) FROM duckdb_views() WHERE NOT internal")
    assert lake.root not in str(views)
    assert lake.root not in Path(moved.root, "lake_delta_scan.sql").read_text()


def test_lake_restored_from_a_backup_shows_the_backup(lake: Lake, tmp_path: Path) -> None:
    put(lake, "l1_filtered", NEWS, rows("l1_filtered", 3, NEWS))
    shutil.copytree(lake.root, tmp_path / "backup")
    put(lake, "l1_filtered", NEWS, rows("l1_filtered", 8, NEWS))
    newer = refresh(lake).read_bytes()
    shutil.rmtree(lake.root)
    shutil.copytree(tmp_path / "backup", lake.root)
    catalog_path(lake).write_bytes(newer)
    assert count(Lake(lake.root), "l1_filtered") == 3


def test_catalog_made_by_other_code_is_rebuilt(lake: Lake) -> None:
    path = refresh(lake)
    with duckdb.connect(str(path)) as connection:
        assert one(connection, "SELECT length(shown->>'views') FROM catalog_info") == 16
        connection.execute('UPDATE catalog_info SET shown = json_merge_patch(shown, \'{"views": "older"}\')')
        connection.execute("DROP VIEW mixtures")
    assert count(lake, "mixtures") == 0


def test_readers_pass_a_builder_and_builders_wait_and_show_the_latest(lake: Lake) -> None:
    put(lake, "l1_filtered", NEWS, rows("l1_filtered", 1, NEWS))
    refresh(lake)
    with open(Path(lake.root, ".catalog.lock"), "w") as building:
        fcntl.flock(building, fcntl.LOCK_EX)
        assert count(lake, "l1_filtered") == 1  # up to date: no lock asked
        put(lake, "l1_filtered", NEWS, rows("l1_filtered", 2, NEWS))
        waiting = threading.Thread(target=refresh, args=(Lake(lake.root),))
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()
        put(lake, "l1_filtered", NEWS, rows("l1_filtered", 3, NEWS))
    waiting.join()
    with duckdb.connect(str(catalog_path(lake)), read_only=True) as catalog:
        assert one(catalog, "SELECT count(*) FROM l1_filtered") == 3


def test_racing_refreshes_never_go_back(lake: Lake) -> None:
    """Four threads finish steps and refresh; whoever looks sees versions that only grow."""
    lake.finish({"step": "first"})
    refresh(lake)
    done, seen = threading.Event(), []

    def finish_and_refresh() -> None:
        own = Lake(lake.root)
        for _ in range(3):
            own.finish({"step": "made_up"})
            refresh(own)

    def look() -> None:
        while not done.is_set():
            with duckdb.connect() as connection:
                connection.execute(f"ATTACH '{catalog_path(lake)}' AS seen (READ_ONLY)")
                seen.append(int(str(one(connection, VERSION_OF_LEDGER.replace("FROM ", "FROM seen.")))))
            time.sleep(0.002)

    watcher = threading.Thread(target=look)
    writers = [threading.Thread(target=finish_and_refresh) for _ in range(4)]
    for thread in (watcher, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    watcher.join()
    assert seen == sorted(seen)
    assert len(set(seen)) > 2
    with duckdb.connect(str(catalog_path(lake)), read_only=True) as last:
        assert one(last, VERSION_OF_LEDGER) == str(lake.version("tier_ledger"))
    assert [p.name for p in Path(lake.root).iterdir() if p.name.startswith(".lake.duckdb")] == []


# --- the same views over Delta itself --------------------------------------------------------------------------------


def test_delta_scan_file_runs_offline_and_shows_the_latest_versions(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "my läke"))
    put(lake, "l1_filtered", NEWS, rows("l1_filtered", 3, NEWS))
    put(lake, "l1_filtered", MAIL, rows("l1_filtered", 2, MAIL))
    lake.append("sources", rows("sources", 4, NEWS))
    refresh(lake)
    written = rows("l1_filtered", 8, NEWS)
    lake.replace("l1_filtered", NEWS, written)
    with duckdb.connect(config={"extension_directory": str(tmp_path / "no_extensions")}) as connection:
        connection.execute("SET autoinstall_known_extensions = false")
        connection.execute(Path(lake.root, "lake_delta_scan.sql").read_text())
        found = connection.execute("SELECT * FROM l1_filtered WHERE corpus = 'news'").pl()
        assert one(connection, "SELECT count(*) FROM l1_filtered") == 10
        assert one(connection, "SELECT count(*) FROM sources") == 4
    assert_frame_equal(found.select(pl.col(c).cast(t) for c, t in written.schema.items()), written)

from __future__ import annotations

from pathlib import Path

import duckdb
import polars as pl
import pytest

from tier_assets.l4_organized.search import build_index, index_version, search
from tier_tables.refinement import L4_EVIDENCE, L4_FACTS

STATEMENTS = (
    "Queen Victoria opened the bridges over the Tay in 1878.",
    "Die Brücken über den Tay wurden im Jahr 1878 eröffnet.",
    "The tower was built of white stone.",
    "維多利亞女王開放了大橋。",
)


def tables(statements: tuple[str, ...], state: str = "verified") -> tuple[pl.LazyFrame, pl.LazyFrame]:
    ids = [f"f{i}" for i in range(len(statements))]
    where = {"fact_id": ids, "doc_id": ids, "corpus": "c", "snapshot": "s"}
    facts = pl.DataFrame(
        where | {"statement": statements, "topic": None, "state": state, "confidence": 0.8}, schema=L4_FACTS.schema
    )
    evidence = pl.DataFrame(
        where | {"char_start": 5, "char_end": 9, "quote": "q", "byte_offset": 0, "num_bytes": 1},
        schema=L4_EVIDENCE.schema,
    )
    return facts.lazy(), evidence.lazy()


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lake") / "search.duckdb"
    assert build_index(*tables(STATEMENTS), path, "v1") == len(STATEMENTS)
    return path


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("bridge", ["f0"]),
        ("opening", ["f0"]),
        ("Brücke", ["f1"]),
        ("brucken", ["f1"]),
        ("1878", ["f0", "f1"]),
        ("Tay 1878 queen", ["f0", "f1"]),
        ("大橋", ["f3"]),
        ("elephant", []),
        ("'; DROP TABLE facts_other; --", []),
    ],
)
def test_search_finds_the_facts_in_their_language(index: Path, query: str, found: list[str]) -> None:
    assert sorted(h.fact_id for h in search(index, query, 10)) == found


def test_search_ranks_the_better_match_first_and_stops_at_k(index: Path) -> None:
    assert [h.fact_id for h in search(index, "Queen Victoria 1878", 1)] == ["f0"]


def test_search_hit_bears_its_span(index: Path) -> None:
    hit = search(index, "tower", 1)[0]
    assert (hit.statement, hit.char_start, hit.char_end) == (STATEMENTS[2], 5, 9)


def test_search_without_an_index_names_the_path(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"search\.duckdb"):
        search(tmp_path / "search.duckdb", "x", 1)


def test_index_version_is_what_it_was_built_from(index: Path, tmp_path: Path) -> None:
    assert index_version(index) == "v1"
    assert index_version(tmp_path / "none") is None
    (tmp_path / "broken").write_bytes(b"no database" * 1000)
    assert index_version(tmp_path / "broken") is None


def test_build_index_again_replaces_it_whole_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "search.duckdb"
    build_index(*tables(STATEMENTS), path, "v1")
    with duckdb.connect(str(path), read_only=True) as reader:
        build_index(*tables(STATEMENTS[2:3]), path, "v2")
        assert reader.execute("SELECT version FROM index_version").fetchone() == ("v1",)
    assert index_version(path) == "v2"
    assert search(path, "bridge", 5) == []
    assert [p.name for p in tmp_path.iterdir()] == ["search.duckdb"]


def test_build_index_of_no_facts_is_searchable(tmp_path: Path) -> None:
    path = tmp_path / "search.duckdb"
    assert build_index(*tables(()), path, "v1") == 0
    assert search(path, "bridge", 5) == []


def test_build_index_leaves_withdrawn_facts_out(tmp_path: Path) -> None:
    path = tmp_path / "search.duckdb"
    assert build_index(*tables(STATEMENTS, state="withdrawn"), path, "v1") == 0


def test_build_index_of_a_bad_frame_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "search.duckdb"
    build_index(*tables(STATEMENTS), path, "v1")
    with pytest.raises(pl.exceptions.ColumnNotFoundError):
        build_index(pl.LazyFrame({"fact_id": ["a"]}), tables(())[1], path, "v2")
    assert index_version(path) == "v1"
    assert [p.name for p in tmp_path.iterdir()] == ["search.duckdb"]

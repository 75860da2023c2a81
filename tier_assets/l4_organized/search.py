"""Full-text search over the facts: a DuckDB file beside the lake, built on demand, thrown away at will.

In: facts and their evidence. Out: a file with one BM25 index for German statements and one for all others, since a
stemmer knows one language. Built under a temporary name and renamed, so that readers see the old index or the new
one whole. Costs about 15 s for 20,000 facts; DuckDB keeps to `MEMORY_LIMIT` and spills.
"""

from __future__ import annotations

import os
import re
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb
import polars as pl

from algorithms import grounding
from algorithms.word_lists import word_set

MEMORY_LIMIT: Final = "1GB"
# The stemmer of each index. English serves the languages without one of their own: it only takes off endings.
STEMMERS: Final = (("facts_german", "german"), ("facts_other", "english"))
# Anything but letters and digits of any script; the extension's own default drops digits and all but a to z.
_SEPARATORS: Final = r"[^\p{L}\p{N}]+"
_GERMAN_WORDS = word_set("der die das und ist nicht ein eine einen im vom zum zur mit für auf auch sich wird werden")
_WIDE = re.compile(r"([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff])")


@dataclass(frozen=True, slots=True)
class Hit:
    """A fact that matches: its BM25 score, and where its evidence stands."""

    fact_id: str
    statement: str
    topic: str | None
    doc_id: str
    corpus: str
    snapshot: str
    char_start: int
    char_end: int
    score: float


def build_index(facts: pl.LazyFrame, evidence: pl.LazyFrame, path: Path, version: str) -> int:
    """Write the index of `facts` to `path`, replacing what is there; `version` says what was indexed. Returns rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    rows = temporary.with_suffix(".parquet")
    try:
        _indexed_rows(facts, evidence).sink_parquet(rows)
        with _connect(temporary) as connection:
            total = _fill(connection, rows, version)
        os.replace(temporary, path)
    finally:
        for leftover in (rows, temporary, temporary.with_name(f"{temporary.name}.wal")):
            leftover.unlink(missing_ok=True)
    return total


def index_version(path: Path) -> str | None:
    """What the index at `path` was built from; None where there is no index that can be read."""
    if not path.exists():
        return None
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            found = connection.execute("SELECT version FROM index_version").fetchone()
    except (duckdb.IOException, duckdb.CatalogException):
        return None
    return str(found[0]) if found else None


def search(path: Path, query: str, k: int) -> list[Hit]:
    """The `k` facts that match `query` best, best first.

    Raises:
        FileNotFoundError: no index at `path`.
    """
    if not path.exists():
        raise FileNotFoundError(f"no search index at {path}: build it first")
    with _connect(path, read_only=True) as connection:
        parts = [
            f"SELECT fact_id, statement, topic, doc_id, corpus, snapshot, char_start, char_end, "
            f"fts_main_{table}.match_bm25(fact_id, $query) AS score FROM {table}"
            for table, _ in STEMMERS
        ]
        ranked = f"SELECT * FROM ({' UNION ALL '.join(parts)}) WHERE score IS NOT NULL ORDER BY score DESC, fact_id"
        found = connection.execute(f"{ranked} LIMIT $k", {"query": _spaced(query), "k": k}).fetchall()
    return [Hit(*row) for row in found]


def _indexed_rows(facts: pl.LazyFrame, evidence: pl.LazyFrame) -> pl.LazyFrame:
    where = evidence.group_by("fact_id").agg(pl.col("char_start", "char_end").sort_by("char_start").first())
    columns = ("fact_id", "statement", "topic", "doc_id", "corpus", "snapshot")
    words = pl.concat_str("statement", pl.lit(" "), pl.col("topic").fill_null(""))
    return (
        facts.filter(pl.col("state") == "verified")
        .select(*columns)
        .join(where, on="fact_id", how="inner")
        .with_columns(
            words.map_elements(_spaced, return_dtype=pl.String).alias("words"),
            pl.col("statement").map_elements(_is_german, return_dtype=pl.Boolean).alias("german"),
        )
    )


def _fill(connection: duckdb.DuckDBPyConnection, rows: Path, version: str) -> int:
    connection.execute("CREATE TABLE index_version AS SELECT ? AS version", [version])
    for table, stemmer in STEMMERS:
        which = "german" if stemmer == "german" else "NOT german"
        connection.execute(
            f"CREATE TABLE {table} AS SELECT * EXCLUDE (german) FROM read_parquet(?) WHERE {which}", [str(rows)]
        )
        connection.execute(
            f"PRAGMA create_fts_index('{table}', 'fact_id', 'words', stemmer='{stemmer}', stopwords='none', "
            f"ignore='{_SEPARATORS}', strip_accents=1, lower=1, overwrite=1)"
        )
    counted = connection.execute("SELECT count(*) FROM read_parquet(?)", [str(rows)]).fetchone()
    return int(counted[0]) if counted else 0


def _connect(path: Path, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """A connection with the full-text extension of the installed wheel: nothing is downloaded."""
    import duckdb_extension_fts

    folder = Path(duckdb_extension_fts.__file__).parent / "extensions" / f"v{duckdb.__version__}"
    connection = duckdb.connect(str(path), read_only=read_only, config={"memory_limit": MEMORY_LIMIT})
    connection.execute(f"LOAD '{folder / 'fts.duckdb_extension'}'")
    return connection


def _spaced(text: str) -> str:
    """`text` with each character of a script without spaces as a word of its own."""
    return _WIDE.sub(r" \1 ", text)


def _is_german(statement: str) -> bool:
    found = grounding.fold(statement).split()
    return sum(w in _GERMAN_WORDS for w in found) >= 2 or any(c in "äöüß" for c in grounding.fold(statement))

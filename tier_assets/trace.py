"""From any row back to its bytes: a fact or record by lineage to its documents, a document to its raw record."""

from __future__ import annotations

import hashlib
from pathlib import Path

import duckdb

from resources.catalog import open_catalog
from resources.lake import Lake
from tier_assets.l0_raw.readers import place_of

QUOTE_CHARS = 300


def trace(lake: Lake, row_id: str) -> str:
    """The way of a fact, record or document to the bytes it came from, as text.

    Raises:
        ValueError: no row of the lake bears this id.
    """
    with open_catalog(lake) as connection:
        lines = _fact(connection, row_id) or _record(connection, row_id)
        documents = _documents(connection, row_id)
        if not documents:
            raise ValueError(
                f"no fact, record or document has the id {row_id!r}; ids are in l4_facts, l3_refined, l0_raw"
            )
        for doc_id in documents:
            lines += _document(connection, lake, doc_id)
    return "\n".join(lines)


def _rows(connection: duckdb.DuckDBPyConnection, query: str, *values: object) -> list[dict[str, object]]:
    result = connection.execute(query, list(values))
    names = [column[0] for column in result.description or ()]
    return [dict(zip(names, row)) for row in result.fetchall()]


def _fact(connection: duckdb.DuckDBPyConnection, fact_id: str) -> list[str]:
    lines = []
    for row in _rows(connection, "SELECT * FROM l4_facts JOIN l4_evidence USING (fact_id) WHERE fact_id = ?", fact_id):
        lines += [
            f"l4  fact      {fact_id}  ({row['state']}, confidence {row['confidence']})",
            f"    statement {row['statement']}",
            f"    evidence  characters {row['char_start']} to {row['char_end']} of {row['doc_id']}: "
            f"{_short(row['quote'])!r}",
        ]
        lines += [f"    from      {r['parent_table']} {r['parent_id']}" for r in _parents(connection, fact_id)]
    return lines


def _record(connection: duckdb.DuckDBPyConnection, record_id: str) -> list[str]:
    lines = []
    for row in _rows(connection, "SELECT * FROM l3_refined WHERE record_id = ?", record_id):
        lines += [
            f"l3  record    {record_id}  ({row['task']}, verification level {row['verification_level']})",
            f"    by        {row['model']}, prompt {row['prompt_version']}",
            f"    text      {_short(row['text'])!r}",
        ]
    return lines


def _parents(connection: duckdb.DuckDBPyConnection, child_id: str) -> list[dict[str, object]]:
    return _rows(connection, "SELECT parent_table, parent_id FROM lineage WHERE child_id = ? ORDER BY ALL", child_id)


def _documents(connection: duckdb.DuckDBPyConnection, row_id: str) -> list[str]:
    """The documents that the row descends from, itself if it is one."""
    found = _rows(
        connection,
        """
        WITH RECURSIVE up(id) AS (
            SELECT ? UNION SELECT parent_id FROM lineage JOIN up ON child_id = up.id)
        SELECT DISTINCT doc_id FROM l0_raw JOIN up ON doc_id = up.id ORDER BY doc_id""",
        row_id,
    )
    return [str(row["doc_id"]) for row in found]


def _document(connection: duckdb.DuckDBPyConnection, lake: Lake, doc_id: str) -> list[str]:
    lines = []
    for row in _rows(connection, "SELECT * FROM l2_selected WHERE doc_id = ?", doc_id):
        lines.append(f"l2  selected  {doc_id}  quality {row['quality']}, round {row['round']}, {row['reason']}")
    for row in _rows(connection, "SELECT * FROM l1_filtered WHERE doc_id = ?", doc_id):
        lines.append(
            f"l1  text      {doc_id}  {row['num_chars']} characters, {row['language']}, by {row['extractor']}"
            f": {_short(row['text'])!r}"
        )
    for row in _rows(connection, "SELECT * FROM verdicts WHERE doc_id = ? AND tier < 'l3' ORDER BY tier", doc_id):
        lines.append(f"{row['tier']}  verdict   {doc_id}  {row['reason']}: {row['detail']}")
    query = "SELECT r.*, s.path, s.format FROM l0_raw r JOIN sources s USING (source_id) WHERE doc_id = ?"
    for row in _rows(connection, query, doc_id):
        sound = hashlib.sha256(row["raw"]).hexdigest() == row["raw_sha256"]  # type: ignore[arg-type]
        place = place_of(str(row["format"]))
        unit = place.split()[0]
        lines += [
            f"l0  raw       {doc_id}  {row['uri']} ({row['content_type']}, {row['num_bytes']} bytes)",
            f"    bytes     from {unit} {row['byte_offset']} of {Path(lake.root, str(row['path']))} ({place})",
            f"    sha256    {row['raw_sha256']} ({'agrees' if sound else 'DIFFERS'})",
            f"    licence   {row['licence'] or 'not stated'}",
        ]
    return lines


def _short(text: object) -> str:
    whole = str(text)
    return whole if len(whole) <= QUOTE_CHARS else whole[:QUOTE_CHARS] + " ..."

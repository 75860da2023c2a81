"""Query results on standard output: a table for people, CSV or JSON for programs."""

from __future__ import annotations

import csv
import json
import sys

import duckdb

FORMATS = ("table", "csv", "json")
ROWS_AT_ONCE = 10_000
SHOWN_ROWS = 40


def printed(result: duckdb.DuckDBPyRelation, format: str) -> None:
    """Print a result; CSV and JSON stream all rows, the table shows the first.

    Raises:
        ValueError: unknown format.
    """
    if format == "table":
        result.show(max_rows=SHOWN_ROWS)
        return
    if format == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(result.columns)
        while rows := result.fetchmany(ROWS_AT_ONCE):
            writer.writerows(rows)
        return
    if format == "json":
        while rows := result.fetchmany(ROWS_AT_ONCE):
            for row in rows:
                line = json.dumps(dict(zip(result.columns, row)), ensure_ascii=False, default=_plain)
                sys.stdout.write(line + "\n")
        return
    raise ValueError(f"unknown format {format!r}; known: {', '.join(FORMATS)}")


def _plain(value: object) -> str:
    """JSON has no bytes and no dates: base-16 and ISO 8601."""
    return value.hex() if isinstance(value, bytes) else str(value)

"""Made-up rows of any table of the contract, and the shortest ways to write them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import polars as pl

from resources.lake import Lake, Written
from tier_tables import Column, table

NEWS = {"corpus": "news", "snapshot": "2024-01"}
MAIL = {"corpus": "mail", "snapshot": "2024-01"}


def value(dtype: pl.DataType | pl.datatypes.DataTypeClass, index: int) -> object:
    """A value of the type that is not easy to store: no ASCII, no UTF-8, past 2**53, empty where it can be."""
    if isinstance(dtype, pl.List):
        return [value(dtype.inner, index + i) for i in range(index % 3)]
    if isinstance(dtype, pl.Struct):
        return {field.name: value(field.dtype, index) for field in dtype.fields}
    if isinstance(dtype, pl.Datetime):
        return datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC) + timedelta(days=index * 10_000)
    plain: dict[object, object] = {
        pl.String: f"Zürich 😀\n\t'\"\\ {index}" if index % 4 else "",
        pl.Int64: (-1) ** index * (2**53 + index),
        pl.Float64: index / 7 if index % 5 else float("inf"),
        pl.Float32: index / 8 if index % 5 else float("inf"),
        pl.Boolean: index % 2 == 0,
        pl.Binary: bytes([0, 255, 195, 40]) + str(index).encode() if index % 4 else b"",
    }
    return plain[dtype]


def rows(name: str, num_rows: int, partition: Mapping[str, str], first: int = 0) -> pl.DataFrame:
    """Rows of `name` numbered from `first`: equal where the numbers are, of different keys where they are not."""
    described = table(name)

    def cell(column: Column, index: int) -> object:
        if column.name in partition:
            return int(partition[column.name]) if column.dtype == pl.Int64 else partition[column.name]
        if column.name in described.key and column.dtype == pl.String:
            return f"{column.name}-{index}"
        return None if column.nullable and index % 3 == 0 else value(column.dtype, index)

    indices = range(first, first + num_rows)
    return pl.DataFrame({c.name: [cell(c, i) for i in indices] for c in described.columns}, schema=described.schema)


def texts(documents: Mapping[str, str], partition: Mapping[str, str]) -> pl.DataFrame:
    """Rows of l1_filtered: doc_id -> text."""
    made = rows("l1_filtered", len(documents), partition)
    return made.with_columns(doc_id=pl.Series(list(documents)), text=pl.Series(list(documents.values())))


def partition_of(name: str, index: int = 0) -> dict[str, str]:
    """Values for all partition columns of a table."""
    return {column: str(index) if column == "round" else f"{column}-{index}" for column in table(name).partition_by}


def output(written: Written) -> dict[str, object]:
    """What the ledger says of a commit."""
    return {"table": written.table, "slice": written.slice, "version": written.version, "token": written.token}


def finish(lake: Lake, *written: Written) -> None:
    """A ledger row that names these commits."""
    lake.finish({"tier": "l1", "step": "made_up", "output_versions": [output(w) for w in written]})


def put(lake: Lake, name: str, partition: Mapping[str, str], frame: pl.DataFrame) -> Written:
    """Replace a slice and finish."""
    written = lake.replace(name, partition, frame)
    finish(lake, written)
    return written

"""How a table is described: columns with type and meaning, partitions, keys. The writer, the checks, the catalog
and the documentation all read the same description."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

TIERS: Final = ("l0", "l1", "l2", "l3", "l4")
ROLES: Final = {
    "l0": "none (traceability)",
    "l1": "early broad pre-training",
    "l2": "core pre-training",
    "l3": "mid-training, decay and alignment",
    "l4": "retrieval",
}
TIMESTAMP: Final = pl.Datetime("us", "UTC")
CORPUS_SNAPSHOT: Final = ("corpus", "snapshot")


@dataclass(frozen=True)
class Column:
    """One column: `dtype` is what Delta stores (never unsigned), `meaning` says unit and origin."""

    name: str
    dtype: pl.DataType | type[pl.DataType]
    meaning: str
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    """One Delta table.

    `partition_by` names the leading columns that are folders and never inside the data files. `key` names the
    columns that identify a row. `stepped` tables are read at the versions that `tier_ledger` names; the others
    (logs: sources, ledger, replies, telemetry) at their latest version.
    """

    name: str
    meaning: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    partition_by: tuple[str, ...] = CORPUS_SNAPSHOT
    stepped: bool = True

    @property
    def schema(self) -> pl.Schema:
        """All columns, in order, partition columns among them."""
        return pl.Schema({c.name: c.dtype for c in self.columns})

    @property
    def file_schema(self) -> pl.Schema:
        """The columns inside the data files: all but the partition columns."""
        return pl.Schema({c.name: c.dtype for c in self.columns if c.name not in self.partition_by})

    def empty(self) -> pl.DataFrame:
        """A frame of this table with no rows."""
        return pl.DataFrame(schema=self.schema)

    def conform(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        """`frame` with exactly the file columns, in order and type; partition columns are dropped.

        Raises:
            ValueError: a column is missing or one too many is there; the message names both lists.
        """
        names = frame.collect_schema().names()
        wanted = set(self.schema.names())
        missing = [n for n in self.file_schema.names() if n not in names]
        extra = [n for n in names if n not in wanted]
        if missing or extra:
            raise ValueError(f"rows for {self.name!r} miss columns {missing} and have unknown columns {extra}")
        return frame.select(pl.col(n).cast(t) for n, t in self.file_schema.items())


def doc_columns() -> tuple[Column, ...]:
    """The three columns that every row about a document bears."""
    return (
        Column("doc_id", pl.String, "the document, minted once in L0"),
        Column("corpus", pl.String, "name of the corpus"),
        Column("snapshot", pl.String, "the corpus's snapshot, such as a date"),
    )

"""Delta tables, low level: stage Parquet files, then commit them as one atomic version.

In go Polars frames or lazy frames, out come staged files (invisible until committed) and then a version. Memory is
bounded by one file's rows: a lazy frame streams into files, small frames gather until a file is worth writing.
A kill before the commit leaves readers on the old version; orphaned files go with `Lake.vacuum`.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl
import pyarrow.fs
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, RemoveAction

from tier_tables import Table

# A file holds at most this many rows, and is begun anew at about this size in memory.
ROWS_PER_FILE = 500_000
BYTES_PER_FILE = 128 << 20
# Row groups are what a reader holds at once: small where a row can be a whole page of HTML.
ROW_GROUP_ROWS = {"l0_raw": 512, "l1_texts": 8_192, "l1_filtered": 8_192, "l3_refined": 8_192}
DEFAULT_ROW_GROUP_ROWS = 65_536
MAX_COMMIT_RETRIES = 100
# What may name a slice's folder: Delta, Polars and DuckDB each escape other characters in their own way, and then do
# not find the files again; DuckDB reads the folder `corpus=null` as a missing value.
FOLDER_VALUE = re.compile(r"(?!null$)[A-Za-z0-9][A-Za-z0-9._+-]*", re.IGNORECASE)
# Removed files stay readable for this long: the reproducibility window. The log is never cleaned: a slice that was
# last written long ago is still read at the version that the ledger names.
TABLE_CONFIGURATION = {
    "delta.deletedFileRetentionDuration": "interval 90 days",
    "delta.enableExpiredLogCleanup": "false",
}


class RacingWriterError(RuntimeError):
    """Another writer committed the same slice between our reading and our commit; nothing of ours is visible."""


def slice_name(table: Table, partition: Mapping[str, str]) -> str:
    """`corpus=a/snapshot=b`: the folder of one slice of `table`, "" for an unpartitioned table.

    Raises:
        ValueError: `partition` does not name exactly the partition columns, or a value cannot name a folder.
    """
    if set(partition) != set(table.partition_by):
        raise ValueError(
            f"{table.name!r} is partitioned by {list(table.partition_by)}, but the partition names {sorted(partition)}"
        )
    for column in table.partition_by:
        if not FOLDER_VALUE.fullmatch(partition[column]):
            raise ValueError(
                f"{column} {partition[column]!r} cannot name a folder: it takes letters, digits and . _ + -, "
                "the first a letter or digit, and is not 'null'"
            )
    return "/".join(f"{column}={partition[column]}" for column in table.partition_by)


@dataclass(frozen=True)
class Written:
    """One commit of a slice: enters the ledger's `output_versions`. `turn` counts the slice's commits up to it."""

    table: str
    slice: str
    version: int
    token: str
    num_rows: int
    turn: int


@dataclass(frozen=True)
class Slice:
    """One slice as readers see it: its files, and the Delta version and state they stand at."""

    partition: dict[str, str]
    version: int
    files: tuple[str, ...]
    num_rows: int

    def is_within(self, partition: Mapping[str, str]) -> bool:
        """Whether the slice has these values of (some) partition columns."""
        return all(self.partition.get(column) == value for column, value in partition.items())

    @property
    def state(self) -> str:
        """Fingerprint of the files: their names bear their commit's token, so equal names are equal bytes, in a lake
        that was moved too."""
        names = sorted(file.rsplit("/", 1)[-1] for file in self.files)
        return hashlib.blake2b("\n".join(names).encode(), digest_size=8).hexdigest()


@dataclass
class Stage:
    """Files of one slice being written; small and picklable once `close()`d, so that ops can hand it on.

    `seen` counts the slice's commits when it was begun: one more since then, and committing this stage is refused.
    """

    root: str
    table: Table
    partition: dict[str, str]
    seen: int
    storage_options: dict[str, str] | None = None
    token: str = field(default_factory=lambda: uuid.uuid4().hex[:16])
    files: list[tuple[str, int, int]] = field(default_factory=list)  # (path below the table, rows, bytes)
    _waiting: list[pl.DataFrame] = field(default_factory=list)
    _waiting_bytes: int = 0

    @property
    def slice(self) -> str:
        """Folder of the slice below the table."""
        return slice_name(self.table, self.partition)

    @property
    def num_rows(self) -> int:
        """Rows staged so far."""
        return sum(rows for _, rows, _ in self.files) + sum(f.height for f in self._waiting)

    def write(self, rows: pl.DataFrame | pl.LazyFrame) -> None:
        """Add rows. A lazy frame is streamed to files at once; frames gather until a file is worth writing.

        Raises:
            ValueError: a column is missing or one too many, or a row belongs to another slice.
        """
        if isinstance(rows, pl.LazyFrame):
            self.close()
            named = set(self.table.partition_by) & set(rows.collect_schema().names())
            checked = rows.map_batches(self._only_this_slice, streamable=True) if named else rows
            self._sink(self.table.conform(checked))
            return
        self._waiting.append(self.table.conform(self._only_this_slice(rows).lazy()).collect())
        self._waiting_bytes += int(self._waiting[-1].estimated_size())
        if self._waiting_bytes >= BYTES_PER_FILE:
            self.close()

    def _only_this_slice(self, rows: pl.DataFrame) -> pl.DataFrame:
        """`rows` as they are: the folder will say what they belong to, so none may say otherwise."""
        for column, value in self.partition.items():
            if column not in rows.columns:
                continue
            others = [v for v in rows[column].cast(pl.String).unique().sort().to_list() if v != value]
            if others:
                raise ValueError(f"rows for the slice {self.slice!r} of {self.table.name!r} have {column} {others}")
        return rows

    def close(self) -> Stage:
        """Write out what is waiting."""
        if self._waiting:
            frames, self._waiting, self._waiting_bytes = self._waiting, [], 0
            self._sink(pl.concat(frames).lazy())
        return self

    def _sink(self, rows: pl.LazyFrame, even_empty: bool = False) -> None:
        base = "/".join(p for p in (self.root, self.slice) if p)
        offset = len(self.files)
        sunk: list[tuple[str, int, int]] = []

        def note(args: pl.io.partition.SinkedPathsCallbackArgs) -> None:
            sunk.extend((str(p.path), p.num_rows, p.num_bytes) for p in args.paths)

        rows.sink_parquet(
            pl.PartitionBy(
                base,
                max_rows_per_file=ROWS_PER_FILE,
                approximate_bytes_per_file=BYTES_PER_FILE,
                file_path_provider=lambda args: f"{self.token}-{offset + args.index_in_partition:05d}.parquet",
            ),
            mkdir=True,
            row_group_size=ROW_GROUP_ROWS.get(self.table.name, DEFAULT_ROW_GROUP_ROWS),
            storage_options=self.storage_options,
            sinked_paths_callback=note,
        )
        below = len(self.root) + 1
        self.files.extend((path[below:], rows, size) for path, rows, size in sorted(sunk) if rows or even_empty)

    def add_actions(self) -> list[AddAction]:
        """One action a file, with the row count and the numeric columns' statistics from its footer.

        No rows are one empty file: its name tells readers whose commit the slice stands at.
        """
        self.close()
        if not self.files:
            self._sink(self.table.conform(self.table.empty().lazy()), even_empty=True)
        now = int(time.time() * 1000)
        return [
            AddAction(path, size, dict(self.partition), now, True, self._statistics(path, rows))
            for path, rows, size in self.files
        ]

    def _statistics(self, path: str, rows: int) -> str:
        filesystem, inner = pyarrow.fs.FileSystem.from_uri(f"{self.root}/{path}")
        footer = pq.read_metadata(inner, filesystem=filesystem)
        low: dict[str, float] = {}
        high: dict[str, float] = {}
        for group in range(footer.num_row_groups):
            for index in range(footer.num_columns):
                column = footer.row_group(group).column(index)
                found, name = column.statistics, column.path_in_schema
                if column.physical_type != "INT64" or found is None or not found.has_min_max or "." in name:
                    continue
                if isinstance(found.min, int):
                    low[name] = min(low.get(name, found.min), found.min)
                    high[name] = max(high.get(name, found.max), found.max)
        return json.dumps({"numRecords": rows, "minValues": low, "maxValues": high, "nullCount": {}})


def delta_schema(table: Table) -> Schema:
    """The table's Delta schema, partition columns included."""
    return Schema.from_arrow(table.empty().to_arrow(compat_level=pl.CompatLevel.oldest()).schema)


def open_or_create(path: str, table: Table, storage_options: dict[str, str] | None) -> DeltaTable:
    """The Delta table at `path`, created empty where there is none; racing creators all succeed."""
    if not DeltaTable.is_deltatable(path, storage_options):
        try:
            DeltaTable.create(
                path,
                delta_schema(table),
                mode="ignore",
                partition_by=list(table.partition_by),
                storage_options=storage_options,
                configuration=TABLE_CONFIGURATION,
                # No retry: a lost race would be committed again as version 1, a change of metadata that makes
                # every writer of that moment fail.
                commit_properties=CommitProperties(max_commit_retries=0),
            )
        except DeltaError:
            if not DeltaTable.is_deltatable(path, storage_options):
                raise
    return DeltaTable(path, storage_options=storage_options)


def commits_of(delta: DeltaTable, table: str, slice_: str) -> int:
    """How often the slice has been committed, finished or not."""
    return delta.transaction_version(f"{table}:{slice_}") or 0


def commit(stage: Stage, mode: str, metadata: Mapping[str, str], drop: frozenset[str] = frozenset()) -> Written:
    """Make the staged files visible in one version; doing it again, as a retried op may, changes nothing.

    Args:
        stage: the files and their slice.
        mode: "replace" (the slice becomes exactly these files) or "extend" (added to the slice).
        metadata: run id, code version: kept in the commit.
        drop: with "extend", paths of files in the slice that no step finished; they leave in the same commit.

    Raises:
        RacingWriterError: another writer committed the slice since the stage was begun.
    """
    delta = open_or_create(stage.root, stage.table, stage.storage_options)
    name, turn = stage.table.name, stage.seen + 1
    commits = commits_of(delta, name, stage.slice)
    if commits == turn and (done := _version_of(stage)) is not None:
        return Written(name, stage.slice, done, stage.token, stage.num_rows, turn)
    if commits != stage.seen:
        raise RacingWriterError(f"another writer committed {name}:{stage.slice} since this one began")
    actions: list[AddAction | RemoveAction] = list(stage.add_actions())
    if mode == "extend":
        now = int(time.time() * 1000)
        actions += [RemoveAction(path, True, now, partition_values=dict(stage.partition)) for path in sorted(drop)]
    filters = [(column, "=", stage.partition[column]) for column in stage.table.partition_by]
    try:
        delta.create_write_transaction(
            actions,
            mode="overwrite" if mode == "replace" else "append",
            schema=delta_schema(stage.table),
            partition_by=list(stage.table.partition_by),
            partition_filters=filters if mode == "replace" and filters else None,
            commit_properties=CommitProperties(
                custom_metadata={**metadata, "slice": stage.slice, "token": stage.token},
                max_commit_retries=MAX_COMMIT_RETRIES,
                # Without it, racing first writes to one empty slice would all commit (delta-rs).
                app_transactions=[Transaction(f"{name}:{stage.slice}", turn)],
            ),
        )
    except CommitFailedError as error:
        raise RacingWriterError(
            f"another writer committed {name}:{stage.slice} first; nothing was changed by this one ({error})"
        ) from error
    version = _version_of(stage)
    if version is None:
        raise RuntimeError(f"commit {stage.token} not found in the history of {stage.root}")
    return Written(name, stage.slice, version, stage.token, stage.num_rows, turn)


def commit_together(stages: Sequence[Stage], metadata: Mapping[str, str]) -> list[Written]:
    """Replace several slices of one table in one version: all of them show, or none. Doing it again changes nothing.

    Raises:
        RacingWriterError: another writer committed one of the slices since its stage was begun.
        ValueError: the stages were not begun together (`stages_of`).
    """
    if len({(stage.root, stage.token) for stage in stages}) != 1:
        raise ValueError("slices that are committed together are of one table and were begun together")
    first = stages[0]
    name, below = first.table.name, len(first.root) + 1
    delta = open_or_create(first.root, first.table, first.storage_options)
    commits = {stage.slice: commits_of(delta, name, stage.slice) for stage in stages}
    if all(commits[s.slice] == s.seen + 1 for s in stages) and (done := _version_of(first)) is not None:
        return [Written(name, s.slice, done, s.token, s.num_rows, s.seen + 1) for s in stages]
    if overtaken := [stage.slice for stage in stages if commits[stage.slice] != stage.seen]:
        raise RacingWriterError(f"another writer committed {name}:{', '.join(overtaken)} since this one began")
    now, standing = int(time.time() * 1000), active_files(delta, first.root)
    actions: list[AddAction | RemoveAction] = [action for stage in stages for action in stage.add_actions()]
    actions += [
        RemoveAction(path[below:], True, now, partition_values=dict(stage.partition))
        for stage in stages
        for path, _ in standing.get(stage.slice, [])
    ]
    try:
        delta.create_write_transaction(
            actions,
            mode="append",
            schema=delta_schema(first.table),
            partition_by=list(first.table.partition_by),
            commit_properties=CommitProperties(
                custom_metadata={**metadata, "slices": " ".join(commits), "token": first.token},
                max_commit_retries=MAX_COMMIT_RETRIES,
                app_transactions=[Transaction(f"{name}:{stage.slice}", stage.seen + 1) for stage in stages],
            ),
        )
    except CommitFailedError as error:
        raise RacingWriterError(
            f"another writer committed one of {name}:{', '.join(commits)} first; nothing was changed by this one "
            f"({error})"
        ) from error
    version = _version_of(first)
    if version is None:
        raise RuntimeError(f"commit {first.token} not found in the history of {first.root}")
    return [Written(name, s.slice, version, s.token, s.num_rows, s.seen + 1) for s in stages]


def stages_of(
    path: str, table: Table, partitions: Sequence[Mapping[str, str]], storage_options: dict[str, str] | None
) -> list[Stage]:
    """Begin several slices of a table that `commit_together` will make visible in one version.

    Raises:
        ValueError: not exactly the table's partition columns, or a value that cannot name a folder.
    """
    delta, token = open_or_create(path, table, storage_options), uuid.uuid4().hex[:16]
    return [
        Stage(
            path,
            table,
            dict(each),
            commits_of(delta, table.name, slice_name(table, each)),
            storage_options,
            token=token,
        )
        for each in partitions
    ]


def _version_of(stage: Stage) -> int | None:
    """The version that the stage's commit became (it may have been rebased over other slices' commits), or None."""
    for entry in DeltaTable(stage.root, storage_options=stage.storage_options).history(MAX_COMMIT_RETRIES):
        if entry.get("token") == stage.token:
            return int(entry["version"])
    return None


def active_files(delta: DeltaTable, root: str) -> dict[str, list[tuple[str, int]]]:
    """Folder -> [(absolute path, rows)] of a version's files; "" is the folder of an unpartitioned table."""
    actions = pl.DataFrame(delta.get_add_actions(flatten=True))
    folders: dict[str, list[tuple[str, int]]] = {}
    for path, rows in sorted(zip(actions["path"].to_list(), actions["num_records"].to_list())):
        folder = path.rsplit("/", 1)[0] if "/" in path else ""
        folders.setdefault(folder, []).append((f"{root}/{path}", rows or 0))
    return folders


def as_slice(folder: str, version: int, files: list[tuple[str, int]]) -> Slice:
    """The slice in a folder, from its files and their rows."""
    partition = dict(part.split("=", 1) for part in folder.split("/")) if folder else {}
    return Slice(partition, version, tuple(path for path, _ in files), sum(rows for _, rows in files))

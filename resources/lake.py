"""The lake: typed Delta tables under one root, read at the versions that the ledger names.

A step writes its slices, then one `tier_ledger` row naming each slice's version (`Lake.finish`). Until then nobody
sees what it wrote: a kill between two commits shows the old state whole. What is read of a slice is that slice's
files at the version its last ledger row names, since a table-wide version also holds other slices' unfinished
commits. Log tables (sources, ledger, replies, telemetry) are read at their latest version.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError
from pyarrow.fs import FileSystem

from resources.delta import (
    MAX_COMMIT_RETRIES,
    RacingWriterError,
    Slice,
    Stage,
    Written,
    active_files,
    as_slice,
    commit,
    commit_together,
    commits_of,
    open_or_create,
    slice_name,
    stages_of,
)
from resources.open_tables import OpenTable, files_of, latest
from tier_tables import TABLES, TIER_LEDGER, Table, table

FORMAT_VERSION = 5
SETTINGS = ("smoke", "default")  # how much a run spends: `make demo` makes a lake with smoke settings
COMPACT_LOG_AT = 64  # small files: each append to a log table adds one
# A log's files are put together to this size, one by one: the memory it takes is that of one, however long the log.
LOG_FILE_BYTES = 16 << 20
SMALL_LOG_FILE_BYTES = LOG_FILE_BYTES // 4
LOG_GROUP_ROWS = 16_384  # what is written, or read for a few rows, at a time
UNFIT_FOR_PATHS = re.compile(r"[^\w /.+@~,():'-]")  # Delta, Polars or DuckDB fail on one of these (or find no files)


class LakeFormatError(RuntimeError):
    """The root holds a lake of another format version, or something that is no lake."""


class Lake:
    """A lake at `root`: a folder, or `s3://bucket/prefix` with `storage_options` as object stores name them.

    Raises:
        LakeFormatError: the root was written by another format version.
        ValueError: the root's path has characters that Delta's paths do not take.
    """

    def __init__(self, root: str, storage_options: Mapping[str, str] | None = None) -> None:
        self.is_local = "://" not in root
        self.root = str(Path(root).absolute()) if self.is_local else root.rstrip("/")
        self.storage_options = dict(storage_options) if storage_options else None
        if self.is_local and (unfit := sorted(set(UNFIT_FOR_PATHS.findall(self.root)))):
            raise ValueError(f"a lake cannot lie at {self.root!r}: Delta's paths do not take {''.join(unfit)!r}")
        self._ledger: tuple[int, pl.DataFrame] | None = None
        self._still = False
        self.settings = self._about().get("settings", "default")

    def __repr__(self) -> str:
        return f"Lake({self.root!r})"

    def _about(self) -> dict[str, str]:
        """What `lake.json` says; empty where there is no lake yet."""
        if not self.is_local:
            return {}
        if Path(self.root).exists() and not Path(self.root).is_dir():
            raise LakeFormatError(f"{self.root} is a file; a lake's root is a folder")
        marker = Path(self.root, "lake.json")
        if not marker.exists():
            return {}
        try:
            about = json.loads(marker.read_text())
        except ValueError as error:
            raise LakeFormatError(f"{marker} is no description of a lake: {error}") from error
        if about.get("format_version") != FORMAT_VERSION:
            raise LakeFormatError(
                f"{self.root} was written by lake format {about.get('format_version')!r}; "
                f"this version reads format {FORMAT_VERSION}"
            )
        return about

    def create(self, settings: str = "default") -> None:
        """Make the root and its `lake.json`, where there is none: format version and the settings of its runs.

        Raises:
            ValueError: unknown settings.
        """
        if settings not in SETTINGS:
            raise ValueError(f"unknown settings {settings!r}; known: {list(SETTINGS)}")
        if not self.is_local or Path(self.root, "lake.json").exists():
            return
        Path(self.root).mkdir(parents=True, exist_ok=True)
        waiting = Path(self.root, f".lake.json.{uuid.uuid4().hex}")
        waiting.write_text(json.dumps({"format_version": FORMAT_VERSION, "settings": settings}) + "\n")
        os.replace(waiting, Path(self.root, "lake.json"))
        self.settings = settings

    # --- reading ---------------------------------------------------------------------------------------------

    def path(self, name: str) -> str:
        """Where the Delta table called `name` lies."""
        return f"{self.root}/{table(name).name}"

    def _open(self, name: str) -> OpenTable | None:
        """The table as it stands; None where it does not exist yet."""
        return latest(self.path(name), self.is_local, self.storage_options)

    def _delta_at(self, name: str, version: int) -> DeltaTable:
        return DeltaTable(self.path(name), version=version, storage_options=self.storage_options)

    def version(self, name: str) -> int:
        """Latest Delta version of the table, -1 where it does not exist yet."""
        opened = self._open(name)
        return -1 if opened is None else opened.version

    def at_one_moment(self) -> Lake:
        """This lake with the ledger as it is now: whatever finishes later does not show in it."""
        still = copy.copy(self)
        still._ledger, still._still = (self.version("tier_ledger"), self.ledger()), True
        return still

    def ledger(self) -> pl.DataFrame:
        """All finished steps, oldest first."""
        if self._still and self._ledger is not None:
            return self._ledger[1]
        opened = self._open("tier_ledger")
        if opened is None:
            return TIER_LEDGER.empty()
        if self._ledger is None or self._ledger[0] != opened.version:
            files = [path for path, _ in files_of(opened, self.path("tier_ledger")).get("", [])]
            rows = self._read(TIER_LEDGER, files).sort("finished_at", "step", "corpus").collect()
            self._ledger = (opened.version, rows)
        return self._ledger[1]

    def last_step(self, step: str, partition: Mapping[str, str] | None = None) -> dict[str, object] | None:
        """The last ledger row of `step` for a partition (corpus, snapshot), or None."""
        corpus, snapshot = (partition or {}).get("corpus"), (partition or {}).get("snapshot")
        rows = self.ledger().filter(
            (pl.col("step") == step)
            & pl.col("corpus").eq_missing(pl.lit(corpus, pl.String))
            & pl.col("snapshot").eq_missing(pl.lit(snapshot, pl.String))
        )
        return rows.row(-1, named=True) if rows.height else None

    def slices(self, name: str, partition: Mapping[str, str] | None = None) -> list[Slice]:
        """The table's slices within `partition` (which may name only some columns), as readers see them.

        Raises:
            ValueError: unknown table or partition column.
        """
        described = _with_partition(name, partition)
        opened = self._open(name)
        if opened is None:
            return []
        active = files_of(opened, self.path(name))
        if not described.stepped:
            found = [as_slice(folder, opened.version, files) for folder, files in sorted(active.items())]
            return [s for s in found if s.is_within(partition or {})]
        return self._named_slices(name, partition or {}, active)

    def _named_slices(
        self, name: str, partition: Mapping[str, str], active: dict[str, list[tuple[str, int]]]
    ) -> list[Slice]:
        """Slices at the versions that the ledger names; the latest version serves where it shows the same."""
        named: dict[str, dict[int, str]] = {}
        for written in self._outputs(name):
            named.setdefault(written["slice"], {})[written["version"]] = written["token"]
        found = []
        for folder, versions in sorted(named.items()):
            last = max(versions)
            files = active.get(folder, [])
            if not as_slice(folder, last, []).is_within(partition):
                continue
            tokens = {path.rsplit("/", 1)[-1].split("-")[0] for path, _ in files}
            if not (versions[last] in tokens and tokens <= set(versions.values())):
                # Someone has committed this slice and not finished: look at the version itself.
                files = active_files(self._delta_at(name, last), self.path(name)).get(folder, [])
            found.append(as_slice(folder, last, files))
        return found

    def _outputs(self, name: str) -> list[dict]:
        outputs = self.ledger().select(pl.col("output_versions").explode().drop_nulls()).to_series()
        return [o for o in outputs.to_list() if o is not None and o["table"] == name]

    def unfinished(self, name: str, partition: Mapping[str, str]) -> list[str]:
        """Files of one slice at the table's latest version that no ledger row names: nobody reads them."""
        opened = self._open(name)
        if opened is None:
            return []
        here = files_of(opened, self.path(name)).get(slice_name(table(name), partition), [])
        named = {file for s in self.slices(name, partition) for file in s.files}
        return sorted(path[len(self.path(name)) + 1 :] for path, _ in here if path not in named)

    def partitions(self, name: str) -> list[dict[str, str]]:
        """The table's partitions that hold rows, sorted."""
        return [s.partition for s in self.slices(name) if s.num_rows]

    def state(self, name: str, partition: Mapping[str, str] | None = None) -> str:
        """Fingerprint of what a reader of these slices sees; "" where there is nothing."""
        slices = self.slices(name, partition)
        return hashlib.blake2b(" ".join(s.state for s in slices).encode(), digest_size=8).hexdigest() if slices else ""

    def scan(self, name: str, partition: Mapping[str, str] | None = None, version: int | None = None) -> pl.LazyFrame:
        """Rows of the table, all columns of its contract; an absent table or partition gives no rows.

        Args:
            name: the table.
            partition: values of all or some partition columns.
            version: a Delta version to travel to instead of what the ledger names now.

        Raises:
            ValueError: unknown table, partition column or version.
        """
        described = _with_partition(name, partition)
        if version is not None:
            last = self.version(name)
            if not 0 <= version <= last:
                raise ValueError(f"{name!r} has no version {version}; it has 0 to {last}")
            folders = active_files(self._delta_at(name, version), self.path(name))
            slices = [as_slice(folder, version, files) for folder, files in sorted(folders.items())]
            slices = [s for s in slices if s.is_within(partition or {})]
        else:
            slices = self.slices(name, partition)
        return self._read(described, [file for s in slices for file in s.files])

    def _read(self, described: Table, files: Sequence[str]) -> pl.LazyFrame:
        if not files:
            return described.empty().lazy()
        hive = {c: described.schema[c] for c in described.partition_by}
        rows = pl.scan_parquet(
            list(files),
            schema={**described.file_schema, **hive},
            hive_partitioning=bool(hive),
            hive_schema=hive or None,
            missing_columns="insert",
            glob=False,
            storage_options=self.storage_options,
        )
        return rows.select(described.schema.names())

    def batches(
        self,
        name: str,
        partition: Mapping[str, str] | None = None,
        columns: Sequence[str] | None = None,
        rows: int = 4096,
    ) -> Iterator[pl.DataFrame]:
        """The rows in stable order, at most `rows` at a time: memory holds one row group and one batch.

        Raises:
            ValueError: unknown table, partition column or column.
        """
        described = table(name)
        wanted = list(columns) if columns is not None else described.schema.names()
        if unknown := set(wanted) - set(described.schema.names()):
            raise ValueError(f"{name!r} has no columns {sorted(unknown)}; it has {described.schema.names()}")
        inside = [c for c in wanted if c not in described.partition_by] or described.file_schema.names()[:1]
        for piece in self.slices(name, partition):
            outside = [pl.lit(v, described.schema[c]).alias(c) for c, v in piece.partition.items() if c in wanted]
            for file in piece.files:
                filesystem, inner = FileSystem.from_uri(file)
                with pq.ParquetFile(inner, filesystem=filesystem) as parquet:
                    for batch in parquet.iter_batches(batch_size=rows, columns=inside):
                        frame = pl.from_arrow(batch)
                        assert isinstance(frame, pl.DataFrame)
                        yield frame.with_columns(outside).select(pl.col(c).cast(described.schema[c]) for c in wanted)

    # --- writing ---------------------------------------------------------------------------------------------

    def stage(self, name: str, partition: Mapping[str, str]) -> Stage:
        """Begin writing one slice; nothing is visible before `commit` and `finish`.

        Begin it before reading what its rows are made from: a commit of the slice since then makes this one fail.

        Raises:
            ValueError: unknown table, not exactly its partition columns, or a value that cannot name a folder.
        """
        return self.stages(name, [partition])[0]

    def stages(self, name: str, partitions: Sequence[Mapping[str, str]]) -> list[Stage]:
        """Begin writing several slices of a table; `commit_together` makes them one version, at the cost of one.

        Raises:
            ValueError: as `stage`.
        """
        described = table(name)
        for partition in partitions:
            slice_name(described, partition)  # refused before anything is made
        self.create()
        return stages_of(self.path(name), described, partitions, self.storage_options)

    def commit(self, stage: Stage, mode: str = "replace", run_id: str = "") -> Written:
        """Commit a staged slice: "replace" it whole, or "extend" it (then orphans of killed steps leave it).

        Raises:
            RacingWriterError: another writer committed the slice since the stage was begun.
            ValueError: to extend a slice that an unfinished step has replaced.
        """
        drop: frozenset[str] = frozenset()
        if mode == "extend":
            delta = open_or_create(stage.root, stage.table, self.storage_options)
            here = {path for path, _ in active_files(delta, stage.root).get(stage.slice, [])}
            named = {f for s in self.slices(stage.table.name, stage.partition) for f in s.files}
            if named - here:
                raise ValueError(
                    f"{stage.slice} of {stage.table.name!r} was replaced by an unfinished step; replace it again"
                )
            drop = frozenset(path[len(stage.root) + 1 :] for path in here - named)
        return commit(stage, mode, {"run_id": run_id}, drop)

    def commit_together(self, stages: Sequence[Stage], run_id: str = "") -> list[Written]:
        """Replace the slices of stages that were begun together, in one version.

        Raises:
            RacingWriterError: another writer committed one of the slices since then.
        """
        return commit_together(stages, {"run_id": run_id})

    def overtaken(self, written: Sequence[Written]) -> list[Written]:
        """Those that somebody has committed again since: finishing them would mix two steps' slices."""
        opened = {name: self._open(name) for name in {w.table for w in written}}
        tables = {name: None if found is None else found.delta for name, found in opened.items()}
        return [w for w in written if _turn(tables[w.table], w) != w.turn]

    def replace(
        self, name: str, partition: Mapping[str, str], rows: pl.LazyFrame | pl.DataFrame, run_id: str = ""
    ) -> Written:
        """Replace one slice by `rows` in one atomic commit. It shows once a ledger row names it (`finish`)."""
        stage = self.stage(name, partition)
        stage.write(rows)
        return self.commit(stage, "replace", run_id)

    def append(self, name: str, rows: pl.DataFrame) -> int:
        """Append to a log table; returns its new version.

        Raises:
            ValueError: the table is written by steps; a column is missing or one too many.
        """
        described = table(name)
        if described.stepped:
            raise ValueError(f"{name!r} is written by steps: use replace() and finish()")
        if set(rows.columns) != set(described.schema.names()):
            raise ValueError(f"rows for {name!r} have columns {rows.columns}; it has {described.schema.names()}")
        self.create()
        # Existing first: the schema and its partitions are the contract's, not those of the first rows.
        delta = open_or_create(self.path(name), described, self.storage_options)
        conformed = rows.select(pl.col(c).cast(t) for c, t in described.schema.items())
        write_deltalake(
            delta,
            conformed.to_arrow(compat_level=pl.CompatLevel.oldest()),
            mode="append",
            commit_properties=CommitProperties(max_commit_retries=MAX_COMMIT_RETRIES),
        )
        if not described.partition_by and _num_small_files(delta) > COMPACT_LOG_AT:
            try:
                delta.optimize.compact(
                    target_size=LOG_FILE_BYTES,
                    max_concurrent_tasks=1,
                    writer_properties=WriterProperties(max_row_group_size=LOG_GROUP_ROWS),
                )
            except CommitFailedError:
                # Another writer compacted meanwhile: the log is whole either way.
                return self.version(name)
        return delta.version()

    def finish(self, row: Mapping[str, object]) -> None:
        """Append a step's ledger row: from now on readers see what it wrote.

        Raises:
            ValueError: a name that the ledger has no column for.
        """
        if unknown := set(row) - set(TIER_LEDGER.schema.names()):
            raise ValueError(f"the ledger has no columns {sorted(unknown)}; it has {TIER_LEDGER.schema.names()}")
        filled = {c: row.get(c) for c in TIER_LEDGER.schema.names()} | {"finished_at": datetime.now(UTC)}
        self.append("tier_ledger", pl.DataFrame([filled], schema=TIER_LEDGER.schema))

    def vacuum(self, name: str) -> list[str]:
        """Delete data files that were removed, or staged and never committed, longer ago than the table's retention.

        Files that a reader sees stay however old: an unfinished step may have removed them. Returns what was deleted.
        """
        opened = self._open(name)
        if opened is None:
            return []
        versions = sorted({s.version for s in self.slices(name)})
        return self._delta_at(name, opened.version).vacuum(dry_run=False, full=True, keep_versions=versions)


def _num_small_files(delta: DeltaTable) -> int:
    sizes = pl.DataFrame(delta.get_add_actions(flatten=True))["size_bytes"]
    return int((sizes < SMALL_LOG_FILE_BYTES).sum())


def _turn(delta: DeltaTable | None, written: Written) -> int:
    """How often the slice has been committed by now; 0 where its table is gone."""
    return 0 if delta is None else commits_of(delta, written.table, written.slice)


def _with_partition(name: str, partition: Mapping[str, str] | None) -> Table:
    described = table(name)
    if unknown := set(partition or {}) - set(described.partition_by):
        raise ValueError(f"{name!r} has no partition columns {sorted(unknown)}; it has {list(described.partition_by)}")
    return described


__all__ = ["TABLES", "Lake", "LakeFormatError", "RacingWriterError", "Slice", "Stage", "Written"]

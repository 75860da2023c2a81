"""The lake: typed Delta tables under one root, read at the versions that the ledger names.

A step writes its slices, then one `tier_ledger` row naming each slice's version (`Lake.finish`). Until then nobody
sees what it wrote: a kill between two commits shows the old state whole. What is read of a slice is that slice's
files at the version its last ledger row names, since a table-wide version also holds other slices' unfinished
commits. Log tables (sources, ledger, replies, telemetry) are read at their latest version.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError
from pyarrow.fs import FileSystem

from resources.delta import RacingWriterError, Stage, Written, commit, commits_of, open_or_create, slice_name
from tier_tables import TABLES, TIER_LEDGER, Table, table

FORMAT_VERSION = 1
SETTINGS = ("smoke", "default")  # how much a run spends: `make demo` makes a lake with smoke settings
COMPACT_LEDGER_AT = 64  # files: each finished step adds one


class LakeFormatError(RuntimeError):
    """The root holds a lake of another format version, or something that is no lake."""


@dataclass(frozen=True)
class Slice:
    """One slice as readers see it: its files, and the Delta version and state they stand at."""

    partition: dict[str, str]
    version: int
    files: tuple[str, ...]
    num_rows: int

    @property
    def state(self) -> str:
        """Fingerprint of the files: file names bear their commit's token, so equal names are equal bytes."""
        return hashlib.blake2b("\n".join(sorted(self.files)).encode(), digest_size=8).hexdigest()


class Lake:
    """A lake at `root`: a folder, or `s3://bucket/prefix` with `storage_options` as object stores name them.

    Raises:
        LakeFormatError: the root was written by another format version.
    """

    def __init__(self, root: str, storage_options: Mapping[str, str] | None = None) -> None:
        self.is_local = "://" not in root
        self.root = str(Path(root).absolute()) if self.is_local else root.rstrip("/")
        self.storage_options = dict(storage_options) if storage_options else None
        self._ledger: tuple[int, pl.DataFrame] | None = None
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
        about = json.loads(marker.read_text())
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
        waiting = Path(self.root, f".lake.json.{os.getpid()}")
        waiting.write_text(json.dumps({"format_version": FORMAT_VERSION, "settings": settings}) + "\n")
        os.replace(waiting, Path(self.root, "lake.json"))
        self.settings = settings

    # --- reading ---------------------------------------------------------------------------------------------

    def path(self, name: str) -> str:
        """Where the Delta table called `name` lies."""
        return f"{self.root}/{table(name).name}"

    def _delta(self, name: str, version: int | None = None) -> DeltaTable | None:
        path = self.path(name)
        if not DeltaTable.is_deltatable(path, self.storage_options):
            return None
        return DeltaTable(path, version=version, storage_options=self.storage_options)

    def version(self, name: str) -> int:
        """Latest Delta version of the table, -1 where it does not exist yet."""
        delta = self._delta(name)
        return -1 if delta is None else delta.version()

    def ledger(self) -> pl.DataFrame:
        """All finished steps, oldest first."""
        delta = self._delta("tier_ledger")
        if delta is None:
            return TIER_LEDGER.empty()
        if self._ledger is None or self._ledger[0] != delta.version():
            files = [path for path, _ in _active_files(delta, self.path("tier_ledger")).get("", [])]
            rows = self._read(TIER_LEDGER, files).sort("finished_at", "step", "corpus").collect()
            self._ledger = (delta.version(), rows)
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
        described = table(name)
        unknown = set(partition or {}) - set(described.partition_by)
        if unknown:
            raise ValueError(
                f"{name!r} has no partition columns {sorted(unknown)}; it has {list(described.partition_by)}"
            )
        delta = self._delta(name)
        if delta is None:
            return []
        active = _active_files(delta, self.path(name))
        if not described.stepped:
            found = [_as_slice(folder, delta.version(), files) for folder, files in sorted(active.items())]
        else:
            found = self._named_slices(name, active)
        wanted = (partition or {}).items()
        return [s for s in found if all(s.partition.get(c) == v for c, v in wanted)]

    def _named_slices(self, name: str, active: dict[str, list[tuple[str, int]]]) -> list[Slice]:
        """Slices at the versions that the ledger names; the latest version serves where it shows the same."""
        named: dict[str, dict[int, str]] = {}
        for written in self._outputs(name):
            named.setdefault(written["slice"], {})[written["version"]] = written["token"]
        found = []
        for folder, versions in sorted(named.items()):
            last = max(versions)
            files = active.get(folder, [])
            tokens = {path.rsplit("/", 1)[-1].split("-")[0] for path, _ in files}
            if not (versions[last] in tokens and tokens <= set(versions.values())):
                # Someone committed this slice and did not finish, or the slice is empty: look at the version itself.
                at = self._delta(name, last)
                files = _active_files(at, self.path(name)).get(folder, []) if at is not None else []
            found.append(_as_slice(folder, last, files))
        return found

    def _outputs(self, name: str) -> list[dict]:
        outputs = self.ledger().select(pl.col("output_versions").explode().drop_nulls()).to_series()
        return [o for o in outputs.to_list() if o is not None and o["table"] == name]

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
        """
        described = table(name)
        if version is not None:
            delta = self._delta(name, version)
            folders = {} if delta is None else _active_files(delta, self.path(name))
            slices = [_as_slice(folder, version, files) for folder, files in sorted(folders.items())]
            slices = [s for s in slices if all(s.partition.get(c) == v for c, v in (partition or {}).items())]
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
        """The rows in stable order, at most `rows` at a time: memory holds one row group and one batch."""
        described = table(name)
        wanted = list(columns) if columns is not None else described.schema.names()
        inside = [c for c in wanted if c not in described.partition_by]
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
        described, folder = table(name), slice_name(table(name), partition)
        self.create()
        delta = open_or_create(self.path(name), described, self.storage_options)
        return Stage(self.path(name), described, dict(partition), commits_of(delta, name, folder), self.storage_options)

    def commit(self, stage: Stage, mode: str = "replace", run_id: str = "") -> Written:
        """Commit a staged slice: "replace" it whole, or "extend" it (then orphans of killed steps leave it).

        Raises:
            RacingWriterError: another writer committed the slice since the stage was begun.
        """
        drop: frozenset[str] = frozenset()
        if mode == "extend":
            delta = open_or_create(stage.root, stage.table, self.storage_options)
            here = {path for path, _ in _active_files(delta, stage.root).get(stage.slice, [])}
            named = {f for s in self.slices(stage.table.name, stage.partition) for f in s.files}
            drop = frozenset(path[len(stage.root) + 1 :] for path in here - named)
        return commit(stage, mode, {"run_id": run_id}, drop)

    def is_last(self, written: Written) -> bool:
        """Whether nobody has committed the slice since: else finishing it would mix two steps' slices."""
        delta = self._delta(written.table)
        return delta is not None and commits_of(delta, written.table, written.slice) == written.turn

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
            ValueError: the table is written by steps.
        """
        described = table(name)
        if described.stepped:
            raise ValueError(f"{name!r} is written by steps: use replace() and finish()")
        self.create()
        # Existing first: the schema and its partitions are the contract's, not those of the first rows.
        delta = open_or_create(self.path(name), described, self.storage_options)
        conformed = rows.select(pl.col(c).cast(t) for c, t in described.schema.items())
        write_deltalake(
            delta,
            conformed.to_arrow(compat_level=pl.CompatLevel.oldest()),
            mode="append",
            commit_properties=CommitProperties(max_commit_retries=100),
        )
        return self.version(name)

    def finish(self, row: Mapping[str, object]) -> None:
        """Append a step's ledger row: from now on readers see what it wrote."""
        filled = {c: row.get(c) for c in TIER_LEDGER.schema.names()} | {"finished_at": datetime.now(UTC)}
        self.append("tier_ledger", pl.DataFrame([filled], schema=TIER_LEDGER.schema))
        delta = self._delta("tier_ledger")
        if delta is not None and len(delta.file_uris()) > COMPACT_LEDGER_AT:
            try:
                delta.optimize.compact()
            except CommitFailedError:
                # Another step appended meanwhile: the ledger is whole, and the next step compacts.
                return


def _active_files(delta: DeltaTable, root: str) -> dict[str, list[tuple[str, int]]]:
    """Folder -> [(absolute path, rows)] of a version's files; "" is the folder of an unpartitioned table."""
    actions = pl.DataFrame(delta.get_add_actions(flatten=True))
    folders: dict[str, list[tuple[str, int]]] = {}
    for path, rows in sorted(zip(actions["path"].to_list(), actions["num_records"].to_list())):
        folder = path.rsplit("/", 1)[0] if "/" in path else ""
        folders.setdefault(folder, []).append((f"{root}/{path}", rows or 0))
    return folders


def _as_slice(folder: str, version: int, files: list[tuple[str, int]]) -> Slice:
    partition = dict(part.split("=", 1) for part in folder.split("/")) if folder else {}
    return Slice(partition, version, tuple(path for path, _ in files), sum(rows for _, rows in files))


__all__ = ["TABLES", "Lake", "LakeFormatError", "RacingWriterError", "Slice", "Stage", "Written"]

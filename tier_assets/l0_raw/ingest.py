"""Ingest: files become sources of the lake. `lake ingest` and the landing sensor share this one registration.

One at a time holds the lake's ingest lock, so that no file is registered twice; the sensor passes when it is taken.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from resources.lake import Lake
from tier_assets.l0_raw.register import check_name, find_files, register
from tier_tables import SOURCES

# A file in the landing folder is taken once nobody has written to it for so long: it may still be arriving.
SETTLED_S = 5.0


@dataclass(frozen=True)
class Landed:
    """New sources by partition key, and what was left alone in the landing folder, with the reason."""

    added: dict[str, int]
    refused: list[tuple[str, str]]


def landing_folder(lake: Lake) -> Path:
    """Where files arrive: `<lake>/landing/<corpus>/<snapshot>/`.

    Raises:
        ValueError: the lake is not on a local disk.
    """
    if not lake.is_local:
        raise ValueError(f"the lake {lake.root!r} has no landing folder; files are ingested into a local lake")
    return Path(lake.root, "landing")


def ingest(
    lake: Lake, path: Path, *, corpus: str, snapshot: str, licence: str | None, format: str, link: bool
) -> pl.DataFrame:
    """Register the files at `path` that are not known yet; returns their rows of `sources`.

    Raises:
        ValueError: a name or a format is not allowed; the message tells the rule or the known ones.
        FileNotFoundError: there is nothing at `path`.
    """
    check_name("corpus", corpus)
    check_name("snapshot", snapshot)
    lake.create()
    with _lock(lake, wait=True):
        known = lake.scan("sources", {"corpus": corpus, "snapshot": snapshot}).collect()
        rows = register(
            path, corpus=corpus, snapshot=snapshot, licence=licence, format=format, link=link,
            landing=landing_folder(lake), registered=known,
        )  # fmt: skip
        return _add(lake, rows)


def register_landing(lake: Lake) -> Landed:
    """Register what arrived in the landing folder since it was last looked at."""
    base = landing_folder(lake)
    added: dict[str, int] = {}
    refused: list[tuple[str, str]] = []
    if not base.is_dir():
        return Landed(added, refused)
    with _lock(lake, wait=False) as held:
        if not held:
            return Landed(added, refused)
        for folder in sorted(base.glob("*/*/")):
            corpus, snapshot = folder.parent.name, folder.name
            try:
                count = _register_folder(lake, folder, corpus, snapshot)
            except ValueError as error:
                refused.append((f"{corpus}/{snapshot}", str(error)))
                continue
            if count:
                added[f"{corpus}@{snapshot}"] = count
    return Landed(added, refused + list(_stray(base)))


def _stray(base: Path) -> Iterator[tuple[str, str]]:
    """Files that lie above a snapshot's folder: they belong to no partition."""
    for file in sorted(file for glob in ("*", "*/*") for file in base.glob(glob) if file.is_file()):
        name = file.relative_to(base)
        if not any(part.startswith(".") for part in name.parts):
            where = f"landing/{name.parent / '<snapshot>' if len(name.parts) == 2 else '<corpus>/<snapshot>'}/"
            yield name.as_posix(), f"a file here is in no corpus and snapshot; move it to {where}"


def _register_folder(lake: Lake, folder: Path, corpus: str, snapshot: str) -> int:
    check_name("corpus", corpus)
    check_name("snapshot", snapshot)
    known = lake.scan("sources", {"corpus": corpus, "snapshot": snapshot}).collect()
    last = known.sort("registered_at").unique("uri", keep="last")
    seen = {uri: (size, at) for uri, size, at in last.select("uri", "num_bytes", "registered_at").iter_rows()}
    count = 0
    for found in find_files(folder):
        about = found.path.stat()
        written = datetime.fromtimestamp(about.st_mtime, UTC)
        if (datetime.now(UTC) - written).total_seconds() < SETTLED_S:
            continue
        size, registered_at = seen.get(found.uri, (-1, written))
        if size == about.st_size and written <= registered_at:
            continue  # unchanged since it was registered: not read again
        rows = register(
            found.path, corpus=corpus, snapshot=snapshot, licence=None, format="auto", link=False,
            landing=folder.parent.parent, registered=known,
        )  # fmt: skip
        count += len(_add(lake, rows))
    return count


def _add(lake: Lake, rows: pl.DataFrame) -> pl.DataFrame:
    """Append to `sources`; paths below the root are kept relative to it, so that a lake can be moved."""
    if rows.is_empty():
        return SOURCES.empty()
    below = lake.root + os.sep
    rows = rows.with_columns(pl.col("path").str.strip_prefix(below))
    lake.append("sources", rows)
    return rows


@contextmanager
def _lock(lake: Lake, wait: bool) -> Iterator[bool]:
    with open(Path(lake.root, ".ingest.lock"), "w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True

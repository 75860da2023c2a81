"""Registration: files become rows of `sources`, by `lake ingest` and by the landing sensor alike.

In: a file or folder, and what is already registered. Out: rows for what is new; files are copied below the landing
folder by temporary name and rename, so that no reader sees half a file. Cost: each file read once, twice if copied.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

import polars as pl

from tier_assets.l0_raw.readers import detect_format, reader_of
from tier_assets.l0_raw.streams import CHUNK_BYTES
from tier_tables import SOURCES

NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """A file below the searched folder: `uri` is its path relative to it, with `/`."""

    uri: str
    path: Path


def check_name(kind: str, name: str) -> None:
    """Checks the name of a corpus or snapshot (`kind`), which is a folder's name and half a partition key.

    Raises:
        ValueError: the name is not allowed; the message tells the rule.
    """
    if not NAME.fullmatch(name):
        rule = "1 to 63 of a-z 0-9 _ . -, the first a letter or digit"
        raise ValueError(f"{kind} {name!r} is no valid name; a name is {rule}")


def find_files(path: Path) -> Iterator[Found]:
    """The files below a folder, or the file itself, sorted by name, folder by folder.

    Hidden files and folders are passed over. Symbolic links below the folder are not followed: those within lead to
    files found anyway, those without leave it, and circles go nowhere. How many were passed over is logged.

    Raises:
        FileNotFoundError: there is nothing at `path`.
    """
    if not path.exists():
        raise FileNotFoundError(f"no file or folder {str(path)!r}")
    if not path.is_dir():
        yield Found(_storable(path.name), path)
        return
    passed_over = 0
    for folder, folders, files in os.walk(path, onerror=_log_unreadable):
        passed_over += sum(os.path.islink(os.path.join(folder, name)) for name in folders)  # os.walk enters none
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            file = Path(folder, name)
            if name.startswith(".") or not stat.S_ISREG(file.lstat().st_mode):
                passed_over += 1
            else:
                yield Found(_storable(file.relative_to(path).as_posix()), file)
    if passed_over:
        log.warning("%s: passed over %d hidden files, links and special files", path, passed_over)


def _log_unreadable(error: OSError) -> None:
    log.warning("folder not readable: %s", error)


def register(
    path: Path,
    *,
    corpus: str,
    snapshot: str,
    licence: str | None,
    format: str,
    link: bool,
    landing: Path,
    registered: pl.DataFrame,
) -> pl.DataFrame:
    """Rows of SOURCES for the files at `path` that `registered` lacks.

    `format` names a reader, or is `auto`. A file is copied to `<landing>/<corpus>/<snapshot>/<uri>` unless `link`, or
    unless it lies there; its uri is its path below `path`, or below that folder. Known is what has the same corpus,
    snapshot, uri and sha256.

    Raises:
        ValueError: a name or a format is not allowed; the message tells the rule or the known ones.
        FileNotFoundError: there is nothing at `path`.
    """
    check_name("corpus", corpus)
    check_name("snapshot", snapshot)
    if format != "auto":
        reader_of(format)
    path, base = Path(os.path.abspath(path)), Path(os.path.abspath(landing)) / corpus / snapshot
    known = set(registered.filter(corpus=corpus, snapshot=snapshot)["source_id"])
    landed = path.is_relative_to(base)
    rows = []
    for found in find_files(path):
        uri = _storable(found.path.relative_to(base).as_posix()) if landed else found.uri
        sha256 = _sha256(found.path)
        if source_id(corpus, snapshot, uri, sha256) in known:
            continue
        stored = found.path
        if not (link or landed):
            stored = base / uri
            sha256 = copy(found.path, stored)
        known.add(source_id(corpus, snapshot, uri, sha256))
        rows.append(
            {
                "source_id": source_id(corpus, snapshot, uri, sha256),
                "corpus": corpus,
                "snapshot": snapshot,
                "uri": uri,
                "path": _storable(str(stored)),
                "num_bytes": stored.stat().st_size,
                "sha256": sha256,
                "format": detect_format(stored) if format == "auto" else format,
                "licence": licence,
                "registered_at": datetime.now(UTC),
            }
        )
    return pl.DataFrame(rows, schema=SOURCES.schema)


def source_id(corpus: str, snapshot: str, uri: str, sha256: str) -> str:
    """The id of one version of a file: 32 hexadecimal digits."""
    place = "\0".join((corpus, snapshot, sha256, uri))
    return hashlib.blake2b(place.encode(), digest_size=16).hexdigest()


def copy(source: Path, target: Path) -> str:
    """Copies a file by a temporary, hidden name and a rename; returns the sha256 of what was copied."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{hashlib.sha256(target.name.encode()).hexdigest()[:16]}.{os.getpid()}.tmp")
    try:
        with source.open("rb") as reading, temporary.open("wb") as writing:
            digest = _copied(reading, writing)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return digest


def _copied(reading: BinaryIO, writing: BinaryIO) -> str:
    digest = hashlib.sha256()
    while data := reading.read(CHUNK_BYTES):
        digest.update(data)
        writing.write(data)
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _storable(name: str) -> str:
    """A file name that a text column can hold: bytes that are no UTF-8 become `\\xNN`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")

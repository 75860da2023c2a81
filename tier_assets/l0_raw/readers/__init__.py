"""Readers, one a format: `READERS` in the order in which a file's format is looked for.

In: a file. Out: its entries, in order, streamed; memory is a few records of at most `RECORD_LIMIT` bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tier_assets.l0_raw.readers import (
    arc,
    code,
    compressed,
    csv_file,
    dictd,
    epub,
    git_bundle,
    html,
    json_file,
    jsonl,
    mail,
    mbox,
    other,
    parquet,
    pdf,
    tar,
    text,
    warc,
    xml,
    zip_file,
)
from tier_assets.l0_raw.readers.nested import read_nested
from tier_assets.l0_raw.readers.reader import Head, Reader
from tier_assets.l0_raw.records import WHOLE_FILE, BadRecord, Entry
from tier_assets.l0_raw.streams import COMPRESSIONS, HEAD_BYTES, compression_of, head

READERS: Final = (
    parquet.READER,
    warc.READER,
    arc.READER,
    epub.READER,
    zip_file.READER,
    tar.READER,
    git_bundle.READER,
    pdf.READER,
    compressed.READER,
    mbox.READER,
    mail.READER,
    html.READER,
    xml.READER,
    jsonl.READER,
    json_file.READER,
    dictd.READER,
    code.READER,
    csv_file.READER,
    text.READER,
    other.READER,
)
FORMATS: Final = tuple(reader.name for reader in READERS if reader is not other.READER)


def reader_of(format: str) -> Reader:
    """The reader of a format, `name` or `name:option` (`xml:PubmedArticle`).

    Raises:
        ValueError: no such format; the message lists the known ones.
    """
    name, _, option = format.partition(":")
    for reader in READERS:
        if reader.name == name and not option:
            return reader
        if reader.name == name and reader.named:
            return reader.named(option)
    raise ValueError(f"unknown format {format!r}; known: auto, {', '.join(sorted(FORMATS))}")


def detect_format(path: Path, name: str | None = None) -> str:
    """The format of a file by its first bytes; its name (`name`, else its path's) decides only where they leave a
    choice.

    A file that no reader reads is `other`, an empty one too: its entry is a verdict.
    """
    data = head(path)
    name = (name or path.name).lower()
    for compression in COMPRESSIONS:
        name = name.removesuffix(compression.suffix)
    if not data:
        return other.READER.name
    seen = Head(name, data, complete=len(data) < HEAD_BYTES)
    found = next(reader for reader in READERS if reader.matches(seen))
    if found.seeks and _is_compressed(path):
        found = compressed.READER
    return found.name


def _is_compressed(path: Path) -> bool:
    with path.open("rb") as file:
        return compression_of(file.read(8)) is not None


def read_source(path: Path, format: str, uri: str) -> Iterator[Entry]:
    """The entries of one file, in order. A file that is missing, empty or unreadable is one bad record.

    Raises:
        ValueError: unknown format.
    """
    reader = reader_of(detect_format(path) if format == "auto" else format)
    return _read(reader, path, uri)


def place_of(format: str) -> str:
    """What `byte_offset` counts in files of a format, for people: `byte of the file as stored`, `row`, ..."""
    return reader_of(format).place


def _read(reader: Reader, path: Path, uri: str) -> Iterator[Entry]:
    try:
        if path.stat().st_size == 0:
            yield BadRecord(uri, WHOLE_FILE, "empty_file", "0 bytes")
        else:
            yield from read_nested(reader, path, uri, _reader_of_member)
    except FileNotFoundError:
        yield BadRecord(uri, WHOLE_FILE, "source_missing", str(path))
    except OSError as error:
        yield BadRecord(uri, WHOLE_FILE, "source_unreadable", f"{error.strerror or error}: {path}")


def _reader_of_member(path: Path, name: str) -> Reader:
    return reader_of(detect_format(path, name))

"""Readers, one a format: `READERS` in the order in which a file's format is looked for.

In: a file. Out: its entries, in order, streamed; memory is a few records of at most `RECORD_LIMIT` bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tier_assets.l0_raw.readers import html, json_file, jsonl, mail, mbox, other, parquet, text, warc
from tier_assets.l0_raw.readers.reader import Head, Reader
from tier_assets.l0_raw.records import WHOLE_FILE, BadRecord, Entry
from tier_assets.l0_raw.streams import COMPRESSIONS, HEAD_BYTES, head

READERS: Final = (
    parquet.READER,
    warc.READER,
    mbox.READER,
    mail.READER,
    html.READER,
    jsonl.READER,
    json_file.READER,
    text.READER,
    other.READER,
)
FORMATS: Final = tuple(reader.name for reader in READERS if reader is not other.READER)


def reader_of(format: str) -> Reader:
    """The reader of a format.

    Raises:
        ValueError: no such format; the message lists the known ones.
    """
    for reader in READERS:
        if reader.name == format:
            return reader
    raise ValueError(f"unknown format {format!r}; known: auto, {', '.join(sorted(FORMATS))}")


def detect_format(path: Path) -> str:
    """The format of a file by its first bytes; its name decides only where they leave a choice.

    A file that no reader reads is `other`, an empty one too: its entry is a verdict.
    """
    data = head(path)
    name = path.name.lower()
    for compression in COMPRESSIONS:
        name = name.removesuffix(compression.suffix)
    if not data:
        return other.READER.name
    seen = Head(name, data, complete=len(data) < HEAD_BYTES)
    return next(reader.name for reader in READERS if reader.matches(seen))


def read_source(path: Path, format: str, uri: str) -> Iterator[Entry]:
    """The entries of one file, in order. A file that is missing, empty or unreadable is one bad record.

    Raises:
        ValueError: unknown format.
    """
    reader = reader_of(detect_format(path) if format == "auto" else format)
    return _read(reader, path, uri)


def _read(reader: Reader, path: Path, uri: str) -> Iterator[Entry]:
    try:
        if path.stat().st_size == 0:
            yield BadRecord(uri, WHOLE_FILE, "empty_file", "0 bytes")
        else:
            yield from reader.read(path, uri)
    except FileNotFoundError:
        yield BadRecord(uri, WHOLE_FILE, "source_missing", str(path))
    except OSError as error:
        yield BadRecord(uri, WHOLE_FILE, "source_unreadable", f"{error.strerror or error}: {path}")

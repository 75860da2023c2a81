"""What a reader yields: records, bad records and skipped ones, and how a record gets its document id.

A reader turns one file into a stream of `Entry`: a `Record` becomes a row of `l0_raw`, a `BadRecord` a verdict,
a `Skipped` only a count (a WARC request, say). A reader of archives also yields `Member`, a file that is read in turn.
Readers never raise for bad input.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

# 64 MiB: the largest page seen in crawls is a tenth of it; memory of a run is bounded by a few of these.
RECORD_LIMIT: Final = 64 * 1024 * 1024
# The offset of a verdict on a whole file, so that it never shares a doc_id with the record at byte 0.
WHOLE_FILE: Final = -1
NO_BYTES_SHA256: Final = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class Record:
    """One record: `byte_offset` as in the column of `l0_raw`, `raw` the payload without transport headers.

    `licence` is what the file says of itself; what was named at ingest goes before it.
    """

    uri: str
    content_type: str | None
    raw: bytes
    byte_offset: int
    fetched_at: datetime | None = None
    licence: str | None = None


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record that cannot be kept: why (`reason`), the value that decided (`detail`), and what its id is minted from.

    `raw_sha256` is of the record's bytes as far as they could be read.
    """

    uri: str
    byte_offset: int
    reason: str
    detail: str
    raw_sha256: str = NO_BYTES_SHA256


@dataclass(frozen=True, slots=True)
class Skipped:
    """A record that is no document by its kind: `request`, `metadata`, `warcinfo`, `revisit`, `blank_line`, ..."""

    kind: str


Entry = Record | BadRecord | Skipped


@dataclass(frozen=True, slots=True)
class Member:
    """A file within an archive: `chunks` are its bytes, to be taken before the next entry is asked for.

    `name` is its name in the archive, `byte_offset` where its header starts there; with None the offsets within the
    member stand. `chunks` raises `streams.DamagedStream` where the member does not decode.
    """

    uri: str
    name: str
    byte_offset: int | None
    chunks: Iterator[bytes]
    licence: str | None = None


def mint_doc_id(corpus: str, snapshot: str, uri: str, byte_offset: int, raw_sha256: str) -> str:
    """The id of a document: 32 hexadecimal digits, a function of its place and its bytes.

    >>> mint_doc_id("news", "2024-05", "a.html", 0, NO_BYTES_SHA256)
    '35b8080f97c81270dae619fc039e9c34'
    """
    # NUL cannot occur in the first four parts, so no two places share a string.
    place = "\0".join((corpus, snapshot, str(byte_offset), raw_sha256, uri))
    return hashlib.blake2b(place.encode("utf-8", "backslashreplace"), digest_size=16).hexdigest()


def too_large(uri: str, byte_offset: int, num_bytes: int, raw_sha256: str = NO_BYTES_SHA256) -> BadRecord:
    """The verdict on a record of `num_bytes` bytes, more than `RECORD_LIMIT`."""
    return BadRecord(
        uri, byte_offset, "record_too_large", f"{num_bytes:,} bytes; the limit is {RECORD_LIMIT:,}", raw_sha256
    )

"""ARC, the archive before WARC (1996 to 2008): every response is a record, plain or with a gzip member a record.

`raw` is the payload without HTTP headers; `byte_offset` is of the record in the file as stored: where its gzip member
starts. After damage the rest of the file is one verdict.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tier_assets.l0_raw.readers.reader import Head, Reader
from tier_assets.l0_raw.readers.warc import payload
from tier_assets.l0_raw.records import RECORD_LIMIT, BadRecord, Entry, Record, Skipped, too_large
from tier_assets.l0_raw.streams import CHUNK_BYTES

if TYPE_CHECKING:
    from warcio.recordloader import ArcWarcRecord

MARK: Final = b"filedesc://"
LINE_LIMIT: Final = 64 * 1024  # of a record's header line; its longest part is a URL


def matches(head: Head) -> bool:
    """ARC's first record, which describes the file."""
    return head.data.startswith(MARK)


def read(path: Path, uri: str) -> Iterator[Entry]:
    """The responses, named by their URL, in the order of the file."""
    from warcio.archiveiterator import ARCIterator
    from warcio.bufferedreaders import DecompressingBufferedReader
    from warcio.exceptions import ArchiveLoadFailed

    class Lines(DecompressingBufferedReader):
        """warcio's reader with lines of bounded length: a gzip member may be one line without end."""

        def readline(self, length: int | None = None) -> bytes:
            return super().readline(length or LINE_LIMIT)

    position, met = 0, False
    with path.open("rb") as file:
        archive = ARCIterator(file, no_record_parse=True)
        archive.reader = Lines(file)
        archive.INC_RECORD = ""  # what it prints of wrong lengths is a verdict here
        try:
            for record in archive:
                position, met = archive.offset, True
                yield _entry(record, position, uri)
            if archive.err_count:
                yield BadRecord(f"{uri}#{position}", position, "damaged", f"{archive.err_count} lengths are wrong")
        except (ArchiveLoadFailed, zlib.error, ValueError, TypeError, EOFError) as error:
            detail = f"after this record, the rest is not read: {error}"
            yield BadRecord(f"{uri}#{position}", position, "damaged", " ".join(detail.split())[:500])
            return
    if not met:
        yield BadRecord(f"{uri}#0", 0, "damaged", "holds no ARC record")


def _entry(record: ArcWarcRecord, position: int, file_uri: str) -> Entry:
    """One record as an entry; its body is read here, while the stream stands at it."""
    if record.rec_type == "arc_header":
        return Skipped("arc_header")
    headers = record.rec_headers
    uri = headers.get_header("uri") or f"{file_uri}#{position}"
    length = headers.get_header("length") or ""
    if not length.isdecimal():
        return BadRecord(uri, position, "damaged", f"a length of {length!r}"[:200])
    if int(length) > RECORD_LIMIT:
        return too_large(uri, position, int(length))
    block = b"".join(iter(lambda: record.raw_stream.read(CHUNK_BYTES), b""))
    if len(block) < int(length):
        return BadRecord(uri, position, "truncated", f"{len(block):,} of {int(length):,} bytes")
    content_type, raw = payload(block)
    if not block.startswith(b"HTTP/"):
        content_type = headers.get_header("content-type")
    if len(raw) > RECORD_LIMIT:
        return too_large(uri, position, len(raw))
    return Record(uri, content_type, raw, position, _time(headers.get_header("archive-date")))


def _time(stamp: str | None) -> datetime | None:
    """The time of an ARC stamp, `20080430204825`, in UTC."""
    try:
        return datetime.strptime(stamp or "", "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None


READER = Reader("arc", matches, read, place="byte of the file as stored")

"""WARC, plain or with a gzip or Zstandard member a record: every response, resource and conversion (WET) record is one.

`raw` is the payload: the block without HTTP headers, chunked transfer and content encoding undone where they decode.
`byte_offset` is of the record in the file as stored: where its compressed member starts. Records of other kinds
(request, metadata, warcinfo, revisit, ...) are counted. After damage, reading goes on at the next member or record.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import zstandard
from fastwarc.stream_io import BrotliReader, ChunkedReader
from fastwarc.warc import ArchiveIterator, HeaderMap, WarcRecord, WarcRecordType

from tier_assets.l0_raw.readers.reader import Head, Reader
from tier_assets.l0_raw.records import RECORD_LIMIT, BadRecord, Entry, Record, Skipped, too_large
from tier_assets.l0_raw.streams import CHUNK_BYTES, DECODE_ERRORS, compression_of

MARK: Final = b"WARC/"
DOCUMENTS: Final = WarcRecordType.response | WarcRecordType.resource | WarcRecordType.conversion
# An HTTP header of more is a body that was mistaken for one.
HEADER_LIMIT: Final = 64 * 1024
# A file with more is hostile or lost; each resumption reads on from a new place, so their number bounds the time.
DAMAGE_LIMIT: Final = 1000
# A record's header is some 500 bytes, half of it compressed; Zstandard decodes nothing before a block of 128 KiB ends.
MEMBER_HEAD_BYTES: Final = 1024
MEMBER_HEAD_LIMIT: Final = 132 * 1024
END_OF_HEADER: Final = re.compile(rb"\r?\n\r?\n")


def matches(head: Head) -> bool:
    """WARC's version line at the start of the (decompressed) file."""
    return head.data.startswith(MARK)


def read(path: Path, uri: str) -> Iterator[Entry]:
    """The response, resource and conversion records, named by their target URI, in the order of the file."""
    with path.open("rb") as file:
        compression = compression_of(file.read(8))
        walk = _Walk(file, compression.magic if compression else MARK, uri)
        for _ in range(DAMAGE_LIMIT):
            yield from walk.entries()
            if walk.error is None:
                break
            walk.resume()
        else:
            rest = f"more than {DAMAGE_LIMIT:,} damaged places; the rest of the file is not read"
            yield _lost(uri, walk.position, "damaged", rest)
            return
        if not walk.any_met:
            yield _lost(uri, 0, "damaged", "holds no WARC record")
        elif not walk.last_is_bad and not _member_ends(file, walk.position):
            yield _lost(uri, walk.position, "truncated", "the compressed file ends early, after or in this record")


def _lost(uri: str, position: int, reason: str, detail: str) -> BadRecord:
    return BadRecord(f"{uri}#{position}", position, reason, detail)


class _Walk:
    """A way through a WARC that goes on after damage.

    `position` is where the last record met begins, `error` what broke the last stretch, None at the file's end.
    """

    def __init__(self, file: BinaryIO, magic: bytes, uri: str) -> None:
        self.file = file
        self.magic = magic
        self.uri = uri
        self.position = 0
        self.start: int | None = 0
        self.error: str | None = None
        self.any_met = False
        self.last_is_bad = False
        self.unread: BadRecord | None = None  # what follows a good record and may be no record

    def entries(self) -> Iterator[Entry]:
        """The entries from `start` on until the file's end or the next damage; the verdict on what lies before."""
        self.error, met = None, False
        if self.start is not None:
            self.file.seek(self.start)
            try:
                # HTTP is parsed later: fastwarc's decoding reads into the next record where a body lies about itself.
                for record in ArchiveIterator(self.file, parse_http=False):
                    self.position = self._start_of(record)
                    entry = _entry(record, self.position, self.uri)
                    yield from self._settle()
                    met = self.any_met = True
                    self.last_is_bad = isinstance(entry, BadRecord)
                    yield entry
            except OSError as error:
                self.error = str(error)
        if self.error is None:
            yield from self._settle()
        elif met:
            detail = f"the bytes after this record are no record: {self.error}"
            self.unread = _lost(self.uri, self.position, "damaged", detail)
        else:
            # The stretch began at a record's mark and gave nothing: that record is the damage, not bytes before it.
            self.unread, self.last_is_bad, self.any_met = None, True, True
            yield _lost(self.uri, self.position, "damaged", self.error)

    def resume(self) -> None:
        """Sets `start` to the next place after the damage where a record begins."""
        self.start = _next_start(self.file, self.position + 1, self.magic)
        if self.start is not None:
            self.position = self.start

    def _settle(self) -> Iterator[BadRecord]:
        if self.unread is not None:
            yield self.unread
            self.unread, self.last_is_bad = None, True

    def _start_of(self, record: WarcRecord) -> int:
        """Where the record, or the compressed member that holds it, starts.

        Where a member holds several records, fastwarc names for all but the first the place where the next member
        starts: so the header found there must be this record's, else the member is still the last one.
        """
        place = record.stream_pos
        if self.magic == MARK or place == self.position:
            return place
        there = _member_head(self.file, place, self.magic)
        return place if there and all(value in there for _, value in record.headers.items_bytes()) else self.position


def _entry(record: WarcRecord, position: int, file_uri: str) -> Entry:
    """One WARC record as an entry; its body is read here, while the stream stands at it."""
    if not (record.headers.get("Content-Length") or "").strip().isdigit():
        return _lost(file_uri, position, "truncated", "ends within the record's header")
    if not record.record_type & DOCUMENTS:
        return _skipped(record, position, file_uri)
    uri = _target(record) or f"{file_uri}#{position}"
    if record.content_length > RECORD_LIMIT:
        return too_large(uri, position, record.content_length)
    block = record.reader.read(record.content_length)
    if len(block) < record.content_length:
        detail = f"{len(block):,} of {record.content_length:,} bytes"
        return BadRecord(uri, position, "truncated", detail, hashlib.sha256(block).hexdigest())
    content_type, raw = record.headers.get("Content-Type"), block
    if (content_type or "").startswith("application/http") or block.startswith(b"HTTP/"):
        content_type, raw = payload(block)
    if len(raw) > RECORD_LIMIT:
        return too_large(uri, position, len(raw))
    return Record(uri, content_type, raw, position, record.record_date)


def _skipped(record: WarcRecord, position: int, file_uri: str) -> Skipped | BadRecord:
    """A record that is no document: counted if it is whole, since a cut one says that records after it are lost."""
    found = record.reader.consume()
    if found < record.content_length:
        return _lost(file_uri, position, "truncated", f"{found:,} of {record.content_length:,} bytes")
    if str(record.record_type) == "unknown":  # the header is missing, or names none of the standard's types
        declared = record.headers.get("WARC-Type")
        return _lost(file_uri, position, "unknown_record_type", f"WARC-Type {declared!r}"[:200])
    return Skipped(str(record.record_type))


def _target(record: WarcRecord) -> str | None:
    """The target URI; WARC 1.0 wrote it in angle brackets."""
    target = record.headers.get("WARC-Target-URI")
    return target.strip().removeprefix("<").removesuffix(">") if target else None


def payload(block: bytes) -> tuple[str | None, bytes]:
    """Media type and body of an HTTP response; a block that is no HTTP is its own body.

    Transfer and content encoding are undone, up to one byte more than `RECORD_LIMIT`; a body that does not decode
    stays as it is.
    """
    end = END_OF_HEADER.search(block, 0, HEADER_LIMIT)
    if not block.startswith(b"HTTP/") or end is None:
        return None, block
    headers = HeaderMap()
    headers.parse(io.BytesIO(block[: end.end()]), has_status_line=True)
    body = block[end.end() :]
    for name in ("Transfer-Encoding", "Content-Encoding"):
        for coding in reversed((headers.get(name) or "").lower().split(",")):
            body = _decoded(body, coding.strip())
    return _media_type(headers.get("Content-Type")), body


def _media_type(declared: str | None) -> str | None:
    """A media type in lower case with its charset, which L1 needs, and no other parameter."""
    kind, *parameters = [part.strip().lower() for part in (declared or "").split(";")]
    charset = [p for p in parameters if p.startswith("charset=") and len(p) < 40]
    return "; ".join([kind, *charset[:1]]) if kind else None


def _decoded(body: bytes, coding: str) -> bytes:
    limit = RECORD_LIMIT + 1
    try:
        match coding:
            case "chunked":
                return ChunkedReader(io.BytesIO(body)).read(limit)
            case "gzip" | "x-gzip":
                return zlib.decompressobj(31).decompress(body, limit)
            case "deflate":  # by the standard zlib's; some servers send it bare
                return zlib.decompressobj(15 if body[:1] == b"\x78" else -15).decompress(body, limit)
            case "br":
                return BrotliReader(io.BytesIO(body)).read(limit)
            case "zstd":
                return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(body)).read(limit)
            case _:
                return body
    except (OSError, zlib.error, zstandard.ZstdError):
        return body


def _next_start(file: BinaryIO, position: int, magic: bytes) -> int | None:
    """The next offset from `position` on where a record starts: a compressed member, or `WARC/` on a new line."""
    file.seek(position)
    overlap = b""
    while data := file.read(CHUNK_BYTES):
        window = overlap + data
        base = position - len(overlap)
        found = window.find(magic)
        while found >= 0:
            if _begins_record(file, base + found, magic):
                return base + found
            found = window.find(magic, found + 1)
        position += len(data)
        overlap = window[-len(magic) + 1 :]
        file.seek(position)
    return None


def _begins_record(file: BinaryIO, position: int, magic: bytes) -> bool:
    if magic == MARK:
        return position == 0 or os.pread(file.fileno(), 1, position - 1) == b"\n"
    return _member_head(file, position, magic).startswith(MARK)


def _member_head(file: BinaryIO, position: int, magic: bytes) -> bytes:
    """The first bytes of the compressed member at `position`, with the header of its first record; nothing where no
    member starts or it does not decode."""
    head, decoder = b"", None
    for place in range(position, position + MEMBER_HEAD_LIMIT, MEMBER_HEAD_BYTES):
        data = os.pread(file.fileno(), MEMBER_HEAD_BYTES, place)
        if decoder is None:
            compression = compression_of(data)
            if compression is None or compression.magic != magic:
                return b""
            decoder = compression.decoder()
        try:
            head += decoder.decompress(data)
        except DECODE_ERRORS:
            return b""
        if not data or decoder.eof or b"\r\n\r\n" in head or not MARK.startswith(head[: len(MARK)]):
            break
    return head


def _member_ends(file: BinaryIO, position: int) -> bool:
    """Whether the compressed members from `position` on all end before the file does."""
    file.seek(position)
    compression = compression_of(os.pread(file.fileno(), 8, position))
    if compression is None:
        return True
    decoder = compression.decoder()
    while data := file.read(2048):
        while data:
            if decoder.eof:
                if not data.strip(b"\0"):
                    return True
                decoder = compression.decoder()
            try:
                decoder.decompress(data)
            except DECODE_ERRORS:
                return False
            data = decoder.unused_data if decoder.eof else b""
    return decoder.eof


READER = Reader("warc", matches, read, place="byte of the file as stored")

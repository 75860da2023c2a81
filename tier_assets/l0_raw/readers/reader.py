"""What a reader is: a name, a test of a file's first bytes, and a function from a file to its entries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tier_assets.l0_raw.records import BadRecord, Entry, Member, Record, too_large
from tier_assets.l0_raw.streams import Line, whole


@dataclass(frozen=True, slots=True)
class Head:
    """The start of a file as a reader judges it.

    `name` is in lower case and without a compression's suffix, `data` decompressed, `complete` where `data` is all.
    """

    name: str
    data: bytes
    complete: bool


@dataclass(frozen=True, slots=True)
class Reader:
    """One format. `read(path, uri)` yields the entries of a file in order, bad ones as `BadRecord`, and raises only
    `OSError` for a file that cannot be read.

    `place` says what `byte_offset` counts, `seeks` whether the file is read from several places and so must lie
    uncompressed; `named(option)` is the reader for the format `name:option`, where there is one.
    """

    name: str
    matches: Callable[[Head], bool]
    read: Callable[[Path, str], Iterator[Entry | Member]]
    place: str = "byte of the file (decompressed)"
    seeks: bool = False
    named: Callable[[str], Reader] | None = None


def whole_file(path: Path, uri: str, content_type: str) -> Iterator[Entry]:
    """The file as one record, decompressed; what there is of a damaged file is no document but a verdict."""
    content = whole(path)
    yield whole_record(content, uri, content_type)


def whole_record(content: Line, uri: str, content_type: str) -> Record | BadRecord:
    """`content` as the record `uri`, or what is wrong with it."""
    if content.damage is not None:
        return damaged(content, uri)
    if content.data is None:
        return too_large(uri, content.byte_offset, content.num_bytes, content.sha256)
    return Record(uri, content_type, content.data, content.byte_offset)


def damaged(line: Line, uri: str) -> BadRecord:
    """The verdict on the bytes at which a stream is cut or broken."""
    assert line.damage is not None
    return BadRecord(uri, line.byte_offset, line.damage.reason, line.damage.detail, line.sha256)


def is_binary(data: bytes) -> bool:
    """Whether bytes are no text: a known mark, or more than a tenth control characters.

    A text with a few NUL bytes is a text; UTF-16 and UTF-32 with a byte order mark are texts.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")):
        return False
    if data.startswith(BINARY_MARKS):
        return True
    return len(data) - len(data.translate(None, CONTROL_BYTES)) > len(data) / 10


BINARY_MARKS = (
    b"%PDF-",
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"RIFF",
    b"PK\x03\x04",
    b"\x7fELF",
    b"OggS",
    b"\x00asm",
    b"wOF",
    b"SQLite format 3",
    b"\xd0\xcf\x11\xe0",
)
CONTROL_BYTES = bytes(c for c in range(32) if c not in b"\t\n\r\f\x1b")

"""XML: each element of one path is a record (PubMed's `PubmedArticle`, MediaWiki's `page`, RSS's `item`).

The path is named by the format (`xml:PubmedArticle`, `xml:channel/item`: the last steps of an element's path), else
found: the child that the root repeats most, where most of these have fields of their own; a document whose root
repeats only paragraphs is one record. `raw` is the element's very bytes and `byte_offset` where it starts in the
decompressed stream; elements beside records are counted. Entities are never expanded and nothing outside is fetched.
Cost: expat's, and a first look at `LOOKED_AT_BYTES`. After damage the rest of the file is one verdict.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final
from xml.parsers import expat

from tier_assets.l0_raw.readers.html import START as HTML_START
from tier_assets.l0_raw.readers.reader import Head, Reader, is_binary, whole_file
from tier_assets.l0_raw.records import RECORD_LIMIT, BadRecord, Entry, Record, Skipped, too_large
from tier_assets.l0_raw.streams import DamagedStream, chunks

START: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*<\?xml\s")
ENCODING: Final = re.compile(rb"""<\?xml[^>]{0,100}?encoding\s*=\s*["']([\w.:-]{1,40})""")
UTF16: Final = (b"\xff\xfe<\0", b"\xfe\xff\0<")
LOOKED_AT_BYTES: Final = 4 * 1024 * 1024
FED_BYTES: Final = 256 * 1024
DEPTH_LIMIT: Final = 500  # as many levels as the deepest real documents have, ten times over
PATH_DEPTH: Final = 3
MIN_FIELDS: Final = 2
Path_ = tuple[str, ...]


class _StopError(Exception):
    """The walk ends here: what it looks for is found, or a bound is reached."""


def matches(head: Head) -> bool:
    """An XML declaration and no page of HTML; under an XML file's name also any tag."""
    if HTML_START.match(head.data):
        return False
    if START.match(head.data) or head.data.startswith(UTF16):
        return True
    return head.name.endswith(".xml") and head.data.lstrip()[:1] == b"<" and not is_binary(head.data)


def read(path: Path, uri: str, record_path: str = "") -> Iterator[Entry]:
    """One record an element, `application/xml`, named `uri#1`, `uri#2`, ...; the whole file where none repeats."""
    wanted = tuple(record_path.split("/")) if record_path else find_record_path(path)
    if not wanted:
        yield from whole_file(path, uri, "application/xml")
        return
    number = 0
    for entry in _Walk(wanted, uri).entries(path):
        number += isinstance(entry, Record)
        yield entry
    if not number:
        yield BadRecord(uri, 0, "no_records", f"no element {'/'.join(wanted)!r}")


def find_record_path(path: Path) -> Path_:
    """The path of the element that is a record, by the first bytes of a file; empty where the file is one record."""
    counts: Counter[Path_] = Counter()
    stack: list[str] = []

    def start(name: str, _: dict[str, str]) -> None:
        stack.append(name)
        if len(stack) > DEPTH_LIMIT:
            raise _StopError
        if len(stack) <= PATH_DEPTH + 1:
            counts[tuple(stack)] += 1

    parser = _parser()
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: stack.pop()
    num_bytes = 0
    try:
        for data in _slices(path):
            parser.Parse(data, False)
            num_bytes += len(data)
            if num_bytes >= LOOKED_AT_BYTES:
                break
    except (expat.ExpatError, DamagedStream, _StopError, ValueError, LookupError):
        pass  # what was seen before the damage decides; the walk meets it again
    return _most_repeated(counts)


def _most_repeated(counts: Counter[Path_]) -> Path_:
    """The most repeated child of the root, or of its only child (RSS: `rss/channel/item`)."""
    place = next(iter(counts), ())
    while 0 < len(place) < PATH_DEPTH:
        children = {path: n for path, n in counts.items() if path[:-1] == place}
        most = max(children, key=lambda path: children[path], default=())
        if len(children) == 1 and children[most] == 1:
            place = most
            continue
        fields = sum(n for path, n in counts.items() if path[:-1] == most)
        # The last one may be cut, by damage or by the end of what is looked at.
        return most if most and children[most] > 1 and fields >= MIN_FIELDS * (children[most] - 1) else ()
    return ()


def _parser() -> expat.XMLParserType:
    parser = expat.ParserCreate()
    # A default handler turns the expansion of internal entities off; without a handler for outer ones none is read.
    parser.DefaultHandler = lambda _: None
    parser.buffer_text = True
    return parser


def _slices(path: Path) -> Iterator[bytes]:
    for chunk in chunks(path):
        for start in range(0, len(chunk), FED_BYTES):
            yield chunk[start : start + FED_BYTES]


class _Walk:
    """A way through a file that keeps the bytes of the element it is in, up to the limit of a record."""

    def __init__(self, wanted: Path_, uri: str) -> None:
        self.wanted = wanted
        self.uri = uri
        self.stack: list[str] = []
        self.record_depth = 0  # of the element that is being read; 0 outside of records
        self.record_start = 0
        self.number = 0
        self.window = bytearray()  # the stream's bytes from `window_start` on
        self.window_start = 0
        self.hash: hashlib._Hash | None = None  # of a record that is over the limit
        self.ready: list[Entry] = []
        self.parser = _parser()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.DefaultHandler = self._other
        self.bare = False  # whether nothing came since the record's first tag
        self.charset = "ascii"  # or a kind of UTF-16: how markup looks in the file
        self.content_type = "application/xml"

    def entries(self, path: Path) -> Iterator[Entry]:
        """The entries of the file; a verdict on the rest where it is damaged."""
        first, num_bytes = True, 0
        try:
            for data in _slices(path):
                if first:
                    self._set_charset(data)
                    first = False
                self.window += data
                num_bytes += len(data)
                self.parser.Parse(data, False)
                yield from self._drain()
                self._forget(num_bytes)
            self.parser.Parse(b"", True)
        except expat.ExpatError as error:
            yield from self._drain()
            yield self._broken("damaged", f"{error}")
        except DamagedStream as damage:
            yield from self._drain()
            yield self._broken(damage.reason, damage.detail)
        except (_StopError, ValueError, LookupError) as error:
            yield from self._drain()
            yield self._broken("damaged", str(error) or f"more than {DEPTH_LIMIT} elements within one another")
        yield from self._drain()

    def _broken(self, reason: str, detail: str) -> BadRecord:
        place = self.record_start if self.record_depth else self.parser.CurrentByteIndex
        return BadRecord(f"{self.uri}#{self.number + 1}", place, reason, f"{detail}; the rest is not read"[:500])

    def _set_charset(self, data: bytes) -> None:
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            self.charset = "utf-16-le" if data[0] == 0xFF else "utf-16-be"
            self.content_type += f"; charset={self.charset.replace('16-', '16')}"
        elif found := ENCODING.match(data.removeprefix(b"\xef\xbb\xbf").lstrip()):
            self.content_type += f"; charset={found[1].decode().lower()}"

    def _drain(self) -> Iterator[Entry]:
        yield from self.ready
        self.ready.clear()

    def _start(self, name: str, _: dict[str, str]) -> None:
        self.stack.append(name)
        if len(self.stack) > DEPTH_LIMIT:
            raise _StopError
        self.bare = False
        if self.record_depth:
            return
        if tuple(self.stack[-len(self.wanted) :]) == self.wanted:
            self.record_depth = len(self.stack)
            self.record_start = self.parser.CurrentByteIndex
            self.bare = True
        elif len(self.wanted) > 1 and tuple(self.stack[-len(self.wanted) : -1]) == self.wanted[:-1]:
            self.ready.append(Skipped(f"element_{name}"[:60]))

    def _other(self, _: str) -> None:
        self.bare = False

    def _end(self, _: str) -> None:
        if len(self.stack) == self.record_depth:
            self.record_depth = 0
            self.number += 1
            self.ready.append(self._record())
        self.stack.pop()

    def _record(self) -> Entry:
        """The record whose end tag begins here; of one that is a single tag, expat tells the place after it."""
        start = self.record_start - self.window_start
        end = self.parser.CurrentByteIndex - self.window_start
        if not (self.bare and self.window.endswith("/>".encode(self.charset), start, end)):
            mark = ">".encode(self.charset)
            end = self.window.index(mark, end) + len(mark)
        uri = f"{self.uri}#{self.number}"
        if self.hash is not None or end - start > RECORD_LIMIT:
            digest = self.hash or hashlib.sha256()
            digest.update(memoryview(self.window)[max(start, 0) : end])
            self.hash = None
            return too_large(uri, self.record_start, self.window_start + end - self.record_start, digest.hexdigest())
        return Record(uri, self.content_type, bytes(self.window[start:end]), self.record_start)

    def _forget(self, num_bytes: int) -> None:
        """Drops bytes that no record needs any more.

        Raises:
            _StopError: one tag is longer than a record may be.
        """
        seen = max(self.parser.CurrentByteIndex, 0)
        if num_bytes - seen > RECORD_LIMIT:
            raise _StopError(f"a tag of more than {RECORD_LIMIT:,} bytes")
        keep = self.record_start if self.record_depth and self.hash is None else seen
        if self.record_depth and num_bytes - keep > RECORD_LIMIT:
            self.hash = self.hash or hashlib.sha256()
            keep = seen
        cut = keep - self.window_start
        if cut > 0:
            if self.hash is not None:
                self.hash.update(memoryview(self.window)[:cut])
            del self.window[:cut]
            self.window_start = keep


READER = Reader("xml", matches, read, named=lambda option: Reader("xml", matches, partial(read, record_path=option)))

"""A JSON file: one file is one record; what in it is text is decided at L1."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tier_assets.l0_raw.readers.jsonl import parsed
from tier_assets.l0_raw.readers.reader import Head, Reader, whole_record
from tier_assets.l0_raw.records import BadRecord, Entry, Record
from tier_assets.l0_raw.streams import whole


def matches(head: Head) -> bool:
    """Begins as an object or array, and parses as far as it can be seen, or is named `.json`."""
    if not head.data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")):
        return False
    return head.name.endswith(".json") or (head.complete and parsed(head.data)[1] is None)


def read(path: Path, uri: str) -> Iterator[Entry]:
    """One record, `application/json`."""
    content = whole(path)
    entry = whole_record(content, uri, "application/json")
    if isinstance(entry, Record):
        error = parsed(entry.raw)[1]
        if error is not None:
            reason, _, detail = error.partition(": ")
            entry = BadRecord(uri, 0, reason, detail, content.sha256)
    yield entry


READER = Reader("json", matches, read)

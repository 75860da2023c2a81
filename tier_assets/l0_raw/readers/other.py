"""What no reader reads: each such file gets a verdict, so that nothing vanishes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tier_assets.l0_raw.readers.reader import Head, Reader, damaged
from tier_assets.l0_raw.records import WHOLE_FILE, BadRecord, Entry
from tier_assets.l0_raw.streams import whole


def matches(head: Head) -> bool:
    """Everything: it stands last."""
    return True


def read(path: Path, uri: str) -> Iterator[Entry]:
    """One verdict `unknown_format` that shows the first bytes, or the damage of the file."""
    content = whole(path)
    if content.damage is not None:
        yield damaged(content, uri)
        return
    with path.open("rb") as file:
        first = file.read(16)
    yield BadRecord(uri, WHOLE_FILE, "unknown_format", f"begins with {first!r}", content.sha256)


READER = Reader("other", matches, read)

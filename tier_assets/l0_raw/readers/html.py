"""HTML trees: one file is one record. Bytes are kept as they are; what they mean is decided at L1."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tier_assets.l0_raw.readers.reader import Head, Reader, is_binary, whole_file
from tier_assets.l0_raw.records import Entry

# Comments are matched once and for all (`*+`, `(?>`): else a page of nothing but comments is tried in all ways.
START: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*+(?:<\?xml[^>]*>\s*+)?(?:<!--(?>.*?-->)\s*+)*+<(?:!doctype\s+html|html|head|body)\b",
    re.I | re.S,
)
SUFFIXES: Final = (".html", ".htm", ".xhtml", ".shtml")


def matches(head: Head) -> bool:
    """A page's first element; under a page's name also any other tag, or a page in UTF-16."""
    if START.match(head.data):
        return True
    return head.name.endswith(SUFFIXES) and b"<" in head.data and not is_binary(head.data)


def read(path: Path, uri: str) -> Iterator[Entry]:
    """One record, `application/xhtml+xml` by its name, else `text/html`."""
    return whole_file(path, uri, "application/xhtml+xml" if uri.lower().endswith(".xhtml") else "text/html")


READER = Reader("html", matches, read)

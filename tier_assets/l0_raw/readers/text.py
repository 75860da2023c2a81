"""Plain text and Markdown: one file is one record, in whatever encoding it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tier_assets.l0_raw.readers.reader import Head, Reader, is_binary, whole_file
from tier_assets.l0_raw.records import Entry


def matches(head: Head) -> bool:
    """Anything that is not binary."""
    return not is_binary(head.data)


def read(path: Path, uri: str) -> Iterator[Entry]:
    """One record, `text/markdown` by its name, else `text/plain`."""
    name = uri.lower()
    markdown = any(name.endswith(suffix) for suffix in (".md", ".markdown", ".md.gz"))
    return whole_file(path, uri, "text/markdown" if markdown else "text/plain")


READER = Reader("text", matches, read)

"""PDF: one file is one record; its text layer is read at L1, in a process that can be killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tier_assets.l0_raw.readers.reader import Head, Reader, whole_file
from tier_assets.l0_raw.records import Entry

MARK: Final = b"%PDF-"
# Readers of PDF look for the mark in the first kilobyte: some programs write a banner before it.
MARK_WITHIN: Final = 1024


def matches(head: Head) -> bool:
    """PDF's mark at the start; under a PDF's name also a little later."""
    if head.data.startswith(MARK):
        return True
    return head.name.endswith(".pdf") and MARK in head.data[:MARK_WITHIN]


def read(path: Path, uri: str) -> Iterator[Entry]:
    """One record, `application/pdf`."""
    return whole_file(path, uri, "application/pdf")


READER = Reader("pdf", matches, read)

"""A compressed file that is no stream of records: compressed twice, or an archive that is read from several places.

It is unpacked and read as what it holds; offsets are within that.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tier_assets.l0_raw.readers.reader import Head, Reader
from tier_assets.l0_raw.records import Member
from tier_assets.l0_raw.streams import COMPRESSIONS, chunks, compression_of


def matches(head: Head) -> bool:
    """Still compressed when decompressed; other compressed files are chosen by what they hold."""
    return compression_of(head.data) is not None


def read(path: Path, uri: str) -> Iterator[Member]:
    """One member, the file less one compression."""
    name = uri
    for compression in COMPRESSIONS:
        name = name.removesuffix(compression.suffix)
    yield Member(uri, name, None, chunks(path))


READER = Reader("compressed", matches, read)

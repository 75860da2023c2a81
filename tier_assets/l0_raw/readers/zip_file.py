"""ZIP: every file in it is read as what it holds.

`byte_offset` of a member's records is of its local header in the file; a record is named `file!member`, or as its own
format names records (`file!rows.jsonl#3`). Links, encrypted members and names that lead out of the archive are
verdicts.
"""

from __future__ import annotations

import io
import lzma
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tier_assets.l0_raw.readers.nested import Licences, is_hidden, unsafe
from tier_assets.l0_raw.readers.reader import Head, Reader
from tier_assets.l0_raw.records import WHOLE_FILE, BadRecord, Entry, Member, Skipped
from tier_assets.l0_raw.streams import CHUNK_BYTES, DamagedStream

MARKS: Final = (b"PK\x03\x04", b"PK\x05\x06")
# zipfile holds the whole directory, some 10 times its size: 16 MiB are 160,000 members with paths of 50 characters.
DIRECTORY_LIMIT: Final = 16 * 1024 * 1024
ENCRYPTED: Final = 0x1
# zipfile's own, and what its parsing of hostile bytes raises.
ZIP_ERRORS: Final = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    RuntimeError,
    OverflowError,
    MemoryError,
)


class _BoundedReads(io.FileIO):
    """A file of which no more than the limit of a directory is read at once: zipfile trusts the declared size."""

    def read(self, size: int | None = -1, /) -> bytes:
        left = self.stat_size() - self.tell()
        wanted = left if size is None or size < 0 else min(size, left)
        if wanted > DIRECTORY_LIMIT:
            raise zipfile.BadZipFile(f"a directory of {wanted:,} bytes; the limit is {DIRECTORY_LIMIT:,}")
        return super().read(wanted) or b""

    def stat_size(self) -> int:
        """Bytes of the file."""
        here = self.tell()
        size = self.seek(0, io.SEEK_END)
        self.seek(here)
        return size


def matches(head: Head) -> bool:
    """ZIP's mark at the start."""
    return head.data.startswith(MARKS)


def read(path: Path, uri: str) -> Iterator[Entry | Member]:
    """The members in the order of the archive's directory."""
    with opened(path) as archive:
        if isinstance(archive, BadRecord):
            yield BadRecord(uri, archive.byte_offset, archive.reason, archive.detail)
            return
        licences = Licences(archive.namelist())
        for info in archive.infolist():
            yield member(archive, info, uri, licences)


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile | BadRecord]:
    """The archive at `path`, or the verdict on it where its directory cannot be read."""
    with _BoundedReads(path) as file:
        try:
            archive = zipfile.ZipFile(file)
        except ZIP_ERRORS as error:
            yield BadRecord("", WHOLE_FILE, "damaged", f"no readable ZIP directory: {error}"[:500])
            return
        with archive:
            yield archive


def member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, uri: str, licences: Licences) -> Entry | Member:
    """One member of an archive, or why it is none."""
    name = info.orig_filename
    place, offset, mode = f"{uri}!{name}", info.header_offset, info.external_attr >> 16
    if name.endswith("/"):
        return Skipped("folder")
    if (fault := unsafe(name)) is not None:
        return BadRecord(place, offset, "unsafe_path", f"{name!r} {fault}"[:500])
    if stat.S_ISLNK(mode):
        return BadRecord(place, offset, "link_in_archive", "a symbolic link")
    if info.flag_bits & ENCRYPTED:
        return BadRecord(place, offset, "encrypted", "needs a password")
    if is_hidden(name):
        return Skipped("hidden_file")
    return Member(place, name, offset, _content(archive, info), licences.of(name))


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    try:
        with archive.open(info) as file:
            while data := file.read(CHUNK_BYTES):
                yield data
    except ZIP_ERRORS as error:
        raise DamagedStream("damaged", f"does not unpack: {error}"[:500]) from error


READER = Reader("zip", matches, read, place="byte of the ZIP, its member's header", seeks=True)

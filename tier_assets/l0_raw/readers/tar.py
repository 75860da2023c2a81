"""tar, plain or compressed: every regular file in it is read as what it holds.

`byte_offset` of a member's records is of its header in the decompressed stream; a record is named `file!member`,
or as its own format names records (`file!rows.jsonl#3`). Links, devices and names that lead out of the archive are
verdicts. Cost: two passes, since a licence file may come after the files that it covers.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, cast

from tier_assets.l0_raw.readers.nested import MEMBERS_LIMIT, Licences, is_hidden, unsafe
from tier_assets.l0_raw.readers.reader import Head, Reader
from tier_assets.l0_raw.records import BadRecord, Entry, Member, Skipped
from tier_assets.l0_raw.streams import CHUNK_BYTES, DamagedStream, chunks

MAGIC_AT: Final = 257
BLOCK: Final = tarfile.BLOCKSIZE
# What tarfile asks for at once is a block, a chunk of ours, or an extended header of a declared, hostile size.
READ_LIMIT: Final = CHUNK_BYTES
# tarfile's own, and what its parsing of hostile headers raises.
TAR_ERRORS: Final = (tarfile.TarError, ValueError, OverflowError, KeyError, IndexError, TypeError, RecursionError)


def matches(head: Head) -> bool:
    """A header block whose checksum is right."""
    if len(head.data) < BLOCK or not (head.data[MAGIC_AT:].startswith(b"ustar") or head.name.endswith(".tar")):
        return False
    try:
        tarfile.TarInfo.frombuf(head.data[:BLOCK], "utf-8", "surrogateescape")
    except TAR_ERRORS:
        return False
    return True


def read(path: Path, uri: str) -> Iterator[Entry | Member]:
    """The members in their order; what follows a damaged header is not read."""
    names: list[str] = []
    for info, _ in _members(path, _Damage()):
        names.append(info.name)
        if len(names) > MEMBERS_LIMIT:
            break
    licences, damage = Licences(names), _Damage()
    for info, content in _members(path, damage):
        yield _entry(info, content, uri, licences)
    if damage.reason and not damage.told:
        yield BadRecord(f"{uri}#{damage.position}", damage.position, damage.reason, damage.detail)


def _entry(info: tarfile.TarInfo, content: _Stream, uri: str, licences: Licences) -> Entry | Member:
    place = f"{uri}!{info.name}"
    if info.isdir():
        return Skipped("folder")
    if (fault := unsafe(info.name)) is not None:
        return BadRecord(place, info.offset, "unsafe_path", f"{info.name!r} {fault}"[:500])
    if info.issym() or info.islnk():
        return BadRecord(place, info.offset, "link_in_archive", f"to {info.linkname!r}"[:500])
    if not info.isreg() or info.issparse():
        return BadRecord(place, info.offset, "special_file", f"of tar's type {info.type!r}")
    if is_hidden(info.name):
        return Skipped("hidden_file")
    return Member(place, info.name, info.offset, content.part(info.offset_data, info.size), licences.of(info.name))


class _Damage:
    """Where and why the walk through an archive ended before the archive did."""

    reason = ""
    detail = ""
    position = 0
    told = False  # by the verdict on a member


def _members(path: Path, damage: _Damage) -> Iterator[tuple[tarfile.TarInfo, _Stream]]:
    """Headers in their order, each with the stream that stands after it; `damage` tells how it ended."""
    stream = _Stream(chunks(path), damage)
    try:
        # tarfile only reads, seeks and tells.
        with tarfile.TarFile(fileobj=cast(IO[bytes], stream), errors="backslashreplace") as archive:
            while (info := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined]  # else every header of a long archive is kept
                damage.position = info.offset
                yield info, stream
            stream.check_end()
    except DamagedStream as error:
        damage.reason, damage.detail = error.reason, error.detail
    except TAR_ERRORS as error:
        damage.reason = "truncated" if "end of data" in str(error) or "truncated" in str(error) else "damaged"
        damage.detail = f"no header after this one: {error}"[:500]


class _Stream(io.RawIOBase):
    """Chunks as a file that is read forward only."""

    def __init__(self, source: Iterator[bytes], damage: _Damage) -> None:
        self.source = source
        self.damage = damage
        self.buffer = b""
        self.start = 0  # of what is unread, in `buffer`
        self.position = 0
        self.last = b""  # the last block that was asked for

    def tell(self) -> int:
        return self.position

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence != 0 or offset < self.position:
            raise tarfile.ReadError(f"byte {offset:,} lies before byte {self.position:,}")
        for _ in self._take(offset - self.position):
            pass
        return self.position

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= READ_LIMIT:
            raise tarfile.ReadError(f"a header of {size:,} bytes; the limit is {READ_LIMIT:,}")
        self.last = b"".join(self._take(size))
        return self.last

    def part(self, start: int, size: int) -> Iterator[bytes]:
        """The bytes of a member.

        Raises:
            DamagedStream: there are fewer.
        """
        try:
            self.seek(start)
            yield from self._take(size)
            if self.position < start + size:
                raise DamagedStream("truncated", f"{self.position - start:,} of {size:,} bytes")
        except DamagedStream:
            self.damage.told = True
            raise

    def check_end(self) -> None:
        """Checks that an archive ended as archives do: with blocks of zeros, and nothing after them.

        Raises:
            DamagedStream: it did not.
        """
        if not self.last:
            raise DamagedStream("truncated", "the archive has no end mark")
        if self.last.strip(b"\0"):
            raise DamagedStream("damaged", f"no header at byte {self.position - len(self.last):,}")
        while left := b"".join(self._take(CHUNK_BYTES)):
            if left.strip(b"\0"):
                raise DamagedStream("damaged", f"bytes after the archive's end, near byte {self.position:,}")

    def _take(self, size: int) -> Iterator[bytes]:
        """Up to `size` bytes, in pieces of at most `CHUNK_BYTES`."""
        while size > 0:
            if self.start == len(self.buffer):
                self.buffer, self.start = next(self.source, b""), 0
                if not self.buffer:
                    return
            piece = self.buffer[self.start : self.start + min(size, CHUNK_BYTES)]
            self.start += len(piece)
            self.position += len(piece)
            size -= len(piece)
            yield piece


READER = Reader("tar", matches, read, place="byte of the tar (decompressed), its member's header")

"""Archives in archives: each member is unpacked to a nameless scratch file, read as any file, and removed.

In: a reader, a file, and how to choose a member's reader. Out: the entries of the file and of all its members, in
order. No name from an archive is ever a path on disk. What an archive may unpack to is bounded over all its levels;
beyond a bound there is one verdict and the rest of the file is not read.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Final

from tier_assets.l0_raw.readers.reader import Reader
from tier_assets.l0_raw.records import BadRecord, Entry, Member, Record, Skipped
from tier_assets.l0_raw.streams import FREE_BYTES, RATIO_LIMIT, DamagedStream

DEPTH_LIMIT: Final = 4  # a JSON Lines file in a tar in a zip in a tar.gz
MEMBERS_LIMIT: Final = 1_000_000  # ten times the files of the Linux kernel
MEMBER_LIMIT: Final = 4 * 1024**3
TOTAL_LIMIT: Final = 256 * 1024**3
LICENCE_FILE: Final = re.compile(r"(?:LICEN[CS]E|COPYING|UNLICENSE)(?:[.-]\w+)*", re.ASCII | re.IGNORECASE)

Choose = Callable[[Path, str], Reader]


class _Exhausted(Exception):  # noqa: N818 (no error: the verdict on the rest of the file)
    def __init__(self, verdict: BadRecord) -> None:
        super().__init__(verdict.detail)
        self.verdict = verdict


@dataclass
class _Budget:
    """What is left to unpack of one registered file, over all levels."""

    uri: str
    num_bytes: int
    num_members: int

    def take(self, member: Member, num_bytes: int) -> None:
        self.num_bytes -= num_bytes
        if self.num_bytes < 0:
            raise self._exhausted(member, "decompression_bomb", "unpacks to too many bytes")

    def count(self, member: Member) -> None:
        self.num_members -= 1
        if self.num_members < 0:
            raise self._exhausted(member, "too_many_members", f"more than {MEMBERS_LIMIT:,} members")

    def _exhausted(self, member: Member, reason: str, what: str) -> _Exhausted:
        detail = f"{what}; it is not read from {member.uri!r} on"
        return _Exhausted(BadRecord(self.uri, member.byte_offset or 0, reason, detail))


def read_nested(reader: Reader, path: Path, uri: str, choose: Choose) -> Iterator[Entry]:
    """The entries of a file, its members' in their places.

    Raises:
        OSError: the file cannot be read.
        RuntimeError: there is no room for a member in the scratch folder.
    """
    num_bytes = min(TOTAL_LIMIT, max(FREE_BYTES, RATIO_LIMIT * path.stat().st_size))
    budget = _Budget(uri, num_bytes, MEMBERS_LIMIT)
    try:
        yield from _read(reader, path, uri, choose, budget, 0)
    except _Exhausted as end:
        yield end.verdict


def _read(reader: Reader, path: Path, uri: str, choose: Choose, budget: _Budget, depth: int) -> Iterator[Entry]:
    for item in reader.read(path, uri):
        if isinstance(item, Member):
            yield from _read_member(item, choose, budget, depth + 1)
        else:
            yield item


def _read_member(member: Member, choose: Choose, budget: _Budget, depth: int) -> Iterator[Entry]:
    place = member.byte_offset or 0
    budget.count(member)
    if depth > DEPTH_LIMIT:
        yield BadRecord(member.uri, place, "nested_too_deep", f"more than {DEPTH_LIMIT} archives within one another")
        return
    with tempfile.NamedTemporaryFile(prefix="l0-") as scratch:
        try:
            num_bytes = _unpack(member, scratch, budget)
        except DamagedStream as damage:
            yield BadRecord(member.uri, place, damage.reason, damage.detail)
            return
        if num_bytes > MEMBER_LIMIT:
            yield BadRecord(member.uri, place, "member_too_large", f"more than {MEMBER_LIMIT:,} bytes")
        elif num_bytes == 0:
            yield BadRecord(member.uri, place, "empty_file", "0 bytes")
        else:
            path = Path(scratch.name)
            for entry in _read(choose(path, member.name), path, member.uri, choose, budget, depth):
                yield _placed(entry, member)


def _unpack(member: Member, scratch: IO[bytes], budget: _Budget) -> int:
    """Writes the member's bytes; returns their number, more than `MEMBER_LIMIT` where it stopped there."""
    num_bytes = 0
    for chunk in member.chunks:
        budget.take(member, len(chunk))
        num_bytes += len(chunk)
        if num_bytes > MEMBER_LIMIT:
            break
        try:
            scratch.write(chunk)
            scratch.flush()
        except OSError as error:  # the machine's failure, not the file's: no verdict on it
            raise RuntimeError(f"no room to unpack {member.uri!r}: {error}") from error
    return num_bytes


def _placed(entry: Entry, member: Member) -> Entry:
    """A member's entry as one of the whole file."""
    if isinstance(entry, Skipped):
        return entry
    if member.byte_offset is not None:
        entry = replace(entry, byte_offset=member.byte_offset)
    if isinstance(entry, Record) and entry.licence is None:
        entry = replace(entry, licence=member.licence)
    return entry


def unsafe(name: str) -> str | None:
    """Why a member's name would be no safe path: absolute, or leading out of the archive; None if it is safe.

    >>> unsafe("a/../../b")
    'leads out of the archive'
    """
    parts = re.split(r"[/\\]", name)
    if ".." in parts:
        return "leads out of the archive"
    if parts[0] == "" or parts[0].endswith(":"):
        return "is absolute"
    return "holds a NUL" if "\0" in name else None


def is_hidden(name: str) -> bool:
    """Whether a member is hidden, or in a hidden folder: passed over as in folders on disk."""
    return any(part.startswith(".") and part != "." for part in name.split("/"))


class Licences:
    """The licence files among the names of an archive's members, or of a folder's files."""

    def __init__(self, names: Iterable[str]) -> None:
        self.by_folder: dict[str, str] = {}
        for name in names:
            folder, _, last = name.rpartition("/")
            if LICENCE_FILE.fullmatch(last):
                self.by_folder[folder] = min(name, self.by_folder.get(folder, name))

    def of(self, name: str) -> str | None:
        """`see NAME` of the licence file nearest to a member: in its folder or in one above.

        >>> Licences(["p/LICENSE", "p/src/a.py"]).of("p/src/a.py")
        'see p/LICENSE'
        """
        folder = name
        while folder:
            folder = folder.rpartition("/")[0]
            if folder in self.by_folder:
                return f"see {self.by_folder[folder]}"
        return None

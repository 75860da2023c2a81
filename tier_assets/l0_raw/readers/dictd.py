"""dictd dictionaries: one article of a `.dict` or `.dict.dz` is one record, named by its first headword.

The `.index` file beside it says where articles lie: a headword, offset and length a line, the numbers in base 64.
`byte_offset` is of the article in the decompressed dictionary. Further headwords of an article, entries about the
dictionary itself (`00-database-...`) and the index as a file of its own are counted. An index that changes later is
read only when its dictionary changes too. Cost: one pass; the index is held in memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tier_assets.l0_raw.readers.reader import Head, Reader, is_binary
from tier_assets.l0_raw.records import RECORD_LIMIT, BadRecord, Entry, Record, Skipped, too_large
from tier_assets.l0_raw.streams import DamagedStream, chunks, lines

DIGITS: Final = {digit: value for value, digit in enumerate(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
)}  # fmt: skip
INDEX_LINE: Final = re.compile(rb"([^\t\n]*)\t([A-Za-z0-9+/]{1,10})\t([A-Za-z0-9+/]{1,10})(?:\t[^\n]*)?\r?")
LOOKED_AT: Final = 20
ENTRIES_LIMIT: Final = 2_000_000  # the largest free dictionaries have some 500,000 headwords
DICTIONARY: Final = (".dict", ".dict.dz")

Place = tuple[int, int, str]  # offset, length, headword


def matches(head: Head) -> bool:
    """Text named as a dictionary, or an index by its lines."""
    if head.name.endswith(DICTIONARY):
        return not is_binary(head.data)
    found = head.data.split(b"\n")[:LOOKED_AT]
    whole = found[:-1] or found
    return head.name.endswith(".index") and all(INDEX_LINE.fullmatch(line) for line in whole)


def read(path: Path, uri: str) -> Iterator[Entry]:
    """One record an article, `text/plain`, named `uri#headword`, in the order of the dictionary."""
    if uri.lower().endswith(".index"):
        yield Skipped("dictionary_index")
        return
    index = path.with_name(path.name.removesuffix(".dz").removesuffix(".dict") + ".index")
    if not index.is_file():
        yield BadRecord(uri, 0, "index_missing", f"{index.name} is not beside the dictionary")
        return
    places: list[Place] = []
    for number, line in enumerate(lines(index), start=1):
        found = INDEX_LINE.fullmatch(line.data or b"")
        if found is None or number > ENTRIES_LIMIT:
            where, why = f"{uri}#index:{number}", f"line {number} of {index.name}"
            yield BadRecord(where, line.byte_offset, "damaged", why, line.sha256)
            if number > ENTRIES_LIMIT:
                break
            continue
        places.append((_number(found[2]), _number(found[3]), found[1].decode("utf-8", "backslashreplace")))
    places.sort()
    yield from _articles(path, uri, places)


def _articles(path: Path, uri: str, places: list[Place]) -> Iterator[Entry]:
    """The articles at `places`, which are sorted by offset; one within another would be read again and again."""
    window, last, end = _Window(path), (-1, -1), 0
    for offset, length, headword in places:
        name = f"{uri}#{headword}"
        if headword.startswith(("00-database", "00database")):
            yield Skipped("about_the_dictionary")
        elif (offset, length) == last:
            yield Skipped("another_headword")
        elif offset < end:
            yield BadRecord(name, offset, "overlaps", f"begins before byte {end:,}, the end of the article before it")
        elif length > RECORD_LIMIT:
            yield too_large(name, offset, length)
        else:
            data = window.part(offset, length)
            if len(data) == length:
                yield Record(name, "text/plain", data, offset)
            elif window.damage is not None:
                yield BadRecord(name, offset, window.damage.reason, window.damage.detail)
            else:
                yield BadRecord(name, offset, "truncated", f"{len(data):,} of {length:,} bytes")
        last, end = (offset, length), max(end, offset + length)


def _number(digits: bytes) -> int:
    value = 0
    for digit in digits:
        value = value * 64 + DIGITS[digit]
    return value


class _Window:
    """A stream of which parts are asked for by rising offsets."""

    def __init__(self, path: Path) -> None:
        self.source = chunks(path)
        self.data = bytearray()
        self.start = 0
        self.damage: DamagedStream | None = None

    def part(self, offset: int, length: int) -> bytes:
        """The bytes from `offset` on, fewer where the stream ends; nothing before `offset` can be had any more."""
        while self.start + len(self.data) < offset + length:
            drop = min(max(offset - self.start, 0), len(self.data))
            del self.data[:drop]
            self.start += drop
            try:
                chunk = next(self.source, b"")
            except DamagedStream as damage:
                self.damage, chunk = damage, b""
            if not chunk:
                break
            self.data += chunk
        return bytes(self.data[max(offset - self.start, 0) :][:length])


READER = Reader("dictd", matches, read)

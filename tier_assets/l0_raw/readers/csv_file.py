"""CSV and TSV: one row is one record, as a JSON object by the names of the first row.

`byte_offset` is of the row's first byte in the decompressed stream; a row may span lines. The dialect (`,` tab `;`
`|`, with quotes or without) is the one under which the first rows have the same number of fields. Where the first row
is none of names, columns are `column_1`, `column_2`, ... A row of another number of fields, or one that the file's
charset does not decode, is a verdict.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from resiliparse.parse.encoding import detect_encoding

from tier_assets.l0_raw.readers.reader import Head, Reader, damaged, is_binary
from tier_assets.l0_raw.records import RECORD_LIMIT, BadRecord, Entry, Record, Skipped, too_large
from tier_assets.l0_raw.streams import HEAD_BYTES, Line, head, lines

SUFFIXES: Final = (".csv", ".tsv", ".tab")
DELIMITERS: Final = (",", "\t", ";", "|")
Quoting = Literal[0, 3]
QUOTINGS: Final[tuple[Quoting, ...]] = (csv.QUOTE_MINIMAL, csv.QUOTE_NONE)
LOOKED_AT: Final = 50
MIN_ROWS: Final = 5  # without a name that says so, fewer rows alike are chance
NAME_CHARS: Final = 64
MIN_SHARE: Final = 0.8
NUMBER: Final = re.compile(r"[-+]?[\d.,%]+")
ROW_LIMIT: Final = RECORD_LIMIT // 4  # as JSON a row grows, in memory text is four times its bytes
csv.field_size_limit(ROW_LIMIT)


@dataclass(frozen=True)
class Dialect:
    """How rows are cut into fields."""

    delimiter: str
    quoting: Quoting
    num_fields: int


def matches(head: Head) -> bool:
    """Text (not in UTF-16) under a name that says so; else several rows with the same number of fields, under names."""
    if is_binary(head.data) or head.data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return False
    if head.name.endswith(SUFFIXES):
        return True
    sample = _sample(head.data, head.complete)
    dialect = find_dialect(sample)
    if dialect is None:
        return False
    rows = _rows(sample, dialect.delimiter, dialect.quoting)
    return (
        len(rows) >= MIN_ROWS
        and all(len(row) == dialect.num_fields for row in rows)
        and is_header(rows[0])
        and not any(name.startswith(" ") for name in rows[0])  # prose has a blank after a comma
    )


def read(path: Path, uri: str) -> Iterator[Entry]:
    """One record a row, `application/json`, named `uri#1`, `uri#2`, ... by its first line; blank lines are counted."""
    data = head(path)
    complete = len(data) < HEAD_BYTES
    dialect = find_dialect(_sample(data, complete)) or Dialect(",", csv.QUOTE_MINIMAL, 1)
    source = _Lines(lines(path), charset_of(data, complete), uri)
    reader = csv.reader(source, delimiter=dialect.delimiter, quoting=dialect.quoting, strict=True)
    names: list[str] = []
    while True:
        source.begin_row()
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            if source.damage is not None:  # the cut is within quotes
                break
            yield source.fault or source.bad("not_csv", str(error))
            continue
        if row and not names and source.fault is None:
            header = is_header(row)
            names = [cell.strip() for cell in row] if header else [f"column_{n + 1}" for n in range(len(row))]
            if header:
                yield Skipped("header_row")
                continue
        yield _entry(row, names, source)
    if source.damage is not None:
        yield replace(damaged(source.damage, source.uri), byte_offset=source.offset)


def _entry(row: list[str], names: list[str], source: _Lines) -> Entry:
    if source.fault is not None:
        return source.fault
    if not row:
        return Skipped("blank_line")
    if len(row) != len(names):
        return source.bad("wrong_number_of_fields", f"{len(row)} fields under {len(names)} names")
    raw = json.dumps(dict(zip(names, row)), ensure_ascii=False).encode()
    if len(raw) > RECORD_LIMIT:
        return too_large(source.uri, source.offset, len(raw))
    return Record(source.uri, "application/json", raw, source.offset)


def is_header(row: list[str]) -> bool:
    """Whether the first row of a table names its columns: no cell empty, repeated, long or a number.

    >>> is_header(["id", "text"]), is_header(["1", "text"])
    (True, False)
    """
    cells = [cell.strip() for cell in row]
    plain = all(cell and len(cell) <= NAME_CHARS and not NUMBER.fullmatch(cell) for cell in cells)
    return plain and len(set(cells)) == len(cells)


def find_dialect(sample: list[str]) -> Dialect | None:
    """The dialect under which most rows have the same number of fields, two or more; None where none does."""
    best, best_score = None, (MIN_SHARE, 0)
    for delimiter in DELIMITERS:
        for quoting in QUOTINGS:
            rows = _rows(sample, delimiter, quoting)
            counts = Counter(len(row) for row in rows if row)
            num_fields, times = max(counts.items(), key=lambda item: item[1], default=(0, 0))
            score = (times / max(len(rows), 1), num_fields)
            if num_fields > 1 and score > best_score:
                best, best_score = Dialect(delimiter, quoting, num_fields), score
    return best


def _rows(sample: list[str], delimiter: str, quoting: Quoting) -> list[list[str]]:
    """The sample's rows that are not blank; one that is malformed has no fields."""
    reader = csv.reader(sample, delimiter=delimiter, quoting=quoting, strict=True)
    rows: list[list[str]] = []
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return rows
        except csv.Error:
            if reader.line_num >= len(sample):  # a row that goes on after the sample
                return rows
            rows.append([])
            continue
        if row:
            rows.append(row)


def _sample(data: bytes, complete: bool) -> list[str]:
    """The first lines; as Latin-1, since all that is asked is where delimiters and quotes stand."""
    found = data.removeprefix(codecs.BOM_UTF8).decode("latin-1").splitlines(keepends=True)
    if not complete and len(found) > 1:
        found.pop()  # cut by the end of the head
    return found[:LOOKED_AT]


def charset_of(data: bytes, complete: bool) -> str:
    """The charset of a table by its first bytes: UTF-8 if they are valid, else the one that is detected."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data, final=complete)
        return "utf-8"
    except UnicodeDecodeError:
        return codecs.lookup(detect_encoding(data) or "windows-1252").name


class _Lines:
    """Lines as text for `csv.reader`, and what the row that is being read is made of."""

    def __init__(self, source: Iterator[Line], charset: str, file_uri: str) -> None:
        self.source = source
        self.charset = charset
        self.file_uri = file_uri
        self.number = 0  # of the last line
        self.row_number = 1  # of the row's first line
        self.damage: Line | None = None
        self.begin_row()

    def begin_row(self) -> None:
        """What is read from here on belongs to the next row."""
        self.fault: BadRecord | None = None
        self.first: Line | None = None
        self.num_bytes = 0
        self.hash = hashlib.sha256()

    @property
    def uri(self) -> str:
        return f"{self.file_uri}#{self.row_number}"

    @property
    def offset(self) -> int:
        return self.first.byte_offset if self.first else 0

    def bad(self, reason: str, detail: str) -> BadRecord:
        """A verdict on the row."""
        return BadRecord(self.uri, self.offset, reason, detail[:200], self.hash.hexdigest())

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = next(self.source)
        self.number += 1
        if self.first is None:
            self.first, self.row_number = line, self.number
        if line.damage is not None:
            self.damage = line
            raise StopIteration
        self.num_bytes += line.num_bytes + 1
        self.hash.update(line.sha256.encode())
        if line.data is None or self.num_bytes > ROW_LIMIT:
            self.fault = too_large(self.uri, self.offset, self.num_bytes, self.hash.hexdigest())
            raise csv.Error("row over the limit")
        data = line.data.removeprefix(codecs.BOM_UTF8) if self.number == 1 else line.data
        try:
            return data.decode(self.charset) + "\n"
        except UnicodeDecodeError as error:
            self.fault = self.bad("undecodable", f"byte {error.start} of a line is no {self.charset}")
            return data.decode(self.charset, "replace") + "\n"


READER = Reader("csv", matches, read)

"""Parquet: one row is one record, read batch by batch.

Where a column bears one of the names in `TEXT_COLUMNS`, `raw` is the row as JSON, so that title, URL and the like
stay beside the text. A table with a single column of strings gives that text itself. `byte_offset` is the row number.
"""

from __future__ import annotations

import json
import math
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from tier_assets.l0_raw.readers.reader import Head, Reader
from tier_assets.l0_raw.records import RECORD_LIMIT, WHOLE_FILE, BadRecord, Entry, Record, too_large

MARK: Final = b"PAR1"
TEXT_COLUMNS: Final = ("text", "content", "raw_content", "body", "document", "article", "abstract", "markdown", "html")
BATCH_ROWS: Final = 256


def matches(head: Head) -> bool:
    """Parquet's mark at the start."""
    return head.data.startswith(MARK)


def read(path: Path, uri: str) -> Iterator[Entry]:
    """One record a row, named `uri#1`, `uri#2`, ...; a row group that does not decode is one verdict."""
    try:
        file = pq.ParquetFile(path, pre_buffer=False)
    except pa.ArrowException as error:
        yield BadRecord(uri, WHOLE_FILE, "damaged", f"no readable Parquet footer: {error}")
        return
    with file:
        column = text_column(file.schema_arrow)
        if column is None:
            names = ", ".join(f"{field.name}: {field.type}" for field in file.schema_arrow)
            detail = f"{file.metadata.num_rows:,} rows; no column named {', '.join(TEXT_COLUMNS)} among {names}"
            yield BadRecord(uri, WHOLE_FILE, "no_text_column", detail[:2000])
            return
        first_row = 0
        for group in range(file.num_row_groups):
            yield from _read_group(file, group, first_row, column, uri)
            first_row += file.metadata.row_group(group).num_rows


def text_column(schema: pa.Schema) -> str | None:
    """The column that holds the text: named so, or the only one of strings; None where there is none."""
    strings = [f.name for f in schema if _is_stringlike(f.type)]
    named = {name.lower(): name for name in reversed(strings)}
    found = next((named[name] for name in TEXT_COLUMNS if name in named), None)
    if found is None and len(strings) == 1:
        return strings[0]
    return found


def _is_stringlike(dtype: pa.DataType) -> bool:
    if pa.types.is_dictionary(dtype):
        dtype = dtype.value_type
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_binary)
    return any(test(dtype) for test in (*tests, pa.types.is_large_binary))


def _read_group(file: pq.ParquetFile, group: int, first_row: int, column: str, uri: str) -> Iterator[Entry]:
    row = first_row
    try:
        for batch in file.iter_batches(batch_size=BATCH_ROWS, row_groups=[group]):
            for values in _rows(batch):
                yield _entry(values, column, f"{uri}#{row + 1}", row)
                row += 1
    except (pa.ArrowException, OSError) as error:
        last = first_row + file.metadata.row_group(group).num_rows
        detail = f"rows {row + 1} to {last} (row group {group}) do not decode: {error}"
        yield BadRecord(f"{uri}#{row + 1}", row, "damaged", detail[:2000])


def _rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any] | UnicodeDecodeError]:
    """The rows of a batch; in place of one with a string that is no UTF-8 the error."""
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:  # raised before the first row is handed out
        for number in range(batch.num_rows):
            try:
                yield batch.slice(number, 1).to_pylist()[0]
            except UnicodeDecodeError as error:
                yield error


def _entry(values: dict[str, Any] | UnicodeDecodeError, column: str, uri: str, row: int) -> Record | BadRecord:
    if isinstance(values, UnicodeDecodeError):
        return BadRecord(uri, row, "invalid_utf8", f"{values.reason} at byte {values.start} of a string")
    text = values[column]
    if text is None:
        return BadRecord(uri, row, "no_text", f"{column} is null")
    if column.lower() in TEXT_COLUMNS and len(values) > 1:
        raw, content_type = (
            json.dumps(_plain(values), ensure_ascii=False).encode("utf-8", "replace"),
            "application/json",
        )
    else:
        raw, content_type = text if isinstance(text, bytes) else text.encode("utf-8", "replace"), "text/plain"
    if len(raw) > RECORD_LIMIT:
        return too_large(uri, row, len(raw))
    return Record(uri, content_type, raw, row)


def _plain(value: Any) -> Any:
    """A value as JSON knows it: bytes as text or base64, times and decimals as strings, NaN as null."""
    match value:
        case dict():
            return {str(k): _plain(v) for k, v in value.items()}
        case list() | tuple():
            return [_plain(v) for v in value]
        case float():
            return value if math.isfinite(value) else None
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                return b64encode(value).decode()
        case None | bool() | int() | str():
            return value
        case _:
            return str(value)


READER = Reader("parquet", matches, read, place="row", seeks=True)

"""JSON Lines, plain or compressed: one line that is an object is one record; its text field is read at L1."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tier_assets.l0_raw.readers.reader import Head, Reader, damaged, is_binary
from tier_assets.l0_raw.records import BadRecord, Entry, Record, Skipped, too_large
from tier_assets.l0_raw.streams import Line, lines

SUFFIXES: Final = (".jsonl", ".ndjson", ".jsonlines")
LOOKED_AT: Final = 20


def matches(head: Head) -> bool:
    """Lines most of which are objects; a single object only where the file is not named `.json`."""
    if head.name.endswith(SUFFIXES):
        return not is_binary(head.data)
    found = head.data.split(b"\n")
    if not head.complete and len(found) > 1:
        found.pop()  # cut by the end of the head
    found = [line for line in found if line.strip()][:LOOKED_AT]
    objects = sum(isinstance(parsed(line)[0], dict) for line in found)
    if len(found) == 1:
        cut_object = not head.complete and found[0].lstrip().startswith(b'{"')
        return not head.name.endswith(".json") and bool(objects or cut_object)
    return objects * 2 > len(found)


def read(path: Path, uri: str) -> Iterator[Entry]:
    """One record a line, `application/json`, named `uri#1`, `uri#2`, ...; blank lines are counted."""
    for number, line in enumerate(lines(path), start=1):
        if line.damage is not None:
            yield damaged(line, f"{uri}#{number}")
        elif line.data is not None and not line.data.strip():
            yield Skipped("blank_line")
        else:
            yield _entry(line, f"{uri}#{number}")


def parsed(data: bytes) -> tuple[Any, str | None]:
    """The value of JSON bytes and None, or None and why they are not JSON."""
    try:
        return json.loads(data), None
    except UnicodeDecodeError as error:
        return None, f"invalid_utf8: {error.reason} at byte {error.start}"
    except RecursionError:
        return None, "not_json: nested too deep"
    except ValueError as error:
        return None, f"not_json: {str(error)[:200]}"


def _entry(line: Line, uri: str) -> Record | BadRecord:
    if line.data is None:
        return too_large(uri, line.byte_offset, line.num_bytes, line.sha256)
    value, error = parsed(line.data)
    if error is not None:
        reason, _, detail = error.partition(": ")
        return BadRecord(uri, line.byte_offset, reason, detail, line.sha256)
    if not isinstance(value, dict):
        return BadRecord(uri, line.byte_offset, "not_json_object", f"a {type(value).__name__}", line.sha256)
    return Record(uri, "application/json", line.data, line.byte_offset)


READER = Reader("jsonl", matches, read)

"""A JSON file: an array of objects gives a record an object, anything else is one record; what is text is seen at L1.

`byte_offset` is where the object starts in the decompressed stream, `raw` its very bytes. An array is read through a
window that grows to the limit of a record; after an element that is no JSON the rest of the file is one verdict.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tier_assets.l0_raw.readers.jsonl import parsed
from tier_assets.l0_raw.readers.reader import Head, Reader, whole_record
from tier_assets.l0_raw.records import RECORD_LIMIT, BadRecord, Entry, Record
from tier_assets.l0_raw.streams import CHUNK_BYTES, DamagedStream, chunks, head, whole

BLANKS: Final = b"\xef\xbb\xbf \t\r\n"
ARRAY_START: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*\[\s*\{")
BETWEEN: Final = re.compile(r"[ \t\r\n]*")
DECODER: Final = json.JSONDecoder()


def matches(head: Head) -> bool:
    """Begins as an object or array, and parses as far as it can be seen, or is named `.json`."""
    start = head.data.lstrip(BLANKS)
    if not start.startswith((b"{", b"[")):
        return False
    return head.name.endswith(".json") or (head.complete and parsed(head.data)[1] is None) or _is_array(head)


def _is_array(head: Head) -> bool:
    """Whether a long file begins as an array whose first element is an object."""
    if head.complete or not (found := ARRAY_START.match(head.data)):
        return False
    text = head.data[found.end() - 1 :].decode("utf-8", "replace")
    return _element(text, 0) is not None or text.count("{") > text.count("}")


def read(path: Path, uri: str) -> Iterator[Entry]:
    """Records `application/json`: the file, or `uri#1`, `uri#2`, ... of an array of objects."""
    if ARRAY_START.match(head(path)):
        yield from _Array(path, uri).entries()
        return
    content = whole(path)
    entry = whole_record(content, uri, "application/json")
    if isinstance(entry, Record):
        error = parsed(entry.raw)[1]
        if error is not None:
            reason, _, detail = error.partition(": ")
            entry = BadRecord(uri, 0, reason, detail, content.sha256)
    yield entry


def _element(text: str, start: int) -> tuple[Any, int] | None:
    """The JSON value at `start` and where it ends; None where it is cut, or no JSON.

    Raises:
        RecursionError: it is nested too deep.
    """
    try:
        return DECODER.raw_decode(text, start)
    except ValueError:
        return None


class _Array:
    """A way through an array: `at` is the place in `text`, a window of its characters, `offset` the same in bytes."""

    def __init__(self, path: Path, uri: str) -> None:
        self.chunks = chunks(path)
        self.uri = uri
        self.decoder = codecs.getincrementaldecoder("utf-8")()
        self.text = ""
        self.at = 0
        self.offset = 0
        self.number = 0
        self.ended = False

    def entries(self) -> Iterator[Entry]:
        """The elements; a verdict on the rest where one is no JSON, or the stream is damaged."""
        try:
            self._grow()
            self._advance(self.text.index("[") + 1)
            while not self._at_end():
                self.number += 1
                yield self._next()
        except DamagedStream as damage:
            yield self._rest(damage.reason, damage.detail)
        except UnicodeDecodeError as error:
            yield self._rest("invalid_utf8", error.reason)
        except RecursionError:
            yield self._rest("not_json", "nested too deep")
        except ValueError as error:
            yield self._rest("not_json", str(error))

    def _rest(self, reason: str, detail: str) -> BadRecord:
        return BadRecord(f"{self.uri}#{self.number}", self.offset, reason, f"{detail}; the rest is not read")

    def _next(self) -> Record | BadRecord:
        """The element that begins here."""
        while (found := _element(self.text, self.at)) is None or (found[1] == len(self.text) and not self.ended):
            if self.ended:
                raise ValueError("an element is cut or malformed")
            if len(self.text) - self.at > RECORD_LIMIT:
                raise ValueError(f"an element is malformed or over {RECORD_LIMIT:,} bytes")
            self._grow()
        value, end = found
        raw, uri, place = self.text[self.at : end].encode(), f"{self.uri}#{self.number}", self.offset
        self._advance(end)
        if not isinstance(value, dict):
            return BadRecord(uri, place, "not_json_object", f"a {type(value).__name__}")
        return Record(uri, "application/json", raw, place)

    def _at_end(self) -> bool:
        """Whether the array ends here; else the next element begins here.

        Raises:
            ValueError: neither a comma nor the end follows an element, or something follows the end.
        """
        mark = self._mark()
        if mark == "]":
            self._advance(self.at + 1)
            if self._mark():
                raise ValueError("more follows the end of the array")
            return True
        if self.number:
            if mark != ",":
                raise ValueError("the array is cut" if not mark else f"{mark!r} after an element")
            self._advance(self.at + 1)
            self._mark()
        return False

    def _mark(self) -> str:
        """The next character that is not blank, and the place at it; nothing at the end of the file."""
        while True:
            blanks = BETWEEN.match(self.text, self.at)
            assert blanks is not None  # the pattern matches no characters too
            self._advance(blanks.end())
            if self.at < len(self.text) or self.ended:
                return self.text[self.at : self.at + 1]
            self._grow()

    def _advance(self, place: int) -> None:
        self.offset += len(self.text[self.at : place].encode())
        self.at = place

    def _grow(self) -> None:
        """Drops what is done and doubles what is left, so that an element is tried again a few times only."""
        left = self.text[self.at :]
        parts, wanted = [left], max(len(left), CHUNK_BYTES)
        while wanted > 0 and not self.ended:
            data = next(self.chunks, b"")
            self.ended = not data
            parts.append(self.decoder.decode(data, final=self.ended))
            wanted -= len(data)
        self.text, self.at = "".join(parts), 0


READER = Reader("json", matches, read)

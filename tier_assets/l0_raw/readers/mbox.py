"""mbox: mails one after another, each led by a `From ` line that belongs to the box, not to the mail.

A mail's `raw` is what stands between its `From ` line and the next, less the break and the blank line before that;
`byte_offset` is of `raw` in the decompressed stream. Quoting (`>From `) is left as it is.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tier_assets.l0_raw.readers.mail import has_mail_headers
from tier_assets.l0_raw.readers.reader import Head, Reader, damaged
from tier_assets.l0_raw.records import RECORD_LIMIT, BadRecord, Entry, Record, too_large
from tier_assets.l0_raw.streams import DamagedStream, Line, lines

# "From who Thu Aug 22 12:36:23 2002": a year at the end tells it from a sentence that begins with "From".
FROM_LINE: Final = re.compile(rb"From \S.*\b\d{4}\b[^\n]*$")


def matches(head: Head) -> bool:
    """A `From ` line, then a mail's header."""
    first, _, rest = head.data.partition(b"\n")
    return FROM_LINE.match(first) is not None and has_mail_headers(rest)


def read(path: Path, uri: str) -> Iterator[Entry]:
    """One record a mail, named `uri#1`, `uri#2`, ... in the order of the box."""
    number, mail, after_blank = 1, _Mail(0), True
    for line in lines(path):
        if after_blank and line.data is not None and FROM_LINE.match(line.data):
            if mail.num_bytes or mail.begun:
                yield mail.entry(f"{uri}#{number}")
                number += 1
            mail = _Mail(line.byte_offset + line.num_bytes + 1, begun=True)
        else:
            mail.add(line)
        after_blank = line.data in (b"", b"\r")
        if line.damage is not None:
            yield damaged(mail.line(line.damage), f"{uri}#{number}")
            return
    if mail.num_bytes or mail.begun:
        yield mail.entry(f"{uri}#{number}")


class _Mail:
    """The lines of one mail, held up to the limit of a record; `begun` where a `From ` line led it."""

    def __init__(self, offset: int, begun: bool = False) -> None:
        self.offset = offset
        self.begun = begun
        self.num_bytes = 0
        self.parts: list[bytes] = []
        self.hash = hashlib.sha256()
        self.dropped = False

    def add(self, line: Line) -> None:
        self.num_bytes += line.num_bytes + 1
        self.dropped = self.dropped or line.data is None or self.num_bytes > RECORD_LIMIT
        if self.dropped:
            self.parts.clear()
            self.hash.update(line.sha256.encode())
        else:
            self.parts.append(line.data or b"")

    def line(self, damage: DamagedStream) -> Line:
        return Line(self.offset, self.num_bytes, b"\n".join(self.parts), None, damage)

    def entry(self, uri: str) -> Record | BadRecord:
        if self.dropped:
            return too_large(uri, self.offset, self.num_bytes, self.hash.hexdigest())
        if not self.num_bytes:
            return BadRecord(uri, self.offset, "empty_mail", "nothing follows its `From ` line")
        if self.parts and self.parts[-1] in (b"", b"\r"):
            self.parts.pop()
        return Record(uri, "message/rfc822", b"\n".join(self.parts), self.offset)


READER = Reader("mbox", matches, read)

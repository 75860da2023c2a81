"""Mail folders: one RFC 822 file is one record (Maildir, MH and the like)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tier_assets.l0_raw.readers.reader import Head, Reader, whole_file
from tier_assets.l0_raw.records import Entry

HEADER_BLOCK: Final = re.compile(rb"(?:[!-9;-~]+:[^\n]*\n(?:[ \t]+[^\n]*\n)*)+")
HEADER_NAME: Final = re.compile(rb"^([!-9;-~]+):", re.M)
# A note with "Title:" and "Date:" lines is no mail: one header that only mail has, and a second known one.
ONLY_MAIL: Final = {b"received", b"return-path", b"message-id", b"delivered-to", b"from"}
KNOWN: Final = ONLY_MAIL | {b"to", b"cc", b"subject", b"date", b"reply-to", b"mime-version", b"content-type", b"sender"}


def has_mail_headers(data: bytes) -> bool:
    """Whether bytes begin with the header of a mail."""
    block = HEADER_BLOCK.match(data)
    if block is None:
        return False
    names = {name.lower() for name in HEADER_NAME.findall(block.group())}
    return bool(names & ONLY_MAIL) and len(names & KNOWN) >= 2


def matches(head: Head) -> bool:
    """A mail's header at the start."""
    return has_mail_headers(head.data)


def read(path: Path, uri: str) -> Iterator[Entry]:
    """One record, `message/rfc822`."""
    return whole_file(path, uri, "message/rfc822")


READER = Reader("mail", matches, read)

"""Bytes to text: the charset found, line breaks as `\\n`, nothing that a text column cannot hold.

In: bytes and what was declared about them. Out: text and the number of characters that could not be decoded.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

from resiliparse.parse.encoding import detect_encoding

BOMS: Final = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
META_CHARSET: Final = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?([\w.:-]{1,40})""", re.IGNORECASE)
HEADER_CHARSET: Final = re.compile(r"""charset\s*=\s*["']?([\w.:-]{1,40})""", re.IGNORECASE)
# Escape-based charsets are valid ASCII and so valid UTF-8: only for them does the label come before the bytes.
STATEFUL: Final = ("iso2022", "hz", "utf-7", "utf-16", "utf-32")
BREAKS: Final = re.compile(r"[ \t]*(?:\r\n?|[\n\x0b\x0c\x85\u2028\u2029])")
FORBIDDEN: Final = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff]")
SNIFFED_BYTES: Final = 4096


def decode(raw: bytes, content_type: str | None) -> tuple[str, int]:
    """Text of `raw` and how many invalid sequences became U+FFFD.

    Order: byte-order mark; valid UTF-8 (a wrong Latin-1 label on UTF-8 is far more common than Latin-1 that
    happens to be valid UTF-8); the declared charset; that of an HTML meta tag; the one detected.

    >>> decode("Übung".encode("cp1252"), "text/plain; charset=windows-1252")
    ('Übung', 0)
    """
    for mark, charset in BOMS:
        if raw.startswith(mark):
            return _replacing(raw[len(mark) :], charset)
    declared = declared_charset(raw, content_type)
    if not (declared and declared.startswith(STATEFUL)):
        try:
            return raw.decode("utf-8"), 0
        except UnicodeDecodeError as error:
            if error.end == len(raw) and error.reason == "unexpected end of data":  # cut short in mid-character
                return _replacing(raw, "utf-8")
    if declared and declared not in ("utf-8", "utf8"):
        text, num_invalid = _replacing(raw, declared)
        if not num_invalid:
            return text, 0
    return _replacing(raw, detect_encoding(raw) or "utf-8")


def declared_charset(raw: bytes, content_type: str | None) -> str | None:
    """The charset named by the content type, else by an HTML meta tag; None if neither names one known here."""
    header = HEADER_CHARSET.search(content_type or "")
    meta = META_CHARSET.search(raw[:SNIFFED_BYTES])
    for label in (header and header[1], meta and meta[1].decode("ascii", "replace")):
        if label:
            try:
                codec = codecs.lookup(label)
            except (LookupError, ValueError):
                continue
            if codec._is_text_encoding:  # base64, zlib and the like are codecs too
                return "cp1252" if codec.name == "iso8859-1" else codec.name  # as browsers read that label
    return None


def _replacing(raw: bytes, charset: str) -> tuple[str, int]:
    text = raw.decode(charset, errors="replace")
    return text, text.count("\ufffd")


def tidy(text: str) -> str:
    """`text` as every extractor hands it on: breaks as `\\n`, no blanks before them, no NUL or other control
    characters, no lone surrogates, nothing blank at either end.

    >>> tidy("a \\r\\nb\\x00\\n")
    'a\\nb'
    """
    if FORBIDDEN.search(text):
        text = FORBIDDEN.sub("", text)
    return BREAKS.sub("\n", text).strip()


__all__ = ["declared_charset", "decode", "tidy"]

"""Bytes to text: the charset found, line breaks as `\\n`, nothing that a text column cannot hold.

In: bytes and what was declared about them. Out: text and the number of characters that could not be decoded.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

BOMS: Final = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
META_CHARSET: Final = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?([\w.:-]{1,40})""", re.IGNORECASE)
HEADER_CHARSET: Final = re.compile(r"""charset\s*=\s*["']?([\w.:-]{1,40})""", re.IGNORECASE)
# Looked for at the start of a run of blanks only: else a long run without a break costs the square of its length.
BREAKS: Final = re.compile(r"(?<![ \t])[ \t]*+(?:\r\n?|[\n\x0b\x0c\x85\u2028\u2029])")
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
    # ISO-2022-JP is valid ASCII, UTF-16 of Latin text valid ASCII with NULs: there the label comes before the bytes.
    if declared != "iso2022_jp" and not (declared and declared.startswith("utf-16") and b"\x00" in raw[:SNIFFED_BYTES]):
        try:
            return raw.decode("utf-8"), 0
        except UnicodeDecodeError as error:
            if error.end == len(raw) and error.reason == "unexpected end of data":  # cut short in mid-character
                return _replacing(raw, "utf-8")
    if declared and declared != "utf-8" and (b"\x00" in raw[:SNIFFED_BYTES] or not declared.startswith("utf-16")):
        text, num_invalid = _replacing(raw, declared)
        if not num_invalid:
            return text, 0
    return _replacing(raw, detect_encoding(raw) or "utf-8")


def declared_charset(raw: bytes, content_type: str | None) -> str | None:
    """The charset named by the content type, else by an HTML meta tag, as browsers read labels (WHATWG Encoding);
    None if neither names one of theirs."""
    header = HEADER_CHARSET.search(content_type or "")
    meta = META_CHARSET.search(raw[:SNIFFED_BYTES])
    for label in (header and header[1], meta and meta[1].decode("ascii", "replace")):
        if label and (charset := map_encoding_to_html5(label, fallback_utf8=False)):
            return charset
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

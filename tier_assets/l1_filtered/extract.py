"""Raw bytes to text, one record at a time; pure, and run in killable workers since its input may be hostile.

In: bytes, content type, uri. Out: `Extracted` (title, text, extractor) or `NoText` (a verdict's reason).
HTML costs about 3 ms of CPU a page, a page of PDF as much, everything else well below 1 ms.
"""

from __future__ import annotations

import contextlib
import email
import email.header
import email.message
import email.policy
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from lxml import etree

from tier_assets.l1_filtered.decode import HEADER_CHARSET, decode, tidy
from tier_assets.l1_filtered.html_text import main_text
from tier_assets.l1_filtered.main_text import whole_text

TEXT_FIELDS: Final = ("text", "content", "body", "article", "document", "raw_content", "abstract", "markdown")
TITLE_FIELDS: Final = ("title", "headline", "name", "subject")
URL_FIELDS: Final = ("url", "uri", "link")
PDF_MARK: Final = b"%PDF-"
MAGIC: Final = (
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"PK\x03\x04",
    b"\x1f\x8b",
    b"\x7fELF",
    b"RIFF",
    b"OggS",
)
# Comments are matched once and for all (`*+`, `(?>`): else a page of nothing but comments is tried in all ways.
HTML_START: Final = re.compile(
    rb"\s*+(?:<!--(?>.*?-->)\s*+)*+<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
MAIL_START: Final = re.compile(rb"(?:From |[A-Za-z-]{2,40}:)[^\n]*\n(?:[A-Za-z-]{2,40}:|[ \t])", re.ASCII)
NOT_TEXT_TYPES: Final = (
    "image/",
    "audio/",
    "video/",
    "font/",
    "application/zip",
    "application/gzip",
)
NOT_PROSE_TYPES: Final = ("text/css", "text/javascript", "application/javascript")
JSON_TYPES: Final = ("application/json", "application/x-ndjson", "application/jsonl", "application/x-jsonlines")
MAX_BINARY_SHARE: Final = 0.05  # of NUL and replaced characters; prose in a wrongly named charset stays far below
MAX_HEADER_CHARS: Final = 10_000  # the time to decode a header grows with the square of its length
MAX_LEAVES: Final = 100_000
# Of XML records: PubMed's names, RSS's and Stack Exchange's beside those of JSON.
XML_TITLES: Final = (*TITLE_FIELDS, "articletitle")
XML_TEXTS: Final = ("text", "content", "body", "abstract", "encoded", "description", "summary", "markdown")
XML_BLOCKS: Final = ("p", "para", "li", "l", "head", "title", "abstracttext")
MIN_BLOCKS_SHARE: Final = 0.8  # white space between blocks is no text
MARKUP: Final = re.compile(r"</?(?:p|div|br|a|li|span)\b[^<>]*>", re.IGNORECASE)
# Types that begin as those of source code do.
NOT_CODE_TYPES: Final = ("text/x-markdown", "text/x-rst", "text/x-server-parsed-html", "text/x-mail")


@dataclass(frozen=True, slots=True)
class Extracted:
    """A record's text. `num_invalid` counts byte sequences that could not be decoded."""

    title: str | None
    text: str
    extractor: str
    num_invalid: int = 0


@dataclass(frozen=True, slots=True)
class NoText:
    """Why a record has no text: a verdict's reason, and the value that decided."""

    reason: str
    detail: str | None = None


def extract(raw: bytes, content_type: str | None, uri: str | None) -> Extracted | NoText:
    """Title and text of one record.

    Never raises for what a record holds: what an extractor cannot stomach is `extractor_failed`.

    >>> extract(b"Once upon a time", "text/plain", None).text
    'Once upon a time'
    >>> extract(b"\\x89PNG...", "text/html", None).reason
    'not_text'
    """
    if not raw.strip():
        return NoText("empty_text", f"{len(raw)} bytes")
    kind = "application/pdf" if raw.startswith(PDF_MARK) else _media_type(raw, content_type)
    if raw.startswith(MAGIC) or (kind.startswith((*NOT_TEXT_TYPES, *NOT_PROSE_TYPES)) and kind not in JSON_TYPES):
        return NoText("not_text", kind or "binary")
    try:
        found = _extract_kind(kind, raw, content_type, uri)
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError, AssertionError, RuntimeError) as error:
        # Third-party parsers raise these on malformed input; the record is rejected with what they said.
        return NoText("extractor_failed", f"{type(error).__name__}: {error}"[:200])
    if isinstance(found, NoText):
        return found
    if found.text.count("\x00") + found.num_invalid > MAX_BINARY_SHARE * len(found.text):
        return NoText("not_text", f"{found.num_invalid} invalid sequences")
    text, title = tidy(found.text), tidy(found.title) if found.title else None
    if not any(character.isalnum() for character in text):
        return NoText("empty_text", f"{len(text)} characters")
    return Extracted(title or None, text, found.extractor, found.num_invalid)


def _media_type(raw: bytes, content_type: str | None) -> str:
    """The declared media type, or where it says nothing the one that the bytes show."""
    declared = (content_type or "").split(";")[0].strip().lower()
    if declared not in ("", "application/octet-stream", "text/plain", "unknown/unknown"):
        return declared
    if HTML_START.match(raw[:2000]):
        return "text/html"
    if declared != "text/plain" and raw.lstrip()[:1] == b"{":
        return "application/json"
    if declared != "text/plain" and MAIL_START.match(raw[:2000]):
        return "message/rfc822"
    return declared or "text/plain"


def _extract_kind(kind: str, raw: bytes, content_type: str | None, uri: str | None) -> Extracted | NoText:
    if kind in ("text/html", "application/xhtml+xml", "text/x-server-parsed-html"):
        return _from_html(raw, content_type, uri)
    if kind == "application/pdf":
        return _from_pdf(raw)
    if kind == "message/rfc822":
        return _from_mail(raw)
    if kind in JSON_TYPES or kind.endswith("+json"):
        return _from_json(raw, uri)
    if kind.endswith(("/xml", "+xml")):
        return _from_xml(raw, content_type)
    text, num_invalid = decode(raw, content_type)
    is_code = kind.startswith("text/x-") and kind not in NOT_CODE_TYPES
    return Extracted(None, text, "code" if is_code else "plain", num_invalid)


def _from_html(raw: bytes | str, content_type: str | None, uri: str | None) -> Extracted | NoText:
    page, num_invalid = decode(raw, content_type) if isinstance(raw, bytes) else (raw, 0)
    found = main_text(page, uri)
    if found is None:
        return NoText("no_main_text", f"{len(page)} characters of HTML")
    return Extracted(*found, num_invalid)


def _from_pdf(raw: bytes) -> Extracted | NoText:
    """The text layer, page by page; a scan has none."""
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(raw)
    except pypdfium2.PdfiumError as error:
        return NoText("malformed_pdf", str(error)[:200])
    with contextlib.closing(document):
        title = document.get_metadata_value("Title").strip()
        pages = []
        for page in document:
            with contextlib.closing(page), contextlib.closing(page.get_textpage()) as text:
                pages.append(text.get_text_range())
    # The mark with which pdfium ends a line that breaks a word.
    text = re.sub("[\x02\ufffe]\r?\n?", "", "\n\n".join(pages))
    return Extracted(title or None, text, "pdf_text")


def _from_xml(raw: bytes, content_type: str | None) -> Extracted | NoText:
    """Text of an XML record or document: its text fields (elements or attributes), else all its text."""
    charset = None
    if HEADER_CHARSET.search(content_type or ""):  # of the file that the record was cut from
        raw, charset = decode(raw, content_type)[0].encode(), "utf-8"
    parser = etree.XMLParser(resolve_entities=False, recover=True, huge_tree=False, no_network=True, encoding=charset)
    tree = etree.fromstring(raw, parser=parser)
    if tree is None:
        return NoText("malformed_xml", None)
    titles = [_element_text(element) for element in _outermost(tree, XML_TITLES)]
    title = next(filter(None, [*titles, *_attributes(tree, XML_TITLES)]), None)
    fields = _outermost(tree, XML_TEXTS)
    if any(_local_name(field) == "encoded" for field in fields):  # RSS: the description is its beginning
        fields = [field for field in fields if _local_name(field) == "encoded"]
    texts = [*map(_blocks, fields), *_attributes(tree, XML_TEXTS)]
    if any(texts):
        text = "\n\n".join(whole_text(text) if MARKUP.search(text) else text for text in texts if text)
        return Extracted(title, text, "xml_field")
    lines = (" ".join(text.split()) for text in tree.itertext())
    return Extracted(title, "\n".join(line for line in lines if line), "xml_text")


def _local_name(element: etree._Element) -> str:
    # A record that was cut from its file lacks the declarations of its prefixes: they stay in the tag.
    return str(element.tag).rpartition("}")[2].rpartition(":")[2].lower() if isinstance(element.tag, str) else ""


def _outermost(tree: etree._Element, names: tuple[str, ...]) -> list[etree._Element]:
    """Elements below `tree` that bear one of the names and lie within no other such, in their order."""
    found: list[etree._Element] = []
    inside: etree._Element | None = None
    for event, element in etree.iterwalk(tree, events=("start", "end")):
        if event == "start" and inside is None and element is not tree and _local_name(element) in names:
            inside = element
            found.append(element)
        elif event == "end" and element is inside:
            inside = None
    return found


def _element_text(element: etree._Element) -> str:
    """The text of an element, behind its label where it has one (PubMed's `METHODS`)."""
    text, label = " ".join("".join(element.itertext()).split()), element.get("Label")
    return f"{label}: {text}" if label and text else text


def _blocks(element: etree._Element) -> str:
    """The text of an element, a paragraph a block where nearly all of it is in blocks."""
    text = "".join(element.itertext()).strip()
    blocks = "\n\n".join(filter(None, map(_element_text, _outermost(element, XML_BLOCKS))))
    return blocks if len(blocks) >= MIN_BLOCKS_SHARE * len(text) else text


def _attributes(tree: etree._Element, names: tuple[str, ...]) -> list[str]:
    """Values of the attributes of `tree` that bear one of the names (Stack Exchange: `<row Title=... Body=...>`)."""
    return [value for name, value in tree.attrib.items() if str(name).lower() in names and value.strip()]


def _from_mail(raw: bytes) -> Extracted | NoText:
    """The first text/plain part, else the first HTML part's text; attachments are left out."""
    if raw.startswith(b"From "):  # the separator line of an mbox
        raw = raw[raw.find(b"\n") + 1 :]
    message = email.message_from_bytes(raw, policy=email.policy.compat32)
    title = _header(message.get("subject"))
    html_part: tuple[bytes, str] | None = None
    for part in message.walk():
        kind = part.get_content_type()
        if part.is_multipart() or kind not in ("text/plain", "text/html") or _is_attachment(part):
            continue
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)  # decode=True gives bytes for every part that is not multipart
        declared = f"{kind}; charset={part.get_content_charset() or ''}"
        if kind == "text/plain" and payload.strip():
            text, num_invalid = decode(payload, declared)
            return Extracted(title, text, "mail_plain", num_invalid)
        html_part = html_part or (payload, declared)
    if html_part is None:
        return NoText("empty_text", "no text part in the mail")
    page, num_invalid = decode(*html_part)
    return Extracted(title, whole_text(page), "mail_html", num_invalid)


def _is_attachment(part: email.message.Message) -> bool:
    return str(part.get("content-disposition", "")).strip().lower().startswith("attachment")


def _header(value: Any) -> str | None:
    """A header's text with its encoded words decoded; left as it stands where they are malformed or too many."""
    if value is None:
        return None
    if len(str(value)) > MAX_HEADER_CHARS:
        return str(value)[:MAX_HEADER_CHARS]
    try:
        return str(email.header.make_header(email.header.decode_header(value)))
    except (LookupError, ValueError, email.errors.MessageError):
        return str(value)


def _from_json(raw: bytes, uri: str | None) -> Extracted | NoText:
    """Text of a JSON object: its text field, else the page in its `html` field, else its string leaves by path."""
    text, num_invalid = decode(raw, None)
    try:
        record = json.loads(text, strict=False)
    except (json.JSONDecodeError, RecursionError) as error:
        return NoText("malformed_json", str(error)[:200])
    if not isinstance(record, dict):
        return NoText("not_an_object", type(record).__name__)
    title = _first_string(record, TITLE_FIELDS)
    if body := _first_string(record, TEXT_FIELDS):
        return Extracted(title, body, "json_field", num_invalid)
    if page := _first_string(record, ("html", "raw_html")):
        found = _from_html(page, None, _first_string(record, URL_FIELDS) or uri)
        if isinstance(found, NoText):
            return found
        return Extracted(title or found.title, found.text, found.extractor, num_invalid)
    lines = [line for _, line in zip(range(MAX_LEAVES), _leaves(record, ()))]
    return Extracted(title, "\n".join(lines), "json_leaves", num_invalid)


def _first_string(record: dict[str, Any], names: tuple[str, ...]) -> str | None:
    for name in names:
        value = record.get(name)
        if isinstance(value, str) and value.strip():
            return value
    return None


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[str]:
    """A line `path: string` for each string leaf; a key `text` adds nothing to its path, nor do list positions."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, path if key == "text" else (*path, str(key)))
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, path)
    elif isinstance(value, str) and value.strip():
        yield f"{' / '.join(path)}: {value}" if path else value


__all__ = ["Extracted", "NoText", "extract"]

"""One record through extraction, cleaning, private data and language: what a worker process runs.

The edits of all stages are one list over the extracted text. Apart from the batch functions so that a worker does not
import the rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tier_assets.l1_filtered.clean import clean
from tier_assets.l1_filtered.edits import Edit, apply_edits, compose
from tier_assets.l1_filtered.extract import Extracted, NoText, extract
from tier_assets.l1_filtered.language import detect_language
from tier_assets.l1_filtered.private_data import hide_private

PAGE_EXTRACTORS: Final = ("blocks", "trafilatura")  # only a page's text has lines of the page's frame
# Odd spaces and a telephone number among its lines: no stage passes it over.
WARM_UP_PAGE: Final = (
    "<html><head><title>The river</title></head><body><h1>The\u00a0river</h1><p>It rose in the night and stood in the"
    " streets by noon.</p><p>Call +49 30 901820 to learn more.</p></body></html>"
)
MAX_TEXT_BYTES: Final = 64 << 20  # a longer text is a dump, not a document


@dataclass(frozen=True, slots=True)
class Record:
    """What a worker gets of one L0 row."""

    raw: bytes
    content_type: str | None
    uri: str | None


@dataclass(frozen=True, slots=True)
class Text:
    """What a worker makes of it: the extracted text after `edits`."""

    title: str | None
    text: str
    language: str
    language_score: float
    extractor: str
    num_invalid: int
    edits: tuple[Edit, ...]


def read_record(record: Record, max_text_bytes: int = MAX_TEXT_BYTES) -> Text | NoText:
    """Extract, clean, hide private data and name the language of one record. Runs in a worker."""
    found = extract_record(record)
    if isinstance(found, NoText):
        return found
    num_bytes = len(found.text.encode())
    if num_bytes > max_text_bytes:
        return NoText("too_long", f"{num_bytes} bytes")
    text, edits = tidied(found.text, of_page=found.extractor in PAGE_EXTRACTORS)
    if not text:
        return NoText("only_noise", f"{len(found.text)} characters")
    title = tidied(found.title)[0] if found.title else None
    language, score = detect_language(text)
    return Text(title, text, language, score, found.extractor, found.num_invalid, edits)


def warm_up() -> None:
    """Load what the first page of every worker would: models, compiled functions, patterns (0.2 s)."""
    read_record(Record(WARM_UP_PAGE.encode(), "text/html", None))


def extract_record(record: Record) -> Extracted | NoText:
    """Title and text of one record as they are. Runs in a worker."""
    return extract(record.raw, record.content_type, record.uri)


def tidied(text: str, of_page: bool = False) -> tuple[str, tuple[Edit, ...]]:
    """`text` clean and without private data, and the edits of both stages as one list over `text`.

    >>> tidied("Mail to jane\\u200b.doe@mail.bahn.de")[0]
    'Mail to <EMAIL>'
    """
    cleaned = clean(text, of_page)
    hidden = hide_private(cleaned.text)
    return apply_edits(cleaned.text, hidden), compose(cleaned.edits, hidden)


__all__ = ["MAX_TEXT_BYTES", "PAGE_EXTRACTORS", "Record", "Text", "extract_record", "read_record", "tidied", "warm_up"]

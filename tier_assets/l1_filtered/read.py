"""One record through extraction, cleaning and language: what a worker process runs.

Apart from the batch functions so that a worker imports neither numba nor the rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tier_assets.l1_filtered.clean import Edit, clean
from tier_assets.l1_filtered.extract import NoText, extract
from tier_assets.l1_filtered.language import detect_language

MAX_TEXT_BYTES: Final = 64 << 20  # a longer text is a dump, not a document


@dataclass(frozen=True, slots=True)
class Record:
    """What a worker gets of one L0 row."""

    raw: bytes
    content_type: str | None
    uri: str | None


@dataclass(frozen=True, slots=True)
class Text:
    """What a worker makes of it: the extracted text after cleaning."""

    title: str | None
    text: str
    language: str
    language_score: float
    extractor: str
    num_invalid: int
    edits: tuple[Edit, ...]


def read_record(record: Record, max_text_bytes: int = MAX_TEXT_BYTES) -> Text | NoText:
    """Extract, clean and name the language of one record. Runs in a worker."""
    found = extract(record.raw, record.content_type, record.uri)
    if isinstance(found, NoText):
        return found
    num_bytes = len(found.text.encode())
    if num_bytes > max_text_bytes:
        return NoText("too_long", f"{num_bytes} bytes")
    cleaned = clean(found.text)
    title = clean(found.title).text if found.title else None
    language, score = detect_language(cleaned.text)
    return Text(title, cleaned.text, language, score, found.extractor, found.num_invalid, cleaned.edits)


__all__ = ["MAX_TEXT_BYTES", "Record", "Text", "read_record"]

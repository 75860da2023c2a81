"""L1's stages on one's own JSON Lines (`lake try extract`, `clean`, `private` ...): the very functions of the tier.

A dict out for each dict in, order and `id` kept; in trouble the dict out has an `error`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from typing import Any, Final

import polars as pl

from resources.workers import Died
from tier_assets.l1_filtered.clean import clean
from tier_assets.l1_filtered.deduplicate import duplicates, fingerprint
from tier_assets.l1_filtered.edits import apply_edits
from tier_assets.l1_filtered.extract import NoText
from tier_assets.l1_filtered.filter import DEFAULT, open_workers
from tier_assets.l1_filtered.language import detect_language
from tier_assets.l1_filtered.private_data import count_private, hide_private
from tier_assets.l1_filtered.read import PAGE_EXTRACTORS, Record, extract_record
from tier_assets.l1_filtered.rules import judge

BATCH_LINES: Final = 1000
NO_TEXT: Final = "expected a string in the field 'text'"


def try_extract(lines: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """{id, url, html} -> {id, title, text, extractor}; text and extractor are null beside an `error`."""
    waiting: deque[dict[str, Any]] = deque()  # lines handed to the pool and not answered yet

    def records() -> Iterator[Record]:
        for line in lines:
            waiting.append(line)
            yield Record((_string(line, "html") or "").encode(), "text/html", _string(line, "url"))

    with open_workers(DEFAULT) as pool:
        for result in pool.map(extract_record, records()):
            line = waiting.popleft()
            answer = {"id": line.get("id"), "title": None, "text": None, "extractor": None}
            if not isinstance(line.get("html"), str):
                yield answer | {"error": "expected a string in the field 'html'"}
            elif isinstance(result, Died | NoText):
                yield answer | {"error": result.reason}
            else:
                yield answer | {"title": result.title, "text": result.text, "extractor": result.extractor}


def try_clean(lines: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """{id, text} -> {id, text, edits}, cleaned as web pages; a line may name its own `extractor`.

    `edits` are operations over the text that came in; no edits are `keep_all`.
    """
    for line in lines:
        text = _string(line, "text")
        if text is None:
            yield {"id": line.get("id"), "text": None, "edits": None, "error": NO_TEXT}
        else:
            cleaned = clean(text, of_page=(_string(line, "extractor") or PAGE_EXTRACTORS[0]) in PAGE_EXTRACTORS)
            yield {"id": line.get("id"), "text": cleaned.text, "edits": [asdict(edit) for edit in cleaned.edits]}


def try_private(lines: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """{id, text} -> {id, text, counts}: placeholders instead of private data, and how many of each."""
    for line in lines:
        text = _string(line, "text")
        if text is None:
            yield {"id": line.get("id"), "text": None, "counts": None, "error": NO_TEXT}
        else:
            edits = hide_private(text)
            yield {"id": line.get("id"), "text": apply_edits(text, edits), "counts": count_private(edits)}


def try_language(lines: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """{id, text} -> {id, language, score}."""
    for line in lines:
        text = _string(line, "text")
        if text is None:
            yield {"id": line.get("id"), "language": None, "score": None, "error": NO_TEXT}
        else:
            language, score = detect_language(text)
            yield {"id": line.get("id"), "language": language, "score": score}


def try_judge(lines: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """{id, text} -> {id, keep, reason, margin}, judged as web pages.

    A line may name its own `extractor` and `language`; `margin` is how far a text that is kept is from the nearest
    rule's limit, 0 to 1.
    """
    while batch := list(islice(lines, BATCH_LINES)):
        texts = [_string(line, "text") for line in batch]
        frame = pl.DataFrame(
            {
                "text": [text or "" for text in texts],
                "language": [
                    _string(line, "language") or detect_language(text or "")[0] for line, text in zip(batch, texts)
                ],
                "extractor": [_string(line, "extractor") for line in batch],
            },
            schema={"text": pl.String, "language": pl.String, "extractor": pl.String},
        )
        for line, text, (reason, margin) in zip(
            batch, texts, judge(frame).select("reason", "margin").iter_rows(), strict=True
        ):
            if text is None:
                yield {"id": line.get("id"), "keep": False, "reason": "no_text", "margin": None, "error": NO_TEXT}
            else:
                yield {"id": line.get("id"), "keep": reason is None, "reason": reason, "margin": margin}


def try_dedup(lines: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """{id, text} -> {id, kept_id, similarity}; a line that is kept names itself.

    As within a snapshot of the lake the longest of a cluster is kept; of equally long lines the first.
    """
    ids: list[Any] = []
    prints: list[pl.DataFrame] = []
    while batch := list(islice(lines, BATCH_LINES)):
        texts = pl.Series("text", [_string(line, "text") for line in batch], dtype=pl.String)
        # Positions stand for the lines: ids need not be unique.
        positions = pl.int_range(len(ids), len(ids) + len(batch), eager=True).cast(pl.String).alias("doc_id")
        found = fingerprint(texts.fill_null("")).insert_column(0, positions)
        prints.append(found.with_columns(texts.str.len_chars().alias("num_chars")).filter(texts.is_not_null()))
        ids += [line.get("id") for line in batch]
    if not ids:
        return
    readable = pl.concat(prints).sort("num_chars", descending=True, maintain_order=True)
    dropped = {row["doc_id"]: row for row in duplicates(readable).iter_rows(named=True)}
    with_text = set(readable["doc_id"])
    for position, name in enumerate(ids):
        if twin := dropped.get(str(position)):
            yield {"id": name, "kept_id": ids[int(twin["kept_doc_id"])], "similarity": twin["similarity"]}
        elif str(position) in with_text:
            yield {"id": name, "kept_id": name, "similarity": 1.0}
        else:
            yield {"id": name, "kept_id": name, "similarity": None, "error": NO_TEXT}


def _string(line: dict[str, Any], field: str) -> str | None:
    """The line's string `field`, lone surrogates replaced; None where it is missing or no string."""
    value = line.get(field)
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None


__all__ = ["try_clean", "try_dedup", "try_extract", "try_judge", "try_language", "try_private"]

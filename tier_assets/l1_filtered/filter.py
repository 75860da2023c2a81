"""L1 row by row: raw records in; a row of `l1_texts` out for each, with its text or why it has none.

Extraction, cleaning and language run record by record in killable workers; rules, counts and fingerprints on whole
frames. What depends on other rows (duplicates, withdrawals, benchmarks) comes after: `exclude.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

import polars as pl

from algorithms.repeated_paragraphs import paragraph_hashes
from resources.workers import Workers
from tier_assets.l1_filtered.deduplicate import fingerprint
from tier_assets.l1_filtered.edits import as_struct
from tier_assets.l1_filtered.read import MAX_TEXT_BYTES, Record, Text, read_record
from tier_assets.l1_filtered.rules import judge
from tier_tables import L1_TEXTS

NEEDED: Final = ("doc_id", "corpus", "snapshot", "source_id", "licence", "uri", "content_type", "raw")
KEYS: Final = ("doc_id", "corpus", "snapshot", "source_id", "licence")
MADE: Final = ("reason", "detail", "title", "text", "language", "language_score", "extractor", "edits")
READ: Final = pl.Schema({name: L1_TEXTS.schema[name] for name in (*KEYS, *MADE)})
COUNTS: Final = (
    pl.col("text").str.len_chars().cast(pl.Int64).alias("num_chars"),
    pl.col("text").str.count_matches(r"\S+").cast(pl.Int64).alias("num_words"),
)


@dataclass(frozen=True)
class FilterSettings:
    """Bounds of one record's worker, and the records of one batch."""

    cpu_s: float = 20.0
    memory_bytes: int = 2 << 30
    batch_rows: int = 2000
    max_text_bytes: int = MAX_TEXT_BYTES


DEFAULT: Final = FilterSettings()
SMOKE: Final = FilterSettings(cpu_s=10.0, batch_rows=500)


def open_workers(settings: FilterSettings) -> Workers:
    """A pool with the bounds of `settings`; the caller closes it."""
    return Workers(cpu_s=settings.cpu_s, memory_bytes=settings.memory_bytes)


def as_row(text: Text) -> dict[str, object]:
    """A worker's text as the columns that it makes."""
    return {
        "title": text.title,
        "text": text.text,
        "language": text.language,
        "language_score": text.language_score,
        "extractor": text.extractor,
        "edits": [as_struct(edit) for edit in text.edits],
    }


def extract_batch(raw: pl.DataFrame, pool: Workers, settings: FilterSettings = DEFAULT) -> pl.DataFrame:
    """The text (or `reason` and `detail`) of each row of a batch with the columns `NEEDED`, as `READ`, in order."""
    records = (Record(*row) for row in raw.select("raw", "content_type", "uri").iter_rows())
    read = partial(read_record, max_text_bytes=settings.max_text_bytes)
    rows = []
    for key, result in zip(raw.select(KEYS).iter_rows(named=True), pool.map(read, records), strict=True):
        if isinstance(result, Text):
            rows.append(key | as_row(result))
        else:
            rows.append(key | {"reason": result.reason, "detail": result.detail})
    return pl.DataFrame(rows, schema=READ)


def filter_batch(raw: pl.DataFrame, pool: Workers, settings: FilterSettings = DEFAULT) -> pl.DataFrame:
    """All of L1 that looks at one row alone: rows of L1_TEXTS, one for each of `raw`, in order.

    Raises:
        ValueError: the batch does not bear the columns `NEEDED`.
    """
    missing = [name for name in NEEDED if name not in raw.columns]
    if missing:
        raise ValueError(f"a batch of l0_raw misses columns {missing}; it has {raw.columns}")
    read = extract_batch(raw, pool, settings).with_row_index("row")
    texts = read.filter(pl.col("reason").is_null())
    found = judge(texts).rename({"margin": "rule_margin"})
    judged = texts.drop("reason", "detail").hstack(found).with_columns(COUNTS)
    kept = _with_prints(judged.filter(pl.col("reason").is_null()))
    others = [read.filter(pl.col("reason").is_not_null()), judged.filter(pl.col("reason").is_not_null())]
    return pl.concat([kept, *others], how="diagonal").sort("row").select(L1_TEXTS.schema.names())


def _with_prints(texts: pl.DataFrame) -> pl.DataFrame:
    """`texts` with their tokens, hashes and fingerprints: only what the rules keep is worth them."""
    from resources.tokenizer import count_tokens

    text = texts["text"]
    counted = texts.with_columns(count_tokens(text).alias("num_tokens"), paragraph_hashes(text).alias("paragraphs"))
    return counted.hstack(fingerprint(text))


__all__ = [
    "COUNTS",
    "DEFAULT",
    "NEEDED",
    "SMOKE",
    "FilterSettings",
    "extract_batch",
    "filter_batch",
    "open_workers",
]

"""L1 for a batch: raw records in; rows of l1_filtered with a text hash, and a verdict for every record not kept.

Extraction, cleaning and language run record by record in killable workers; rules and counts on whole frames.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import Final

import polars as pl

from resources.workers import Workers
from tier_assets.l1_filtered.deduplicate import fingerprint
from tier_assets.l1_filtered.read import MAX_TEXT_BYTES, Record, Text, read_record
from tier_assets.l1_filtered.rules import judge
from tier_tables import L1_FILTERED, VERDICTS
from tier_tables.documents import EDIT

TEXTS: Final = pl.Schema(
    {
        "doc_id": pl.String,
        "corpus": pl.String,
        "snapshot": pl.String,
        "uri": pl.String,
        "title": pl.String,
        "text": pl.String,
        "language": pl.String,
        "language_score": pl.Float64,
        "extractor": pl.String,
        "num_invalid": pl.Int64,
    }
    | {"edits": pl.List(EDIT)}
)
NEEDED: Final = ("doc_id", "corpus", "snapshot", "uri", "content_type", "raw")
HASHED: Final = pl.Schema([*L1_FILTERED.schema.items(), ("text_hash", pl.String)])


@dataclass(frozen=True)
class FilterSettings:
    """Bounds of one record's worker, and the records of one batch."""

    cpu_s: float = 20.0
    memory_bytes: int = 2 << 30
    batch_rows: int = 2000
    max_text_bytes: int = MAX_TEXT_BYTES


DEFAULT: Final = FilterSettings()
SMOKE: Final = FilterSettings(cpu_s=10.0, batch_rows=500)


@dataclass(frozen=True)
class Filtered:
    """A batch after L1's row-wise work, duplicates still in.

    `rows`: L1_FILTERED and `text_hash`; `verdicts`: of the rows not kept; `fingerprints`: for each of `rows` its
    doc_id, corpus, snapshot, num_tokens and all that `deduplicate.duplicates` needs once the partition is read.
    """

    rows: pl.DataFrame
    verdicts: pl.DataFrame
    fingerprints: pl.DataFrame


def open_workers(settings: FilterSettings) -> Workers:
    """A pool with the bounds of `settings`; the caller closes it."""
    return Workers(cpu_s=settings.cpu_s, memory_bytes=settings.memory_bytes)


def extract_batch(
    raw: pl.DataFrame, pool: Workers, settings: FilterSettings = DEFAULT
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Texts (`TEXTS`) and verdicts of a batch with the columns of L0_RAW; every row in is in one of them."""
    records = (Record(*row) for row in raw.select("raw", "content_type", "uri").iter_rows())
    read = partial(read_record, max_text_bytes=settings.max_text_bytes)
    texts, rejected = [], []
    keys = raw.select("doc_id", "corpus", "snapshot", "uri").iter_rows(named=True)
    for key, result in zip(keys, pool.map(read, records), strict=True):
        if isinstance(result, Text):
            texts.append(key | asdict(result))
        else:
            rejected.append(key | {"reason": result.reason, "detail": result.detail})
    schema = {"doc_id": pl.String, "corpus": pl.String, "snapshot": pl.String, "reason": pl.String, "detail": pl.String}
    return pl.DataFrame(texts, schema=TEXTS), verdicts(pl.DataFrame(rejected, schema=schema))


def filter_batch(raw: pl.DataFrame, pool: Workers, settings: FilterSettings = DEFAULT) -> Filtered:
    """All of L1 for a batch but duplicates, which need the whole partition.

    Raises:
        ValueError: the batch does not bear the columns of L0_RAW.
    """
    missing = [
        name for name in ("doc_id", "corpus", "snapshot", "uri", "content_type", "raw") if name not in raw.columns
    ]
    if missing:
        raise ValueError(f"a batch of l0_raw misses columns {missing}; it has {raw.columns}")
    texts, no_text = extract_batch(raw, pool, settings)
    judged = texts.hstack(judge(texts))
    rejected = judged.filter(pl.col("reason").is_not_null())
    rows = _rows(judged.filter(pl.col("reason").is_null()))
    prints = rows.select("doc_id", "corpus", "snapshot", "num_tokens").hstack(fingerprint(rows["text"]))
    return Filtered(
        rows=rows.with_columns(prints["text_hash"]),
        verdicts=pl.concat([no_text, verdicts(rejected)]),
        fingerprints=prints,
    )


def verdicts(rejected: pl.DataFrame) -> pl.DataFrame:
    """`rejected` (doc_id, corpus, snapshot, reason and what else it has of VERDICTS) as verdicts of L1."""
    known = set(rejected.columns)
    return rejected.select(
        pl.lit("l1").alias(name)
        if name == "tier"
        else (pl.col(name).cast(dtype) if name in known else pl.lit(None, dtype).alias(name))
        for name, dtype in VERDICTS.schema.items()
    )


def _rows(texts: pl.DataFrame) -> pl.DataFrame:
    from resources.tokenizer import count_tokens

    return (
        texts.with_columns(
            domain=pl.col("corpus"),
            num_chars=pl.col("text").str.len_chars().cast(pl.Int64),
            num_words=pl.col("text").str.count_matches(r"\S+").cast(pl.Int64),
        )
        .with_columns(count_tokens(texts["text"]).alias("num_tokens"))
        .select(L1_FILTERED.schema.names())
    )


__all__ = [
    "DEFAULT",
    "HASHED",
    "SMOKE",
    "TEXTS",
    "FilterSettings",
    "Filtered",
    "extract_batch",
    "filter_batch",
    "open_workers",
    "verdicts",
]

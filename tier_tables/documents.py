"""Tables of documents: what was registered (sources), its bytes (L0) and its text (L1)."""

from __future__ import annotations

import polars as pl

from tier_tables.contract import TIMESTAMP, Column, Table, doc_columns

EDIT = pl.Struct({"op": pl.String, "char_start": pl.Int64, "char_end": pl.Int64, "text": pl.String})

SOURCES = Table(
    "sources",
    "Files registered by `lake ingest` or the landing sensor: one row a version of a file. L0 is made from these.",
    (
        Column("source_id", pl.String, "hash(corpus, snapshot, uri, sha256)"),
        Column("corpus", pl.String, "name of the corpus"),
        Column("snapshot", pl.String, "the corpus's snapshot"),
        Column("uri", pl.String, "name of the file within the corpus: its path below the ingested folder"),
        Column("path", pl.String, "where the bytes are read: landing folder, or the file itself (`--link`)"),
        Column("num_bytes", pl.Int64, "size of the file, bytes"),
        Column("sha256", pl.String, "of the file as stored"),
        Column("format", pl.String, "reader: html, warc, mail, mbox, jsonl, parquet, text"),
        Column("licence", pl.String, "licence as named at ingest", nullable=True),
        Column("registered_at", TIMESTAMP, "when it was registered"),
    ),
    key=("source_id",),
    stepped=False,
)

L0_RAW = Table(
    "l0_raw",
    "L0: raw bytes, traceable. One row a record; never removed.",
    (
        *doc_columns(),
        Column("uri", pl.String, "of the record: URL, message id, or `file#line`"),
        Column("content_type", pl.String, "media type as declared or found", nullable=True),
        Column("raw", pl.Binary, "the payload without transport headers"),
        Column("raw_sha256", pl.String, "of `raw`"),
        Column("num_bytes", pl.Int64, "of `raw`"),
        Column("source_id", pl.String, "the file it was read from"),
        Column(
            "byte_offset",
            pl.Int64,
            "of the record in the source file as stored (WARC.gz: its gzip member's start); "
            "in the decompressed stream for .gz/.zst JSON Lines and mbox; row number for Parquet",
        ),
        Column("licence", pl.String, "of the source", nullable=True),
        Column("fetched_at", TIMESTAMP, "when the record was fetched, where the source says so", nullable=True),
    ),
    key=("doc_id",),
)

L1_FILTERED = Table(
    "l1_filtered",
    "L1: extracted, cleaned, de-duplicated text.",
    (
        *doc_columns(),
        Column("text", pl.String, "normalised main text"),
        Column("title", pl.String, "title, where the source has one", nullable=True),
        Column("language", pl.String, "ISO 639 code"),
        Column("language_score", pl.Float64, "confidence, 0 to 1"),
        Column("domain", pl.String, "training domain: the corpus unless the corpus says otherwise"),
        Column("num_chars", pl.Int64, "code points of `text`"),
        Column("num_words", pl.Int64, "white-space separated words of `text`"),
        Column("num_tokens", pl.Int64, "tokens of `text` under the bundled tokenizer"),
        Column("extractor", pl.String, "what made the text from the bytes"),
        Column("edits", pl.List(EDIT), "operations that turned the extracted text into `text`"),
    ),
    key=("doc_id",),
)

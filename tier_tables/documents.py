"""Tables of documents: what was registered (sources), its bytes (L0), its text and which of it is kept (L1)."""

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
        Column("format", pl.String, "reader, such as warc, html, jsonl, zip; `xml:Record` names a record path"),
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
            "of the record in the source file as stored (WARC.gz: its gzip member's start); in the decompressed stream "
            "for compressed JSON Lines, mbox and the like; row number for Parquet; of an archive's member: its header",
        ),
        Column("licence", pl.String, "of the source", nullable=True),
        Column("fetched_at", TIMESTAMP, "when the record was fetched, where the source says so", nullable=True),
    ),
    key=("doc_id",),
)

CORPORA = Table(
    "corpora",
    "What is expected of a corpus: the last row of each counts. None here: nothing is expected.",
    (
        Column("corpus", pl.String, "name of the corpus"),
        Column("languages", pl.List(pl.String), "ISO 639 codes that its documents may have; empty: any"),
        Column("registered_at", TIMESTAMP, "when it was said"),
    ),
    key=("corpus", "registered_at"),
    partition_by=("corpus",),
    stepped=False,
)

L1_TEXTS = Table(
    "l1_texts",
    "Every L0 record's text, kept or not, with what judges it row by row: extraction is paid for once.",
    (
        *doc_columns(),
        Column("source_id", pl.String, "the file it was read from"),
        Column("licence", pl.String, "of the source", nullable=True),
        Column("reason", pl.String, "the rule that rejects it; null where none does", nullable=True),
        Column("detail", pl.String, "the value that decided", nullable=True),
        Column(
            "rule_margin",
            pl.Float64,
            "distance from the nearest rule's limit, 0 to 1; null with `reason`",
            nullable=True,
        ),
        Column("text", pl.String, "normalised main text; null where there is none", nullable=True),
        Column("title", pl.String, "title, where the source has one", nullable=True),
        Column("language", pl.String, "ISO 639 code", nullable=True),
        Column("language_score", pl.Float64, "confidence, 0 to 1", nullable=True),
        Column("num_chars", pl.Int64, "code points of `text`", nullable=True),
        Column("num_words", pl.Int64, "white-space separated words of `text`", nullable=True),
        Column("num_tokens", pl.Int64, "tokens of `text`; null where a rule rejects it", nullable=True),
        Column("extractor", pl.String, "what made the text from the bytes", nullable=True),
        Column("edits", pl.List(EDIT), "operations that turned the extracted text into `text`", nullable=True),
        Column(
            "text_hash", pl.String, "128 bits of its words; null, as what follows, where a rule rejects", nullable=True
        ),
        Column("bands", pl.List(pl.Int64), "MinHash bands", nullable=True),
        Column("sketch", pl.Binary, "the smallest shingle hashes, sorted uint32", nullable=True),
        Column("paragraphs", pl.List(pl.Int64), "hashes of its paragraphs of five words and more", nullable=True),
    ),
    key=("doc_id",),
)

L1_CONTAMINATED = Table(
    "l1_contaminated",
    "Documents that hold items of a benchmark.",
    (
        *doc_columns(),
        Column("benchmark", pl.String, "name of the benchmark"),
        Column("item", pl.String, "its item that overlaps most"),
        Column("overlap", pl.Float64, "share of the item's n-grams in the document"),
        Column("rule", pl.String, "which n-grams: 13 words, 8 words (fuzzy), or the whole item"),
    ),
    key=("doc_id",),
)

L1_DUPLICATES = Table(
    "l1_duplicates",
    "Every document that was compared with the lake's others. Its cluster of duplicates is named by the one kept: "
    "coalesce(kept_doc_id, doc_id), so that a cluster that grows changes only the rows that come to it.",
    (
        *doc_columns(),
        Column("kept_doc_id", pl.String, "the document kept in its place; null where it is itself kept", nullable=True),
        Column("reason", pl.String, "exact_duplicate or near_duplicate; null where it is kept", nullable=True),
        Column("similarity", pl.Float64, "Jaccard with the kept document", nullable=True),
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
        Column("rule_margin", pl.Float64, "distance from the nearest rule's limit, 0 (at it) to 1", nullable=True),
        Column("extractor", pl.String, "what made the text from the bytes"),
        Column("edits", pl.List(EDIT), "operations that turned the extracted text into `text`"),
    ),
    key=("doc_id",),
)

BENCHMARKS = Table(
    "benchmarks",
    "Items of benchmarks: what holds one of them does not train.",
    (
        Column("benchmark", pl.String, "name of the benchmark"),
        Column("item", pl.String, "id of the item within it"),
        Column("text", pl.String, "question, context and answer of the item"),
        Column("added_at", TIMESTAMP, "when it was added"),
    ),
    key=("benchmark", "item"),
    partition_by=(),
    stepped=False,
)

"""Tables of L3 (refined by language models, verified record by record) and L4 (facts with evidence)."""

from __future__ import annotations

import polars as pl

from tier_tables.contract import Column, Table, doc_columns

MESSAGE = pl.Struct({"role": pl.String, "content": pl.String})

L3_REFINED = Table(
    "l3_refined",
    "L3: records written or edited by a language model, each verified against its source.",
    (
        Column("record_id", pl.String, "hash(task, style, source doc_ids, model, prompt version, output)"),
        *doc_columns(),
        Column("task", pl.String, "edit, qa, ..."),
        Column("style", pl.String, "variant of the task", nullable=True),
        Column("source_doc_ids", pl.List(pl.String), "documents it was made from; `doc_id` is the first"),
        Column("messages", pl.List(MESSAGE), "the record as chat messages"),
        Column("text", pl.String, "the record as plain text"),
        Column("model", pl.String, "model that wrote it"),
        Column("prompt_version", pl.String, "prompt file and its hash"),
        Column("prompt_tokens", pl.Int64, "tokens read by the model for this record"),
        Column("output_tokens", pl.Int64, "tokens written by the model for this record"),
        Column("verification_level", pl.Int64, "0 parsed, 1 grounded, 2 consistent, 3 checked, 4 executed"),
    ),
    key=("record_id",),
)

L4_FACTS = Table(
    "l4_facts",
    "L4: statements that hold by their evidence.",
    (
        Column("fact_id", pl.String, "hash(statement, doc_id, span)"),
        *doc_columns(),
        Column("statement", pl.String, "one claim in one sentence"),
        Column("topic", pl.String, "what it is about", nullable=True),
        Column("state", pl.String, "verified or withdrawn"),
        Column("confidence", pl.Float64, "0 to 1"),
    ),
    key=("fact_id",),
)

L4_EVIDENCE = Table(
    "l4_evidence",
    "Where a fact stands: the exact span of the L1 text and the L0 record behind it.",
    (
        Column("fact_id", pl.String, "the fact"),
        *doc_columns(),
        Column("char_start", pl.Int64, "0-based, in code points of l1_filtered.text"),
        Column("char_end", pl.Int64, "exclusive"),
        Column("quote", pl.String, "the text at that span, to the letter"),
        Column("byte_offset", pl.Int64, "of the L0 record, as in l0_raw"),
        Column("num_bytes", pl.Int64, "of the L0 record, as in l0_raw"),
    ),
    key=("fact_id", "char_start"),
)

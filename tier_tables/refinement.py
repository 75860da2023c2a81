"""Tables of L3 (refined by language models, verified record by record) and L4 (facts with evidence)."""

from __future__ import annotations

import polars as pl

from tier_tables.contract import TIMESTAMP, Column, Table, doc_columns

MESSAGE = pl.Struct({"role": pl.String, "content": pl.String})

SPAN = pl.Struct({"doc_id": pl.String, "char_start": pl.Int64, "char_end": pl.Int64})

L3_REFINED = Table(
    "l3_refined",
    "L3: records written or edited by a language model, each verified against its source.",
    (
        Column("record_id", pl.String, "hash(task, style, source doc_ids, model, prompt version, prompt, output)"),
        *doc_columns(),
        Column("task", pl.String, "edit, lookup, qa, conversation, rewrite, knowledge, exercise, repair, code"),
        Column("style", pl.String, "style, level or kind within the task", nullable=True),
        Column("source_doc_ids", pl.List(pl.String), "documents it was made from; `doc_id` is the first"),
        Column("source_spans", pl.List(SPAN), "what of them the model saw: code points of l1_filtered.text"),
        Column(
            "parent_record_id", pl.String, "record it was made from, such as an exercise's knowledge", nullable=True
        ),
        Column("messages", pl.List(MESSAGE), "the record as chat messages"),
        Column("text", pl.String, "the record as plain text"),
        Column("answer", pl.String, "final answer of worked reasoning", nullable=True),
        Column("tests", pl.String, "tests that the record's code must pass", nullable=True),
        Column("model", pl.String, "model that wrote it, with its revision; `rule` where only rules edited it"),
        Column("prompt_version", pl.String, "prompt file and its hash"),
        Column("temperature", pl.Float64, "of the sampling"),
        Column("seed", pl.Int64, "of the sampling: the index of the sample"),
        Column("max_tokens", pl.Int64, "most tokens that the reply could have"),
        Column("prompt_tokens", pl.Int64, "tokens read by the model for this record, its checks included"),
        Column("output_tokens", pl.Int64, "tokens written by the model for this record, its checks included"),
        Column("seconds", pl.Float64, "from handing its requests to the engine to their replies, added up"),
        Column(
            "verification_level", pl.Int64, "0 parsed, 1 grounded, 2 consistent, 3 checked, 4 executed: the highest"
        ),
        Column("levels", pl.List(pl.Int64), "all levels that hold, in order"),
        Column("check_model", pl.String, "model that answered the checks", nullable=True),
        Column("entailment", pl.Float64, "how far the source bears it out, 0 to 1, by the encoder", nullable=True),
    ),
    key=("record_id",),
)

L3_EDITS = Table(
    "l3_edits",
    "Edit programs: every operation proposed for a passage, applied, refused or undone. The text of a record is its "
    "parent's span with the applied operations done, in order of `number`.",
    (
        Column("operation_id", pl.String, "hash(doc_id, span of the passage, operation, place, old, new)"),
        *doc_columns(),
        Column("record_id", pl.String, "record or rejected candidate that the program made"),
        Column("number", pl.Int64, "place in the program, from 0"),
        Column("operation", pl.String, "keep_all, remove_all, remove_lines, replace_str or add_line"),
        Column("line", pl.Int64, "first line concerned, from 1, within the passage"),
        Column("last_line", pl.Int64, "last line concerned"),
        Column("old", pl.String, "what stood there"),
        Column("new", pl.String, "what stands there now"),
        Column("char_start", pl.Int64, "0-based, in code points of l1_filtered.text"),
        Column("char_end", pl.Int64, "exclusive"),
        Column("proposer", pl.String, "`model`, or the rule's name"),
        Column("state", pl.String, "applied, refused or undone"),
        Column("reason", pl.String, "why it is not applied", nullable=True),
    ),
    key=("record_id", "number"),
)

EDIT_UNDOS = Table(
    "edit_undos",
    "Operations that a person took back; the last row of an operation counts. They hold from the next refinement on.",
    (
        *doc_columns(),
        Column("operation_id", pl.String, "as in l3_edits"),
        Column("reason", pl.String, "why; null does it again", nullable=True),
        Column("undone_at", TIMESTAMP, "when"),
    ),
    key=("operation_id", "undone_at"),
    stepped=False,
)

L3_DIVERSITY = Table(
    "l3_diversity",
    "How varied the records of each task are, beside their sources: a collapse of the model shows here.",
    (
        Column("corpus", pl.String, "partition"),
        Column("snapshot", pl.String, "partition"),
        Column("task", pl.String, "as in l3_refined"),
        Column("num_records", pl.Int64, "records counted"),
        Column("num_words", pl.Int64, "their words"),
        Column("distinct_2", pl.Float64, "different pairs of words / pairs, over a fixed number of words"),
        Column("distinct_4", pl.Float64, "the same of four words"),
        Column("source_distinct_2", pl.Float64, "of as many words of the sources"),
        Column("source_distinct_4", pl.Float64, "of as many words of the sources"),
        Column("spread", pl.Float64, "1 - mean cosine of two records' embeddings; null without encoder", nullable=True),
        Column("source_spread", pl.Float64, "the same of their sources", nullable=True),
    ),
    key=("corpus", "snapshot", "task"),
)

TRAINING_USES = Table(
    "training_uses",
    "Which verification level each use in training asks of a task's records; the last row of a use and task counts.",
    (
        Column("use", pl.String, "mid_training, decay or alignment"),
        Column("task", pl.String, "as in l3_refined; null for every task without a row of its own", nullable=True),
        Column("min_level", pl.Int64, "records below are not used; 5 keeps a task out"),
        Column("reason", pl.String, "why"),
        Column("set_at", TIMESTAMP, "when"),
    ),
    key=("use", "task", "set_at"),
    partition_by=(),
    stepped=False,
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

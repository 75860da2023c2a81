"""The lake's books: what every step did (ledger), why a row was dropped (verdicts), who descends from whom
(lineage), what the checks found, and what models replied."""

from __future__ import annotations

import polars as pl

from tier_tables.contract import TIMESTAMP, Column, Table, doc_columns

READ = pl.Struct({"table": pl.String, "version": pl.Int64, "state": pl.String})
WRITTEN = pl.Struct({"table": pl.String, "slice": pl.String, "version": pl.Int64, "token": pl.String})

VERDICTS = Table(
    "verdicts",
    "Why a row is not in a tier: the current state, one row per (tier, doc_id, record_id).",
    (
        Column("tier", pl.String, "tier that judged"),
        *doc_columns(),
        Column("record_id", pl.String, "candidate record at l3 and l4", nullable=True),
        Column("task", pl.String, "task of the candidate record", nullable=True),
        Column("reason", pl.String, "what is wrong, such as too_few_words"),
        Column("detail", pl.String, "the value that decided", nullable=True),
        Column("reply", pl.String, "the model's raw reply (l3, l4)", nullable=True),
        Column("kept_doc_id", pl.String, "of a duplicate: the row kept in its place", nullable=True),
        Column(
            "similarity",
            pl.Float64,
            "of a duplicate with the kept row: Jaccard (l1), cosine (l2)",
            nullable=True,
        ),
        Column("round", pl.Int64, "selection round that judged (l2)", nullable=True),
    ),
    key=("tier", "doc_id", "record_id"),
    partition_by=("tier", "corpus", "snapshot"),
)

WITHDRAWALS = Table(
    "withdrawals",
    "Documents that may not be used any more: their verdict at l1 is `withdrawn_<reason>`, and nothing descends from "
    "them. The last row of a document counts.",
    (
        *doc_columns(),
        Column("reason", pl.String, "why, such as takedown; null takes the withdrawal back", nullable=True),
        Column("withdrawn_at", TIMESTAMP, "when"),
    ),
    key=("doc_id", "withdrawn_at"),
    stepped=False,
)

LINEAGE = Table(
    "lineage",
    "Parents of every derived row that has its own id.",
    (
        Column("child_table", pl.String, "table of the child"),
        Column("corpus", pl.String, "of the child"),
        Column("snapshot", pl.String, "of the child"),
        Column("child_id", pl.String, "id of the child"),
        Column("parent_table", pl.String, "table of the parent"),
        Column("parent_id", pl.String, "id of the parent"),
    ),
    key=("child_table", "child_id", "parent_table", "parent_id"),
    partition_by=("child_table", "corpus", "snapshot"),
)

TIER_LEDGER = Table(
    "tier_ledger",
    "One row a finished step: what it read and wrote, what it kept, what it cost. Readers use only what it names.",
    (
        Column("tier", pl.String, "l0 to l4"),
        Column("step", pl.String, "the asset"),
        Column("corpus", pl.String, "partition; null for a step over all partitions", nullable=True),
        Column("snapshot", pl.String, "partition; null for a step over all partitions", nullable=True),
        Column("round", pl.Int64, "selection round (l2)", nullable=True),
        Column("run_id", pl.String, "Dagster run"),
        Column(
            "input_versions", pl.List(READ), "tables read, their Delta versions, and fingerprints of the slices read"
        ),
        Column("output_versions", pl.List(WRITTEN), "slices written and their Delta versions"),
        Column("rows_in", pl.Int64, "rows judged: kept + rejected"),
        Column("rows_kept", pl.Int64, "rows kept"),
        Column("rows_rejected", pl.Int64, "rows with a verdict"),
        Column("tokens_in", pl.Int64, "tokens judged (0 at l0)"),
        Column("tokens_kept", pl.Int64, "tokens kept"),
        Column("tokens_rejected", pl.Int64, "tokens with a verdict"),
        Column("cpu_s", pl.Float64, "CPU seconds of the process and its workers"),
        Column("gpu_s", pl.Float64, "seconds an accelerator was held"),
        Column("llm_s", pl.Float64, "seconds spent asking language models"),
        Column("prompt_tokens", pl.Int64, "read by language models, replays not counted"),
        Column("cached_prompt_tokens", pl.Int64, "of those, served from the prefix cache"),
        Column("output_tokens", pl.Int64, "written by language models, replays not counted"),
        Column("code_version", pl.String, "of the step: hash of its settings and code"),
        Column("started_at", TIMESTAMP, "start"),
        Column("finished_at", TIMESTAMP, "end"),
    ),
    key=("step", "corpus", "snapshot", "finished_at"),
    partition_by=(),
    stepped=False,
)

CHECK_RESULTS = Table(
    "check_results",
    "What the quality checks found, one row a check and partition version.",
    (
        Column("tier", pl.String, "tier judged"),
        Column("corpus", pl.String, "partition"),
        Column("snapshot", pl.String, "partition"),
        Column("check_name", pl.String, "name of the check"),
        Column("severity", pl.String, "error (blocks the next tier) or warn"),
        Column("passed", pl.Boolean, "whether it held"),
        Column("num_failed", pl.Int64, "failing rows"),
        Column("failing_keys", pl.List(pl.String), "keys of up to 20 failing rows"),
        Column("detail", pl.String, "what was expected and found", nullable=True),
        Column("state", pl.String, "fingerprint of the partition's files that were judged"),
        Column("run_id", pl.String, "Dagster run, or `cli`"),
        Column("checked_at", TIMESTAMP, "when"),
    ),
    key=("tier", "corpus", "snapshot", "check_name", "checked_at"),
    partition_by=(),
    stepped=False,
)

MODEL_REPLIES = Table(
    "model_replies",
    "The replay cache: what a model answered, so that a re-run asks nothing twice.",
    (
        Column("key", pl.String, "hash(model, prompt version, prompt, parameters, sample index)"),
        Column("model", pl.String, "model asked"),
        Column("prompt_version", pl.String, "prompt file and its hash"),
        Column("text", pl.String, "the reply; null where the options' probabilities were asked", nullable=True),
        Column("probabilities", pl.List(pl.Float64), "of the options, rounded to 1e-4", nullable=True),
        Column("error", pl.String, "too_long, refused, timed_out, ...; null for a reply", nullable=True),
        Column("prompt_tokens", pl.Int64, "read by the model"),
        Column("output_tokens", pl.Int64, "written by the model"),
        Column("seconds", pl.Float64, "from handing the request to the engine to its reply, others under way"),
    ),
    key=("key",),
    partition_by=(),
    stepped=False,
)

"""Tables through which training speaks back: telemetry, probes, influence, mixtures."""

from __future__ import annotations

import polars as pl

from tier_tables.contract import Column, Table, doc_columns

TRAINING_TELEMETRY = Table(
    "training_telemetry",
    "What a training run reports, one row a step and domain.",
    (
        Column("run", pl.String, "training run"),
        Column("step", pl.Int64, "optimizer step"),
        Column("domain", pl.String, "training domain"),
        Column("tokens", pl.Int64, "seen so far in the run, all domains"),
        Column("domain_tokens", pl.Int64, "of this row's domain"),
        Column("loss", pl.Float64, "nats a token"),
        Column("lr", pl.Float64, "learning rate"),
        Column("checkpoint", pl.String, "checkpoint written at this step", nullable=True),
    ),
    key=("run", "step", "domain"),
    partition_by=(),
    stepped=False,
)

INFLUENCE_PROBES = Table(
    "influence_probes",
    "Local probes of the training model (MATES, arXiv 2406.06046).",
    (
        *doc_columns(),
        Column("checkpoint", pl.String, "checkpoint probed"),
        Column("kind", pl.String, "true (one optimizer step) or first_order"),
        Column("score", pl.Float64, "loss difference on the reference; rounded to 1e-4"),
        Column("step_length", pl.Float64, "length of the step"),
        Column("reference_version", pl.String, "version of the reference set"),
    ),
    key=("checkpoint", "kind", "doc_id"),
    partition_by=(),
)

INFLUENCE_MODELS = Table(
    "influence_models",
    "Influence models learnt from probes.",
    (
        Column("model_version", pl.String, "hash of the model"),
        Column("kind", pl.String, "n-gram ridge, hidden-state ridge, encoder"),
        Column("checkpoint", pl.String, "checkpoint it was learnt on"),
        Column("reference_version", pl.String, "version of the reference set"),
        Column("num_labels", pl.Int64, "probes it learnt from"),
        Column("spearman", pl.Float64, "cross-validated, all domains", nullable=True),
        Column("spearman_within", pl.Float64, "cross-validated, within domains", nullable=True),
        Column("audit_spearman", pl.Float64, "against true probes", nullable=True),
        Column("flops", pl.Float64, "spent on probes, fitting and prediction"),
        Column("cpu_s", pl.Float64, "CPU seconds spent"),
        Column("promoted", pl.Boolean, "whether selection may use it"),
    ),
    key=("model_version",),
    partition_by=(),
)

INFLUENCE_SCORES = Table(
    "influence_scores",
    "Predicted influence of every document of the pool.",
    (
        Column("model_version", pl.String, "influence model"),
        *doc_columns(),
        Column("score", pl.Float64, "rounded to 1e-4"),
        Column("uncertainty", pl.Float64, "standard deviation of the prediction"),
    ),
    key=("model_version", "doc_id"),
    partition_by=("model_version", "corpus", "snapshot"),
)

MIXTURES = Table(
    "mixtures",
    "Weights of the domains in a training stage; every change is a row.",
    (
        Column("stage", pl.String, "training stage"),
        Column("run", pl.String, "training run"),
        Column("step", pl.Int64, "from this step on"),
        Column("domain", pl.String, "training domain"),
        Column("weight", pl.Float64, "share of the draw, sums to 1 over domains"),
        Column("table_versions", pl.String, "tables drawn from and their versions (JSON)"),
        Column("seed", pl.Int64, "of the draw"),
    ),
    key=("stage", "run", "step", "domain"),
    partition_by=(),
    stepped=False,
)

"""Tables through which training speaks back: telemetry, reference sets, probes, influence, rounds, mixtures, draws."""

from __future__ import annotations

import polars as pl

from tier_tables.contract import TIMESTAMP, Column, Table, doc_columns

TRAINING_TELEMETRY = Table(
    "training_telemetry",
    "What training runs report, one row a run, step and domain; the first report of it counts.",
    (
        Column("run", pl.String, "training run"),
        Column("step", pl.Int64, "optimizer step, from 1"),
        Column("domain", pl.String, "training domain"),
        Column("tokens", pl.Int64, "seen so far in the run, all domains"),
        Column("domain_tokens", pl.Int64, "seen so far in the run, of this row's domain"),
        Column("loss", pl.Float64, "nats a token"),
        Column("lr", pl.Float64, "learning rate"),
        Column("checkpoint", pl.String, "folder of the checkpoint written at this step", nullable=True),
        Column("optimizer", pl.String, "file of the optimizer's state at the checkpoint", nullable=True),
        Column("received_at", TIMESTAMP, "when the lake took it"),
    ),
    key=("run", "step", "domain"),
    partition_by=(),
    stepped=False,
)

TELEMETRY_REFUSED = Table(
    "telemetry_refused",
    "Reports that were not taken into training_telemetry, and why.",
    (
        Column("run", pl.String, "training run, where it could be read", nullable=True),
        Column("step", pl.Int64, "optimizer step, where it could be read", nullable=True),
        Column("domain", pl.String, "training domain, where it could be read", nullable=True),
        Column("reason", pl.String, "what is wrong, such as loss_not_finite"),
        Column("detail", pl.String, "the value that decided, and what would be right"),
        Column("line", pl.String, "the report as it came (JSON)"),
        Column("received_at", TIMESTAMP, "when it came"),
    ),
    key=("received_at", "run", "step", "domain"),
    partition_by=(),
    stepped=False,
)

STEERING_RUNS = Table(
    "steering_runs",
    "Which training run steers the selection, from when on; the last row counts.",
    (
        Column("run", pl.String, "training run"),
        Column("chosen_at", TIMESTAMP, "when"),
    ),
    key=("run", "chosen_at"),
    partition_by=(),
    stepped=False,
)

REFERENCE_ITEM = pl.Struct({"item_id": pl.String, "domain": pl.String, "text": pl.String})

REFERENCE_SETS = Table(
    "reference_sets",
    "What influence is measured on, as it was asked for; the last row of a role counts.",
    (
        Column("name", pl.String, "name of the set"),
        Column("role", pl.String, "reference (to become better at) or guard (not to become worse at)"),
        Column("source", pl.String, "rated, general, l3_refined, l4_facts, or file"),
        Column("items", pl.List(REFERENCE_ITEM), "the items of a file; of a table none"),
        Column("added_at", TIMESTAMP, "when"),
    ),
    key=("role", "added_at"),
    partition_by=(),
    stepped=False,
)

REFERENCE_ITEMS = Table(
    "reference_items",
    "The items of the reference sets in force.",
    (
        Column("reference_version", pl.String, "hash of all items and what they are for"),
        Column("role", pl.String, "reference or guard"),
        Column("name", pl.String, "name of the set"),
        Column("item_id", pl.String, "doc_id, record_id, fact_id, or the file's id"),
        Column("domain", pl.String, "domain of the item"),
        Column("text", pl.String, "what the loss is measured on"),
        Column("doc_ids", pl.List(pl.String), "documents that it is, or descends from; of a file none"),
    ),
    key=("role", "item_id"),
    partition_by=(),
)

HELD_OUT = Table(
    "held_out",
    "Documents that are not in the pool: ancestors of a reference item, and what nearly repeats one. They are not "
    "probed, bear no influence and are not drawn for training.",
    (
        *doc_columns(),
        Column("reference_version", pl.String, "version of the reference sets"),
        Column("reason", pl.String, "ancestor or near_duplicate"),
        Column("item_id", pl.String, "the reference item"),
        Column("similarity", pl.Float64, "of a near duplicate: share of the item's word 5-grams", nullable=True),
    ),
    key=("doc_id",),
    partition_by=(),
)

INFLUENCE_PROBES = Table(
    "influence_probes",
    "Local probes of the training model (MATES, arXiv 2406.06046): what a step on a document does to the reference.",
    (
        *doc_columns(),
        Column("domain", pl.String, "domain of the document"),
        Column("run", pl.String, "training run"),
        Column("checkpoint", pl.String, "checkpoint probed"),
        Column("kind", pl.String, "true (one optimizer step) or first_order"),
        Column("char_start", pl.Int64, "where the probed window begins in l1_filtered.text"),
        Column("char_end", pl.Int64, "where it ends"),
        Column(
            "score",
            pl.Float64,
            "above 0 it helps more than the mean probe of its kind; standard deviations, to 1e-4",
        ),
        Column("effect", pl.Float64, "change of the reference loss, nats a token; below 0 it helps"),
        Column("step_length", pl.Float64, "length of the step in weights"),
        Column("flops", pl.Float64, "spent on it, with its share of what all probes of its kind need"),
        Column("cpu_s", pl.Float64, "CPU seconds spent, likewise"),
        Column("reference_version", pl.String, "version of the reference sets"),
    ),
    key=("checkpoint", "kind", "doc_id"),
    partition_by=(),
)

INFLUENCE_MODELS = Table(
    "influence_models",
    "Influence models learnt from probes, oldest first.",
    (
        Column("model_version", pl.String, "hash of the model and what it learnt from"),
        Column("kind", pl.String, "ngram_ridge, hidden_ridge, or encoder"),
        Column("run", pl.String, "training run"),
        Column("step", pl.Int64, "the run's step at the checkpoint"),
        Column("checkpoint", pl.String, "checkpoint it was learnt on"),
        Column("reference_version", pl.String, "version of the reference sets"),
        Column("data_versions", pl.String, "tables learnt from and their versions (JSON)"),
        Column("num_labels", pl.Int64, "probes it learnt from"),
        Column("spearman", pl.Float64, "cross-validated, all domains", nullable=True),
        Column("spearman_within", pl.Float64, "cross-validated, mean within domains", nullable=True),
        Column("spearman_domain_mean", pl.Float64, "of the domains' means alone", nullable=True),
        Column("audit_spearman", pl.Float64, "of the first-order probes with the true ones", nullable=True),
        Column("num_audited", pl.Int64, "true probes"),
        Column("drift", pl.Float64, "1 - Spearman of its predictions with those of the model before", nullable=True),
        Column("flops", pl.Float64, "spent on probes, fitting, and prediction over the pool"),
        Column("audit_flops", pl.Float64, "spent on true probes"),
        Column("stage_flops", pl.Float64, "spent on the stage of training that was probed", nullable=True),
        Column("cpu_s", pl.Float64, "CPU seconds spent, the audit's too"),
        Column("promoted", pl.Boolean, "whether selection may use it"),
        Column("refused", pl.String, "why it may not; null where promoted", nullable=True),
        Column("fitted_at", TIMESTAMP, "when"),
        Column("artefact", pl.Binary, "the model itself"),
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
        Column("score", pl.Float64, "in the unit of the probes' score; rounded to 1e-4"),
        Column("uncertainty", pl.Float64, "standard deviation of the prediction"),
    ),
    key=("model_version", "doc_id"),
    partition_by=("model_version", "corpus", "snapshot"),
)

INFLUENCE_ROUNDS = Table(
    "influence_rounds",
    "Selection rounds after the first, in order: what opened each.",
    (
        Column("round", pl.Int64, "selection round, from 2"),
        Column("kind", pl.String, "influence (a model was promoted) or rollback"),
        Column("model_version", pl.String, "influence model selected by; null for none", nullable=True),
        Column("restores", pl.Int64, "of a rollback: the round whose members it restores", nullable=True),
        Column("opened_at", TIMESTAMP, "when"),
    ),
    key=("round",),
    partition_by=(),
    stepped=False,
)

OUT_OF_POLICY = Table(
    "out_of_policy",
    "Records of L3 and facts of L4 whose document is not in L2 any more: kept, not for use.",
    (
        Column("child_table", pl.String, "l3_refined or l4_facts"),
        *doc_columns(),
        Column("child_id", pl.String, "record_id or fact_id"),
        Column("reason", pl.String, "why its document was demoted"),
        Column("round", pl.Int64, "round of the demotion"),
    ),
    key=("child_table", "child_id"),
)

MIXTURES = Table(
    "mixtures",
    "Weights of the domains in a training stage; every change is a row.",
    (
        Column("stage", pl.String, "training stage"),
        Column("run", pl.String, "training run"),
        Column("arm", pl.String, "how documents were drawn, such as cynical; control is the random arm"),
        Column("step", pl.Int64, "from this step on"),
        Column("domain", pl.String, "training domain"),
        Column("weight", pl.Float64, "share of the arm's tokens, sums to 1 over domains"),
        Column("policy", pl.String, "what set the weight: the draw, or a mixture policy such as slope:mean"),
        Column("num_documents", pl.Int64, "documents drawn; 0 where only the weight changed"),
        Column("num_tokens", pl.Int64, "their tokens"),
        Column("table_versions", pl.String, "tables drawn from and their versions (JSON)"),
        Column("seed", pl.Int64, "of the draw"),
        Column("made_at", TIMESTAMP, "when; of a stage, arm, step and domain the last row counts"),
    ),
    key=("stage", "run", "arm", "step", "domain", "made_at"),
    partition_by=(),
    stepped=False,
)

STAGE_DRAWS = Table(
    "stage_draws",
    "The documents that a training stage consumes, by arm, in order. A document is drawn once in a run's stages.",
    (
        Column("stage", pl.String, "training stage"),
        Column("arm", pl.String, "how it was drawn; control is the random arm"),
        Column("place", pl.Int64, "order of consumption, from 0"),
        *doc_columns(),
        Column("domain", pl.String, "training domain"),
        Column("num_tokens", pl.Int64, "by the lake's tokenizer"),
        Column("value", pl.Float64, "what the arm drew by; null at random", nullable=True),
    ),
    key=("stage", "arm", "doc_id"),
    partition_by=("stage",),
)

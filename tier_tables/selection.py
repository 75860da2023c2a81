"""Tables of L2: what the language model said of a sample (annotations), what the lake's own pages teach (page labels),
what was learnt from both (scorers) and how it did in training (verifications), every document's embedding and scores,
the policies, and the documents selected by them."""

from __future__ import annotations

import polars as pl

from tier_tables.contract import TIMESTAMP, Column, Table, doc_columns

L2_ANNOTATIONS = Table(
    "l2_annotations",
    "Ratings of a seed sample by a language model, one row a window and dimension. Drawn over all partitions.",
    (
        *doc_columns(),
        Column("dimension", pl.String, "what is rated, such as educational_value"),
        Column("part", pl.Int64, "which part of the document was shown, 0 for the first"),
        Column("char_start", pl.Int64, "where the window begins in l1_filtered.text"),
        Column("char_end", pl.Int64, "where it ends"),
        Column("rating", pl.Float64, "expected value over the options 0 to 5, rounded to 1e-4"),
        Column("distribution", pl.List(pl.Float64), "probability of each option 0 to 5"),
        Column("model", pl.String, "model that rated"),
        Column("prompt_version", pl.String, "prompt file and its hash"),
    ),
    key=("doc_id", "part", "dimension", "model", "prompt_version"),
    partition_by=(),
)

L2_PAGE_LABELS = Table(
    "l2_page_labels",
    "What L1 kept of a web page and what it cut from the same page, as windows of equal length: labels that the lake "
    "makes itself.",
    (
        *doc_columns(),
        Column("kept", pl.Boolean, "whether the window is of the text that L1 kept"),
        Column("text", pl.String, "the window: white space collapsed, a line break between blocks"),
    ),
    key=("doc_id", "kept"),
    partition_by=(),
)

BY_CORPUS = pl.Struct({"corpus": pl.String, "num_labels": pl.Int64, "spearman": pl.Float64})

SCORERS = Table(
    "scorers",
    "Scorers by fit: artefacts learnt together. The last fit that is no worse than the one before, and that its "
    "verification did not refuse, scores every partition.",
    (
        Column("fit", pl.String, "hash of all artefacts that were learnt together"),
        Column("scorer", pl.String, "name of the scorer"),
        Column("scorer_version", pl.String, "hash of the artefact"),
        Column("kind", pl.String, "linear, encoder, ngrams or clusters"),
        Column("annotation_version", pl.Int64, "version of l2_annotations that it learnt from"),
        Column("num_labels", pl.Int64, "annotated windows that it learnt from"),
        Column("num_page_labels", pl.Int64, "windows of l2_page_labels that it learnt from"),
        Column("spearman", pl.Float64, "rank correlation with the model's ratings, out of fold", nullable=True),
        Column("spearman_low", pl.Float64, "lower end of its 95% interval (bootstrap)", nullable=True),
        Column("spearman_high", pl.Float64, "upper end", nullable=True),
        Column("spearman_across", pl.Float64, "the same with whole corpora left out of the fit", nullable=True),
        Column("by_corpus", pl.List(BY_CORPUS), "the same within each corpus, out of fold", nullable=True),
        Column("calibration_error", pl.Float64, "mean |mean score - mean rating| over ten bins", nullable=True),
        Column("refused", pl.String, "why it may not score: worse than the last; null where it may", nullable=True),
        Column("artefact", pl.Binary, "settings and weights (npz, no code)"),
    ),
    key=("fit", "scorer"),
    partition_by=(),
)

EMBEDDINGS = Table(
    "embeddings",
    "Sentence embeddings, kept so that a text is embedded once.",
    (
        Column("encoder", pl.String, "encoder and its revision"),
        *doc_columns(),
        Column("text_hash", pl.String, "of the text that was embedded"),
        Column("vector", pl.List(pl.Float32), "of length 1"),
    ),
    key=("encoder", "doc_id"),
    partition_by=("encoder", "corpus", "snapshot"),
)

VERIFICATIONS = Table(
    "verifications",
    "Short anneals that judged a fit and a policy: the small reference model's last phase on candidate and base data "
    "against the same phase on base data alone. A gain is base minus candidate in loss, candidate minus base in "
    "accuracy: above 0 is better.",
    (
        Column("verification", pl.String, "hash of what was judged, settings and data"),
        Column("fit", pl.String, "the scorers judged"),
        Column("policy", pl.String, "the policy judged"),
        Column("settings", pl.String, "smoke, default or larger"),
        Column("round", pl.Int64, "selection round that it was made for"),
        Column("judged_at", TIMESTAMP, "when"),
        Column("num_seeds", pl.Int64, "pairs of anneals"),
        Column("num_parameters", pl.Int64, "of the reference model"),
        Column("num_tokens", pl.Int64, "trained on in all, both arms and all seeds"),
        Column(
            "reference_gain",
            pl.Float64,
            "nats a token on held-out documents that the language model rated best",
            nullable=True,
        ),
        Column("reference_error", pl.Float64, "standard error of it over the seeds", nullable=True),
        Column(
            "general_gain",
            pl.Float64,
            "nats a token on held-out documents of all domains, domains weighed alike",
            nullable=True,
        ),
        Column("general_error", pl.Float64, "standard error of it over the seeds", nullable=True),
        Column(
            "accuracy_gain",
            pl.Float64,
            "share of held-out passages whose true continuation was told from others",
            nullable=True,
        ),
        Column("accuracy_error", pl.Float64, "standard error of it over the seeds", nullable=True),
        Column("gates", pl.Boolean, "whether it is large enough to refuse"),
        Column("passed", pl.Boolean, "whether the candidate is not clearly worse"),
        Column("detail", pl.String, "what was found, in words"),
        Column("flops", pl.Float64, "spent on training and evaluation"),
        Column("cpu_s", pl.Float64, "CPU seconds spent"),
    ),
    key=("verification",),
    partition_by=(),
)

VERIFICATION_CURVES = Table(
    "verification_curves",
    "Losses and accuracies on the way of a verification.",
    (
        Column("verification", pl.String, "the verification"),
        Column("arm", pl.String, "base or candidate; stable is the phase that both share"),
        Column("seed", pl.Int64, "of initialisation and order"),
        Column("step", pl.Int64, "optimizer step"),
        Column("measure", pl.String, "train, reference, general, accuracy, or domain:<name>"),
        Column("value", pl.Float64, "nats a token, or a share"),
    ),
    key=("verification", "arm", "seed", "step", "measure"),
    partition_by=(),
)

POLICIES = Table(
    "policies",
    "Selection policies that were adopted; the last that its verification did not refuse is in force.",
    (
        Column("policy", pl.String, "name and hash of its settings"),
        Column("settings", pl.String, "the policy as TOML"),
        Column("adopted_at", TIMESTAMP, "when"),
    ),
    key=("policy", "adopted_at"),
    partition_by=(),
    stepped=False,
)

L2_SCORES = Table(
    "l2_scores",
    "Scores beside the text, long form: one row a document and scorer.",
    (
        Column("scorer", pl.String, "name of the scorer"),
        *doc_columns(),
        Column("scorer_version", pl.String, "version of the scorer"),
        Column("score", pl.Float64, "rounded to 1e-4"),
    ),
    key=("scorer", "doc_id"),
    partition_by=("scorer", "corpus", "snapshot"),
)

L2_SELECTED = Table(
    "l2_selected",
    "L2: documents selected by models. The view joins the text in from l1_filtered.",
    (
        *doc_columns(),
        Column("quality", pl.Float64, "score of the published scorer"),
        Column("influence", pl.Float64, "score of the last promoted influence model", nullable=True),
        Column("policy", pl.String, "name and hash of the selection policy"),
        Column("reason", pl.String, "why the row is in"),
        Column("round", pl.Int64, "round in which the row entered"),
    ),
    key=("doc_id",),
)

TIER_MOVES = Table(
    "tier_moves",
    "Every promotion and demotion, by round; grows only.",
    (
        Column("round", pl.Int64, "selection round, from 1"),
        *doc_columns(),
        Column("from_tier", pl.String, "l1 or l2"),
        Column("to_tier", pl.String, "l1 or l2"),
        Column("reason", pl.String, "why it moved"),
    ),
    key=("round", "doc_id"),
    partition_by=("round", "corpus", "snapshot"),
)

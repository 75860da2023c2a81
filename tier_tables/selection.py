"""Tables of L2: what the language model said of a sample (annotations), what was learnt from it (scorers),
every document's scores, and the documents selected by them."""

from __future__ import annotations

import polars as pl

from tier_tables.contract import Column, Table, doc_columns

L2_ANNOTATIONS = Table(
    "l2_annotations",
    "Ratings of a seed sample by a language model, one row a document and dimension. Drawn over all partitions.",
    (
        *doc_columns(),
        Column("dimension", pl.String, "what is rated, such as educational_value"),
        Column("rating", pl.Float64, "expected value over the options 0 to 5, rounded to 1e-4"),
        Column("distribution", pl.List(pl.Float64), "probability of each option 0 to 5"),
        Column("model", pl.String, "model that rated"),
        Column("prompt_version", pl.String, "prompt file and its hash"),
    ),
    key=("doc_id", "dimension", "model", "prompt_version"),
    partition_by=(),
)

SCORERS = Table(
    "scorers",
    "Published scorers: artefacts learnt from the annotations. The last published version scores every partition.",
    (
        Column("scorer", pl.String, "name of the scorer"),
        Column("scorer_version", pl.String, "hash of the artefact"),
        Column("annotation_version", pl.Int64, "version of l2_annotations that it learnt from"),
        Column("num_labels", pl.Int64, "annotated documents it learnt from"),
        Column("spearman", pl.Float64, "rank correlation with the model's ratings, cross-validated", nullable=True),
        Column("artefact", pl.Binary, "settings and weights (npz, no code)"),
    ),
    key=("scorer", "scorer_version"),
    partition_by=(),
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

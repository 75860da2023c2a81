"""Invariants about what L2 is selected by: scores, policies, and the annotations and embeddings behind them.

In goes the lake, the tier (l2) and a partition; out comes a lazy frame of (key, found), a row for each failure. A
partition without scores holds them all: its L2 is empty, or other checks say what is wrong. No text is read.
"""

from __future__ import annotations

import polars as pl

from quality_checks.check_result import Partition
from quality_checks.rows import ids, missing, no_failures, own
from resources.lake import Lake
from tier_assets.l2_selected.policy import POLICIES, from_toml

QUALITY = "quality"
# Scorers that rate nothing from 0 to 5, by the beginning of their name.
OTHER_SCALES = {"topic_": (0.0, 1.0), "rule_margin": (0.0, 1.0), "perplexity": (0.0, 1_000.0)}
RATING = (0.0, 5.0)
# The vectors are Float32.
LENGTH_ERROR = 1e-3


def documents_have_one_quality(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """A document of l1 that has no `quality` score, in a partition that is scored."""
    if not lake.slices("l2_scores", partition):
        return no_failures()
    documents = own(lake, "l1", partition).select(pl.col("doc_id").alias("key"), pl.col("doc_id").alias("id"))
    scored = ids(lake.scan("l2_scores", {"scorer": QUALITY, **partition}), "doc_id")
    return missing(documents, scored, "doc_id={} has no score of quality")


def scorers_know_every_document(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """A scorer that scores some of the partition's documents and not the others."""
    num_documents = sum(piece.num_rows for piece in lake.slices("l1_filtered", partition))
    rows = [
        {"key": piece.partition["scorer"], "found": f"scores {piece.num_rows} of {num_documents} documents"}
        for piece in lake.slices("l2_scores", partition)
        # A scorer of an earlier fit has left an empty slice.
        if 0 < piece.num_rows < num_documents
    ]
    return pl.LazyFrame(rows, schema={"key": pl.String, "found": pl.String})


def scores_are_unique(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """Two scores of one document by one scorer."""
    found = []
    for piece in lake.slices("l2_scores", partition):
        counts = lake.scan("l2_scores", piece.partition).group_by("doc_id").len()
        scorer = piece.partition["scorer"]
        found.append(
            counts.filter(pl.col("len") > 1).select(
                pl.col("doc_id").alias("key"), pl.format(f"{{}} scores by {scorer}", "len").alias("found")
            )
        )
    return pl.concat(found) if found else no_failures()


def scores_are_on_their_scales(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """A score that is no number, or beyond its scale: what is not in OTHER_SCALES rates from 0 to 5."""
    found = []
    for piece in lake.slices("l2_scores", partition):
        scorer = piece.partition["scorer"]
        low, high = next((scale for start, scale in OTHER_SCALES.items() if scorer.startswith(start)), RATING)
        found.append(
            lake.scan("l2_scores", piece.partition)
            .filter(~pl.col("score").is_between(low, high).fill_null(False))
            .select(
                pl.col("doc_id").alias("key"),
                pl.format(
                    f"{scorer}={{}}, not {low:g} to {high:g}", pl.col("score").cast(pl.String).fill_null("null")
                ).alias("found"),
            )
        )
    return pl.concat(found) if found else no_failures()


def quality_is_the_score_that_selected(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """A row whose `quality` is not the document's score by its policy's scorer.

    Where the partition was scored anew since its selection, the scores that it was selected by are gone, and nothing is
    compared: the selection is due again.
    """
    if _is_scored_anew(lake, partition):
        return no_failures()
    found = []
    for scorer, policies in _policies_by_scorer(lake).items():
        rows = own(lake, "l2", partition).filter(pl.col("policy").is_in(policies)).select("doc_id", "quality")
        scores = lake.scan("l2_scores", {"scorer": scorer, **partition}).select("doc_id", "score")
        agrees = (pl.col("quality") == pl.col("score")).fill_null(False)
        found.append(
            rows.join(scores, on="doc_id", how="left")
            .filter(~agrees)
            .select(
                pl.col("doc_id").fill_null("null").alias("key"),
                pl.format(
                    f"quality={{}}, but {scorer} scores {{}}",
                    *(pl.col(c).cast(pl.String).fill_null("nothing") for c in ("quality", "score")),
                ).alias("found"),
            )
        )
    return pl.concat(found)


def policies_are_known(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """A row selected by a policy that was never adopted and is not built in."""
    known = [version for versions in _policies_by_scorer(lake).values() for version in versions]
    return (
        own(lake, "l2", partition)
        .filter(~pl.col("policy").is_in(known).fill_null(False))
        .select(
            pl.col("doc_id").fill_null("null").alias("key"),
            pl.format("policy {} is neither adopted nor built in", pl.col("policy").fill_null("null")).alias("found"),
        )
    )


def annotations_lie_in_their_documents(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """An annotated window that is empty or beyond its document's text as it stands."""
    here = pl.all_horizontal(pl.col(column) == value for column, value in partition.items())
    windows = lake.scan("l2_annotations").filter(here).select("doc_id", "char_start", "char_end").unique()
    documents = own(lake, "l1", partition).select("doc_id", "num_chars")
    start, end = pl.col("char_start"), pl.col("char_end")
    lies = (start >= 0) & (start < end) & (end <= pl.col("num_chars"))
    return (
        windows.join(documents, on="doc_id")
        .filter(~lies.fill_null(False))
        .select(
            pl.col("doc_id").alias("key"),
            pl.format("window {} to {} of {} characters", "char_start", "char_end", "num_chars").alias("found"),
        )
    )


def embeddings_have_length_one(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """An embedding whose length is not 1: products of such are no cosines."""
    vector = pl.col("vector")
    length = vector.list.eval(pl.element().cast(pl.Float64).pow(2)).list.sum().sqrt()
    return (
        lake.scan("embeddings", partition)
        .select("doc_id", length.alias("length"))
        .filter(~(pl.col("length") - 1.0).abs().le(LENGTH_ERROR).fill_null(False))
        .select(pl.col("doc_id").alias("key"), pl.format("length {}", pl.col("length").round(4)).alias("found"))
    )


def _policies_by_scorer(lake: Lake) -> dict[str, list[str]]:
    """The policies that are built in or were adopted, by the scorer whose scores they select by."""
    settings = lake.scan("policies").select("settings").unique().collect()["settings"]
    found: dict[str, list[str]] = {}
    for policy in (*POLICIES.values(), *map(from_toml, settings)):
        found.setdefault(policy.scorer, []).append(policy.version)
    return found


def _is_scored_anew(lake: Lake, partition: Partition) -> bool:
    """Whether the partition's scores are others than those that its selection read."""
    step = lake.last_step("l2_selected", partition)
    reads = step["input_versions"] if step else None
    states = [read["state"] for read in reads or () if read["table"] == "l2_scores"]  # type: ignore[attr-defined]
    return bool(states) and states[-1] != lake.state("l2_scores", partition)

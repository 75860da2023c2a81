"""Invariants of L3: records lead to what they were made from, edits give the text, and what is lost or collapses shows.

In goes the lake, the tier (l3) and a partition; out comes a lazy frame of (key, found), a row a failure or alarm. Texts
are read only of the documents behind edited records, a batch of records at most.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import polars as pl

from quality_checks.check_result import Partition
from quality_checks.rows import ids, missing, out_of_policy, own, verdicts
from quality_checks.slice_audit import alarmed
from resources.lake import Lake
from resources.texts import texts_of
from tier_assets.l3_refined import audit
from tier_assets.l3_refined.programs import texts_that_differ

# Edited records whose program is replayed, the first by id, which are hashes: their texts fit one batch.
REPLAYED: Final = 2_048
TOPIC: Final = "topic_"


def spans_lie_in_their_documents(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """A span of a record in policy that goes beyond its document's text in l1, here or in another partition."""
    spans = (
        _in_policy(lake, partition).select("record_id", "source_spans").explode("source_spans").unnest("source_spans")
    )
    own_sizes = own(lake, "l1", partition).select("doc_id", "num_chars")
    wanted = spans.drop_nulls("doc_id").collect(engine="streaming")
    elsewhere = wanted.lazy().join(own_sizes, on="doc_id", how="anti").select("doc_id").unique().collect()
    everywhere = lake.scan("l1_filtered").select("doc_id", "num_chars")
    sizes = (
        pl.concat([own_sizes, everywhere.join(elsewhere.lazy(), on="doc_id", how="semi")])
        if len(elsewhere)
        else own_sizes
    )
    placed = wanted.lazy().join(sizes.unique("doc_id"), on="doc_id", how="left")
    beyond = pl.col("num_chars").is_null() | (pl.col("char_end") > pl.col("num_chars"))
    return placed.filter(beyond).select(
        pl.col("record_id").alias("key"),
        pl.format(
            "[{}, {}) of {}, which has {} characters",
            "char_start",
            "char_end",
            "doc_id",
            pl.col("num_chars").cast(pl.String).fill_null("no"),
        ).alias("found"),
    )


def spans_are_of_their_sources(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """A span of a document that is not among the record's sources."""
    rows = own(lake, "l3", partition)
    spans = rows.select("record_id", "source_spans").explode("source_spans").unnest("source_spans")
    sources = rows.select("record_id", doc_id="source_doc_ids").explode("doc_id")
    astray = spans.drop_nulls("char_start").join(sources, on=["record_id", "doc_id"], how="anti")
    found = pl.format("span of {}", pl.col("doc_id").fill_null("null")).alias("found")
    return astray.select(pl.col("record_id").alias("key"), found)


def records_have_their_parents(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """A record made from another record that is not in l3."""
    rows = _in_policy(lake, partition).drop_nulls("parent_record_id")
    wanted = rows.select(pl.col("record_id").alias("key"), pl.col("parent_record_id").alias("id"))
    return missing(wanted, ids(own(lake, "l3", partition), "record_id"), "parent record {} is not in l3")


def edits_have_records(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """An operation of a program that made neither a record nor a rejected candidate."""
    known = pl.concat(
        [own(lake, tier, partition).select("record_id"), verdicts(lake, tier, partition).select("record_id")]
    )
    wanted = lake.scan("l3_edits", partition).select(pl.col("record_id").alias("key"), pl.col("record_id").alias("id"))
    return missing(wanted.unique(), ids(known, "record_id"), "no record or verdict {}")


def edits_give_the_text(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """A record in policy whose applied operations do not make its text of its document's span, to the letter."""
    programs = lake.scan("l3_edits", partition)
    edited = _in_policy(lake, partition).join(programs.select("record_id").unique(), on="record_id", how="semi")
    records = edited.select("record_id", "doc_id", "corpus", "snapshot", "text", "source_spans")
    chosen = records.bottom_k(REPLAYED, by="record_id").collect(engine="streaming")
    documents = texts_of(lake, chosen.select("doc_id", "corpus", "snapshot").unique())
    # A record whose document is gone is another check's.
    there = chosen.join(documents.select("doc_id"), on="doc_id", how="semi")
    edits = programs.join(there.lazy().select("record_id"), on="record_id", how="semi").collect(engine="streaming")
    differ = texts_that_differ(there, edits, documents)
    return differ.lazy().select(pl.col("record_id").alias("key"), pl.col("detail").alias("found"))


def some_candidates_survive(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """The partition has many candidates, and none is kept."""
    return alarmed(audit.all_lost(_counts(lake, partition)))


def every_task_keeps_something(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """A task keeps none of its candidates."""
    return alarmed(audit.task_alarms(_counts(lake, partition)))


def languages_are_refined(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """A language of the attempted documents has no record, or a reason takes far more of it than of the others."""
    return alarmed(audit.slices_lost(_counts(lake, partition), "language"))


def topics_are_refined(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """A topic of the attempted documents has no record, or a reason takes far more of it than of the others."""
    return alarmed(audit.slices_lost(_counts(lake, partition), "topic"))


def records_are_as_varied_as_their_sources(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """A task whose records repeat each other far more than the texts that they were made from."""
    return alarmed(audit.collapses(lake.scan("l3_diversity", partition).collect()))


def _in_policy(lake: Lake, partition: Partition) -> pl.LazyFrame:
    """The records whose document is in l2."""
    marked = out_of_policy(lake, "l3_refined", partition)
    return own(lake, "l3", partition).join(marked, left_on="record_id", right_on="key", how="anti")


def _counts(lake: Lake, partition: Partition) -> audit.Counts:
    return audit.count(_candidates(lake, partition))


def _candidates(lake: Lake, partition: Partition) -> Iterator[pl.DataFrame]:
    """Candidates (doc_id, task, language, topic, reason: null where kept) of documents in l2, in batches."""
    documents = own(lake, "l2", partition).select("doc_id")
    languages = own(lake, "l1", partition).select("doc_id", "language")
    about = documents.join(languages, on="doc_id", how="left").join(_topics(lake, partition), on="doc_id", how="left")
    known = about.collect(engine="streaming")
    for name, slice_, columns in (
        ("l3_refined", partition, ["doc_id", "task"]),
        ("verdicts", {"tier": "l3", **partition}, ["doc_id", "task", "reason"]),
    ):
        for batch in lake.batches(name, slice_, columns):
            rows = batch if "reason" in batch.columns else batch.with_columns(reason=pl.lit(None, pl.String))
            yield rows.join(known, on="doc_id", how="inner")


def _topics(lake: Lake, partition: Partition) -> pl.LazyFrame:
    """[doc_id, topic] of documents that have one: the topic with the largest share."""
    found = [pl.LazyFrame(schema={"doc_id": pl.String, "topic": pl.String, "score": pl.Float64})]
    for piece in lake.slices("l2_scores", partition):
        scorer = piece.partition["scorer"]
        if scorer.startswith(TOPIC):
            rows = lake.scan("l2_scores", piece.partition).drop_nulls("score")
            found.append(rows.select("doc_id", pl.lit(scorer.removeprefix(TOPIC)).alias("topic"), "score"))
    largest = pl.col("topic").sort_by("score", "topic", descending=[True, False]).first()
    return pl.concat(found).group_by("doc_id").agg(largest)

"""Invariants about what L1 removed, by slice: languages, rare words, whole corpora; all but the first only tell.

In goes the lake, the tier (l1) and a partition; out comes a lazy frame of (key, found), a row an alarm: its rule, its
language where it is about one, and examples to look at. Texts are read once a batch, for the words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import polars as pl

from algorithms.slice_losses import Alarm, count_words, share_alarms, slice_alarms, tally, word_alarms
from quality_checks.check_result import Partition
from quality_checks.rows import verdicts
from resources.lake import Lake


def some_documents_survive(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """The corpus has documents, and none is kept."""
    return alarmed(a for a in share_alarms(_tally(lake, tier, partition)) if a.severity == "error")


def most_documents_survive(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """Nearly all documents are removed, or one rule removes more than half."""
    return alarmed(a for a in share_alarms(_tally(lake, tier, partition)) if a.severity == "warn")


def languages_survive(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """A language is lost, or a rule takes far more of it than of the corpus's others."""
    return alarmed(slice_alarms(_tally(lake, tier, partition)))


def rare_words_survive(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """A rule takes rare words whole, out of proportion to the documents that it removes."""
    vocabulary = count_words(_rows(lake, tier, partition, ("doc_id", "text")))
    return alarmed(word_alarms(vocabulary, _rows(lake, tier, partition, ("doc_id", "text"))))


def _tally(lake: Lake, tier: str, partition: Partition) -> pl.DataFrame:
    return tally(_rows(lake, tier, partition, ("doc_id", "language")))


def _rows(lake: Lake, tier: str, partition: Partition, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    """Every judged document's columns, and the `reason` of its verdict: null where it is kept."""
    reasons = verdicts(lake, tier, partition).select("doc_id", "reason").collect(engine="streaming")
    for batch in lake.batches("l1_texts", partition, columns):
        yield batch.join(reasons, on="doc_id", how="left", maintain_order="left")


def alarmed(alarms: Iterable[Alarm]) -> pl.LazyFrame:
    """Alarms as rows of (key, found)."""
    rows = [
        {
            "key": "/".join(filter(None, (alarm.rule or alarm.name, alarm.slice))),
            "found": f"{alarm.detail} (e.g. {', '.join(alarm.doc_ids)})",
        }
        for alarm in alarms
    ]
    return pl.LazyFrame(rows, schema={"key": pl.String, "found": pl.String})

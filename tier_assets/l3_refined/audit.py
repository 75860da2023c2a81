"""What is lost between L2 and L3, slice by slice, and alarms about it.

In: candidates of a partition as they were judged (doc_id, task, language, topic of the document; reason: null where the
record was kept), a batch at a time, or counts of them. Out: figures, and alarms. A document that was not attempted
(`over_budget`) is not lost; one without a candidate counts as a candidate that its reason took.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np
import polars as pl

from algorithms.slice_losses import MIXED, TALLY, Alarm, AuditSettings, added, count_words, slice_alarms

KINDS: Final = ("task", "language", "topic")
# Fifty: of fewer candidates a rule's share is off by .07 and more, and the excess that counts is .2.
SETTINGS: Final = AuditSettings(min_rows=50)
# A model that keeps one candidate in a hundred keeps none of 500 once in 150 partitions.
MIN_ALL: Final = 500
# One that keeps one in ten keeps none of 44 in one of a hundred tasks.
MIN_TASK: Final = 44
# Distinct 4-grams over those of the sources: 15 sets of honest texts have .84 (questions of one template) to 1.17, nine
# corpora whose every other record is the same .33 to .46. The spread of embeddings does not tell ten records said over
# and over from honest ones.
MIN_DISTINCT: Final = 0.5
MIN_RECORDS: Final = 20


@dataclass(frozen=True, slots=True)
class WordsLost:
    """Rare words of the sources, and those of them that no record has."""

    num_words: int
    num_lost: int


@dataclass(frozen=True, slots=True)
class Counts:
    """Candidates by task, language and topic, each as the TALLY of `algorithms.slice_losses`."""

    by_kind: dict[str, pl.DataFrame]


def count(batches: Iterable[pl.DataFrame]) -> Counts:
    """Candidates (doc_id, task, language, topic, reason) counted."""
    found = {kind: TALLY.to_frame() for kind in KINDS}
    for batch in batches:
        found = {kind: added(found[kind], batch, kind) for kind in KINDS}
    return Counts(found)


def words_lost(sources: Iterable[pl.Series], records: Iterable[pl.Series]) -> WordsLost:
    """How many of the rare words of the passages that were asked about no record has.

    Args:
        sources: texts of the passages, each once, in batches.
        records: texts of the records.
    """
    read = (pl.DataFrame({"text": texts}).with_columns(reason=pl.lit("lost")) for texts in sources)
    kept = (pl.DataFrame({"text": texts}).with_columns(reason=pl.lit(None, pl.String)) for texts in records)
    words = count_words(chain(read, kept))
    low, high = SETTINGS.rare
    rare = words.rule_B[(words.num_docs_B >= low) & (words.num_docs_B <= high)]
    lost, both = int(np.count_nonzero(rare >= 0)), int(np.count_nonzero(rare == MIXED))
    return WordsLost(lost + both, lost)


def all_lost(counts: Counts) -> list[Alarm]:
    """An error where nothing at all was kept of many candidates."""
    (row,) = _sums(counts.by_kind["language"]).to_dicts()
    if row["num_kept"] or row["num"] < MIN_ALL:
        return []
    told = f"none of {row['num']} candidates is kept; {row['most']} takes most"
    return [Alarm("nothing_survives", "error", 1.0, 1.0, row["most"], None, told, tuple(row["examples"]))]


def task_alarms(counts: Counts) -> list[Alarm]:
    """Tasks that keep nothing."""
    tallied = counts.by_kind["task"]
    found = []
    for task in tallied["slice"].unique().sort():
        if task == "none":
            continue  # documents without a candidate
        (row,) = _sums(tallied.filter(slice=task)).to_dicts()
        if row["num_kept"] == 0 and row["num"] >= MIN_TASK:
            told = f"none of {row['num']} candidates of {task} is kept; {row['most']} takes most"
            ids = tuple(row["examples"])
            found.append(Alarm("task_lost", "warn", 1.0, 1.0, row["most"], task, told, ids))
    return found


def slices_lost(counts: Counts, kind: str) -> list[Alarm]:
    """Languages or topics of the attempted documents that no record has, or that a reason takes far more of."""
    return slice_alarms(counts.by_kind[kind], SETTINGS, kind, "candidates")


def collapses(rows: pl.DataFrame) -> list[Alarm]:
    """Tasks whose records repeat each other far more than their sources do: rows of `l3_diversity`."""
    ratio = pl.col("distinct_4") / pl.col("source_distinct_4")
    enough = (pl.col("num_records") >= MIN_RECORDS) & (pl.col("source_distinct_4") > 0)
    found = []
    for row in rows.filter(enough & (ratio < MIN_DISTINCT)).sort("task").iter_rows(named=True):
        told = (
            f"of the 4-grams of {row['num_records']} records {row['distinct_4']:.0%} are different, of their sources' "
            f"{row['source_distinct_4']:.0%}"
        )
        value = row["distinct_4"] / row["source_distinct_4"]
        found.append(Alarm("task_collapsed", "warn", value, MIN_DISTINCT, None, row["task"], told, ()))
    return found


def _sums(tallied: pl.DataFrame) -> pl.DataFrame:
    """One row: candidates, those kept, the reason that took most, ids that it took."""
    kept = pl.col("reason").is_null()
    order = tallied.sort("num", "reason", descending=[True, False])
    return order.select(
        num=pl.col("num").sum(),
        num_kept=pl.col("num").filter(kept).sum(),
        most=pl.col("reason").filter(~kept).first(),
        examples=pl.col("examples").filter(~kept).first(),
    )

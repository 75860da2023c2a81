"""What a tier removes, slice by slice, and alarms about what that takes from the corpus.

https://arxiv.org/abs/2104.08758, 5.3 (Dodge et al.): a filter that looks fair in sum may take one language or subject
whole: C4's block list took far more of what minorities wrote.

In: a partition's rows as they were judged (doc_id; a column that names the slice, such as language; reason: null where
kept; text where words are counted), a batch at a time. Out: alarms, worst first. What was taken on purpose or not
tried (another version of a file, a withdrawal, a language that the corpus does not expect, what no budget is left for)
is no loss and is not counted.

Words are counted in buckets by their hash: 28 MB whatever comes. Words that share a bucket hide a loss, never make one
up: it takes all their documents to lose a bucket. About 8 ms a MB of text on one core.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

import numba
import numpy as np
import polars as pl

from algorithms.minhash import _words

ON_PURPOSE: Final = r"^(superseded|unexpected_language|withdrawn_.*|over_budget)$"
DUPLICATES: Final = ("exact_duplicate", "near_duplicate")
# Slices of which nothing is known: too little text, or none.
UNKNOWN: Final = ("und", "none")
MAX_EXAMPLES: Final = 5
TALLY: Final = pl.Schema(
    [("slice", pl.String), ("reason", pl.String), ("num", pl.Int64), ("examples", pl.List(pl.String))]
)
LOST: Final = pl.Schema({"reason": pl.String, "num_lost": pl.Int64, "share": pl.Float64, "removed_share": pl.Float64})
BITS: Final = 22
KEPT, MIXED, UNSEEN = -1, -2, -3  # in place of a rule's number: of a kept row; of several rules; of none yet


@dataclass(frozen=True)
class AuditSettings:
    """Limits above which an alarm is raised."""

    max_removed_share: float = 0.9  # FineWeb's rules and deduplication leave 10% to 20% of a crawl
    max_rule_share: float = 0.5
    max_excess: float = 0.2  # of a slice's share removed by a rule, over the share of the corpus's other slices
    # That none of a slice is kept, were it kept like the others: more often than this it is chance.
    max_chance: float = 0.01
    # Share of rare words that a rule takes whole, by the share of documents that it removes. Gopher's and FineWeb's
    # rules stay below .03 on reviews, news, web pages and code; lists of a subject's words have .05 to .85.
    max_rare_ratio: float = 0.05
    min_words: int = 10  # lost to one rule: fewer say nothing
    min_rows: int = 20  # of a slice: fewer say nothing
    rare: tuple[int, int] = (3, 20)  # documents of a rare word: fewer are mostly misspelt, more are common knowledge


DEFAULT: Final = AuditSettings()


@dataclass(frozen=True)
class Alarm:
    """One thing to look at: `value` passed `limit`; `rule` and `slice` where it is about one; ids of examples."""

    name: str
    severity: Literal["error", "warn"]
    value: float
    limit: float
    rule: str | None
    slice: str | None
    detail: str
    doc_ids: tuple[str, ...]


@dataclass(frozen=True)
class Vocabulary:
    """Words by the hash of each, in 2^BITS buckets: documents with it (up to 255), and the number of the one rule in
    `rules` that removed them all (or KEPT, MIXED, UNSEEN). `num_rows` documents were read, and each rule removed
    `num_removed` of them."""

    num_docs_B: np.ndarray
    rule_B: np.ndarray
    rules: tuple[str, ...]
    num_removed: tuple[int, ...]
    num_rows: int


def tally(batches: Iterable[pl.DataFrame], column: str = "language") -> pl.DataFrame:
    """Rows (doc_id, reason, and the slice's name in `column`) counted by slice and reason, as TALLY; the first ids of
    each as examples."""
    counted = TALLY.to_frame()
    for rows in batches:
        counted = added(counted, rows, column)
    return counted


def added(counted: pl.DataFrame, rows: pl.DataFrame, column: str = "language") -> pl.DataFrame:
    """A tally and the rows of one more batch, as `tally`."""
    one = (
        judged(rows)
        .select("doc_id", "reason", slice=pl.col(column).fill_null(UNKNOWN[1]))
        .group_by("slice", "reason")
        .agg(num=pl.len().cast(pl.Int64), examples=pl.col("doc_id").unique().sort().head(MAX_EXAMPLES))
    )
    both = pl.concat([counted, one.select(TALLY.names())]).group_by("slice", "reason")
    examples = pl.col("examples").explode().unique().sort().head(MAX_EXAMPLES)
    return both.agg(pl.col("num").sum(), examples).sort("slice", "reason")


def judged(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows that were not taken on purpose."""
    return rows.filter(~pl.col("reason").str.contains(ON_PURPOSE).fill_null(False))


def share_alarms(counts: pl.DataFrame, settings: AuditSettings = DEFAULT) -> list[Alarm]:
    """Alarms about the whole corpus: nothing survives (an error), too much goes, one rule takes too much."""
    total = int(counts["num"].sum())
    removed = counts.drop_nulls("reason")
    share = int(removed["num"].sum()) / total if total else 0.0
    by_rule = _by_rule(removed)
    examples = tuple(by_rule["examples"].explode().drop_nulls().head(MAX_EXAMPLES))
    top = by_rule["reason"].head(1).to_list()
    most = f"{top[0]} most" if top else "none"
    # What another snapshot has already is no sign of a wrong reading.
    others = counts.filter(~pl.col("reason").is_in(DUPLICATES).fill_null(False))
    if share == 1 and int(others["num"].sum()) >= settings.min_rows:
        told = f"none of {total} documents survives; {most}"
        return [Alarm("nothing_survives", "error", 1.0, 1.0, top[0], None, told, examples)]
    found = []
    if share > settings.max_removed_share and total >= settings.min_rows:
        told = f"{share:.0%} of {total} documents removed; {most}"
        found.append(Alarm("too_much_removed", "warn", share, settings.max_removed_share, None, None, told, examples))
    for reason, num, ids in by_rule.iter_rows():
        if num / total > settings.max_rule_share and total >= settings.min_rows:
            told = f"{reason} removes {num / total:.0%} of {total} documents"
            limit = settings.max_rule_share
            found.append(Alarm("one_rule_removes_much", "warn", num / total, limit, reason, None, told, tuple(ids)))
    return found


def slice_alarms(
    counts: pl.DataFrame, settings: AuditSettings = DEFAULT, kind: str = "language", unit: str = "documents"
) -> list[Alarm]:
    """Alarms about slices of a kind: one is lost, or a rule takes far more of one than of the corpus's others."""
    known = counts.filter(~pl.col("slice").is_in(UNKNOWN))
    sizes = known.group_by("slice").agg(
        size=pl.col("num").sum(), kept=pl.col("num").filter(pl.col("reason").is_null()).sum()
    )
    total, kept = int(sizes["size"].sum()), int(sizes["kept"].sum())
    slices = (
        known.drop_nulls("reason")
        .join(sizes, on="slice")
        .with_columns(others=total - pl.col("size"), by_rule=pl.col("num").sum().over("reason"))
        .filter((pl.col("size") >= settings.min_rows) & (pl.col("others") >= settings.min_rows))
        .with_columns(share=pl.col("num") / pl.col("size"))
        .with_columns(rest=(pl.col("by_rule") - pl.col("num")) / pl.col("others"))
        .with_columns(chance=(1 - kept / pl.col("others")) ** pl.col("size"))
        .sort("share", "reason", "slice", descending=[True, False, False])
    )
    found = []
    none = (pl.col("kept") == 0) & (pl.col("chance") < settings.max_chance)
    lost = slices.filter(none).unique("slice", keep="first", maintain_order=True)
    for row in lost.iter_rows(named=True):
        told = f"none of {row['size']} {unit} in {row['slice']} survives; {row['reason']} takes {row['share']:.0%}"
        ids = tuple(row["examples"])
        found.append(Alarm(f"{kind}_lost", "warn", 1.0, 1.0, row["reason"], row["slice"], told, ids))
    cut = slices.filter(
        (pl.col("share") > pl.col("rest") + settings.max_excess) & ~pl.col("slice").is_in(lost["slice"].implode())
    )
    for row in cut.iter_rows(named=True):
        told = (
            f"{row['reason']} removes {row['share']:.0%} of {row['size']} {unit} in {row['slice']}, "
            f"{row['rest']:.0%} of the others"
        )
        limit, ids = row["rest"] + settings.max_excess, tuple(row["examples"])
        found.append(Alarm(f"{kind}_cut", "warn", row["share"], limit, row["reason"], row["slice"], told, ids))
    return found


def count_words(batches: Iterable[pl.DataFrame]) -> Vocabulary:
    """The vocabulary of rows (text, reason); a null text has no words. A word is a run of letters, lower-cased."""
    rules: dict[str, int] = {}
    seen_B = np.full(1 << BITS, -1, np.int32)
    num_docs_B, rule_B = np.zeros(1 << BITS, np.uint8), np.full(1 << BITS, UNSEEN, np.int16)
    num_rows, num_removed = 0, Counter[str]()
    for batch in batches:
        rows = judged(batch)
        for reason in rows["reason"].drop_nulls().unique().sort():
            rules.setdefault(reason, len(rules))
        rule_D = rows["reason"].replace_strict(rules, default=KEPT, return_dtype=pl.Int16).fill_null(KEPT).to_numpy()
        _count(*_buffers(rows["text"]), _is_letter(), rule_D, seen_B, num_docs_B, rule_B, num_rows)
        num_rows += rows.height
        num_removed.update(rows["reason"].drop_nulls())
    return Vocabulary(num_docs_B, rule_B, tuple(rules), tuple(num_removed[rule] for rule in rules), num_rows)


def lost_words(vocabulary: Vocabulary, settings: AuditSettings = DEFAULT) -> pl.DataFrame:
    """For each rule how many rare words all of whose documents it removes, and their share of all, beside
    the share of documents that the rule removes, as LOST."""
    low, high = settings.rare
    rare = vocabulary.rule_B[(vocabulary.num_docs_B >= low) & (vocabulary.num_docs_B <= high)]
    counts = np.bincount(rare[rare >= 0], minlength=len(vocabulary.rules)) if len(vocabulary.rules) else np.zeros(0)
    removed = np.array(vocabulary.num_removed) / max(1, vocabulary.num_rows)
    shares = {"share": counts / max(1, len(rare)), "removed_share": removed}
    frame = pl.DataFrame({"reason": vocabulary.rules, "num_lost": counts, **shares})
    return frame.cast(LOST).filter(pl.col("num_lost") > 0).sort("num_lost", "reason", descending=[True, False])


def word_alarms(
    vocabulary: Vocabulary, batches: Iterable[pl.DataFrame], settings: AuditSettings = DEFAULT
) -> list[Alarm]:
    """Alarms about rare words that one rule takes whole, with words for example.

    Args:
        batches: the rows (doc_id, text, reason) again; read only as far as examples are wanted.
    """
    ratio = pl.col("share") / pl.col("removed_share")
    lost = (
        lost_words(vocabulary, settings)
        .with_columns(ratio=ratio)
        .filter((pl.col("ratio") > settings.max_rare_ratio) & (pl.col("num_lost") >= settings.min_words))
    )
    if lost.is_empty():
        return []
    examples = _examples(vocabulary, batches, lost["reason"].to_list(), settings)
    found = []
    for row in lost.iter_rows(named=True):
        rule = row["reason"]
        words = ", ".join(word for word, _ in examples[rule])
        told = (
            f"{rule} removes {row['removed_share']:.1%} of documents, and with them every one that has one of "
            f"{row['num_lost']} rare words ({row['share']:.1%} of such words): {words}, ..."
        )
        ids = tuple(dict.fromkeys(doc_id for _, doc_id in examples[rule]))
        found.append(Alarm("rare_words_lost", "warn", row["ratio"], settings.max_rare_ratio, rule, None, told, ids))
    return found


def _by_rule(removed: pl.DataFrame) -> pl.DataFrame:
    """(reason, num, examples) of a tally, the largest first."""
    counted = removed.group_by("reason").agg(
        pl.col("num").sum(), pl.col("examples").explode().sort().head(MAX_EXAMPLES)
    )
    return counted.sort("num", "reason", descending=[True, False])


def _examples(
    vocabulary: Vocabulary, batches: Iterable[pl.DataFrame], reasons: list[str], settings: AuditSettings
) -> dict[str, list[tuple[str, str]]]:
    """For each reason a few rare words that it takes whole, each with a document."""
    low, high = settings.rare
    rare_B = (vocabulary.num_docs_B >= low) & (vocabulary.num_docs_B <= high)
    found: dict[str, dict[str, str]] = {reason: {} for reason in reasons}
    for rows in batches:
        for doc_id, text, reason in rows.select("doc_id", "text", "reason").drop_nulls().iter_rows():
            if len(found.get(reason, range(MAX_EXAMPLES))) >= MAX_EXAMPLES:
                continue
            words = sorted(set(re.findall(r"[^\W\d_]+", text.lower())))
            place_W = _buckets(words)
            lost_W = rare_B[place_W] & (vocabulary.rule_B[place_W] == vocabulary.rules.index(reason))
            for word in [word for word, lost in zip(words, lost_W) if lost][: MAX_EXAMPLES - len(found[reason])]:
                found[reason].setdefault(word, doc_id)
        if all(len(words) >= MAX_EXAMPLES for words in found.values()):
            break
    return {reason: list(words.items()) for reason, words in found.items()}


@cache
def _is_letter() -> np.ndarray:
    """Whether each code point is a letter."""
    return np.array([chr(point).isalpha() for point in range(0x110000)], np.bool_)


def _buffers(texts: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """UTF-8 bytes of the lower-cased texts, and where each begins and the last ends."""
    array = texts.fill_null("").str.to_lowercase().rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = array.buffers()
    ends_D = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    return np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8), ends_D


def _buckets(words: list[str]) -> np.ndarray:
    hashes_W = np.zeros(len(words), np.uint64)
    _hash_each(*_buffers(pl.Series(words, dtype=pl.String)), _is_letter(), hashes_W)
    return hashes_W >> np.uint64(64 - BITS)


@numba.njit(cache=True)
def _hash_each(data, ends_W, is_letter, hashes_W):  # type: ignore[no-untyped-def]
    for w in range(len(hashes_W)):
        _words(data, ends_W[w], ends_W[w + 1], is_letter, hashes_W[w : w + 1])


@numba.njit(cache=True, nogil=True)
def _count(data, ends_D, is_letter, rule_D, seen_B, num_docs_B, rule_B, first_row):  # type: ignore[no-untyped-def]
    """Count each document once for each of its words."""
    longest = 1
    for d in range(len(ends_D) - 1):
        longest = max(longest, (ends_D[d + 1] - ends_D[d]) // 2 + 1)
    hashes = np.empty(longest, np.uint64)
    for d in range(len(ends_D) - 1):
        for word in hashes[: _words(data, ends_D[d], ends_D[d + 1], is_letter, hashes)]:
            bucket = word >> np.uint64(64 - BITS)
            if seen_B[bucket] == first_row + d:
                continue
            seen_B[bucket] = first_row + d
            num_docs_B[bucket] = min(np.uint8(254), num_docs_B[bucket]) + np.uint8(1)
            if rule_B[bucket] == UNSEEN:
                rule_B[bucket] = rule_D[d]
            elif rule_B[bucket] != rule_D[d]:
                rule_B[bucket] = MIXED


__all__ = [
    "DEFAULT",
    "LOST",
    "TALLY",
    "Alarm",
    "AuditSettings",
    "Vocabulary",
    "added",
    "count_words",
    "judged",
    "lost_words",
    "share_alarms",
    "slice_alarms",
    "tally",
    "word_alarms",
]

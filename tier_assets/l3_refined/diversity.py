"""How varied the records of each task are, beside what they were made from: a collapse of the model shows here.

In: batches of records with the texts of their source spans. Out: rows of `l3_diversity`. Distinct n-grams (Li et al.,
arXiv:1510.03055) fall with the length of what is counted, so records and sources are counted over the same number of
words: at most WORDS of each. Records are drawn by the order of their ids, which are hashes; sources by a hash of their
text, each once, and of each as large a share as makes their words as many.

Memory: of each task's records and sources a few times WORDS words. The encoder reads at most EMBEDDED texts of each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

import numpy as np
import polars as pl

from resources.encoder import Encoder
from tier_tables.refinement import L3_DIVERSITY

WORDS: Final = 20_000
# Sources are kept beyond WORDS words, so that a short part of each of many can be taken.
SOURCE_WORDS: Final = 4 * WORDS
EMBEDDED: Final = 200
# A letter of a script without spaces counts as a word.
WORD: Final = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]|[\p{L}\p{M}\p{N}]+"
SLICE: Final = ["corpus", "snapshot", "task"]


def diversity(batches: Iterable[pl.DataFrame], encoder: Encoder | None) -> pl.DataFrame:
    """Rows of `l3_diversity` of records [record_id, corpus, snapshot, task, text, source], a row a partition and task.

    A task without an n-gram has 0 of them distinct; without an encoder, or of a single text, there is no spread.
    """
    totals = pl.DataFrame(schema=dict.fromkeys(SLICE, pl.String) | {"num_records": pl.Int64, "num_words": pl.Int64})
    columns = {"key": pl.String, **dict.fromkeys(SLICE, pl.String), "text": pl.String, "num_words": pl.Int64}
    records = sources = pl.DataFrame(schema=columns)
    for batch in batches:
        rows = _counted(batch.select("text", *SLICE, key="record_id"))
        added = rows.group_by(SLICE).agg(num_records=pl.len().cast(pl.Int64), num_words=pl.col("num_words").sum())
        totals = pl.concat([totals, added]).group_by(SLICE).agg(pl.all().sum())
        records = _first(pl.concat([records, rows.select(*columns)]), WORDS)
        texts = batch.drop_nulls("source").select(*SLICE, text="source").unique(maintain_order=True)
        keyed = texts.with_columns(key=pl.Series([_hash(text) for text in texts["text"]], dtype=pl.String))
        found = pl.concat([sources, _counted(keyed).select(*columns)]).unique([*SLICE, "key"], maintain_order=True)
        sources = _first(found, SOURCE_WORDS)
    measured = [
        {**row, **_figures(_of(records, row), _of(sources, row), encoder)}
        for row in totals.sort(SLICE).iter_rows(named=True)
    ]
    return pl.DataFrame(measured, schema=L3_DIVERSITY.schema)


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _counted(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(num_words=_words().list.len().cast(pl.Int64))


def _words() -> pl.Expr:
    return pl.col("text").str.to_lowercase().str.extract_all(WORD)


def _first(rows: pl.DataFrame, num_words: int) -> pl.DataFrame:
    """Of each slice the rows first by key that make up the words, and at least EMBEDDED rows."""
    ordered = rows.sort("key")
    before = (pl.col("num_words").cum_sum() - pl.col("num_words")).over(SLICE)
    place = pl.int_range(pl.len()).over(SLICE)
    return ordered.filter((before < num_words) | (place < EMBEDDED))


def _of(rows: pl.DataFrame, row: dict[str, object]) -> pl.DataFrame:
    return rows.filter(pl.all_horizontal(pl.col(column) == row[column] for column in SLICE))


def _figures(records: pl.DataFrame, sources: pl.DataFrame, encoder: Encoder | None) -> dict[str, float | None]:
    """The figures of one task, by their columns; both frames are sorted by key."""
    there = int(sources["num_words"].sum())
    size = min(WORDS, int(records["num_words"].sum()), there) if there else min(WORDS, int(records["num_words"].sum()))
    written = [words.to_list() for words in records.select(_words()).to_series()]
    # Whole records as they come, for how they begin and end counts; of each source its share.
    share = size / there if there else 0.0
    read = [words.to_list()[: round(len(words) * share)] for words in sources.select(_words()).to_series()]
    return {
        "distinct_2": distinct(_cut(written, size), 2),
        "distinct_4": distinct(_cut(written, size), 4),
        "source_distinct_2": distinct(read, 2),
        "source_distinct_4": distinct(read, 4),
        "spread": None if encoder is None else spread(records["text"].head(EMBEDDED).to_list(), encoder),
        "source_spread": None if encoder is None else spread(sources["text"].head(EMBEDDED).to_list(), encoder),
    }


def _cut(texts: list[list[str]], num_words: int) -> list[list[str]]:
    """The texts as far as their first `num_words` words."""
    cut, left = [], num_words
    for words in texts:
        if left <= 0:
            break
        cut.append(words[:left])
        left -= len(words)
    return cut


def distinct(texts: list[list[str]], n: int) -> float:
    """Different n-grams / n-grams of texts given as words; none goes over the end of a text. 0 without any.

    >>> distinct([["a", "b", "a", "b"]], 2)
    0.6667
    """
    found = [tuple(words[i : i + n]) for words in texts for i in range(len(words) - n + 1)]
    return round(len(set(found)) / len(found), 4) if found else 0.0


def spread(texts: list[str], encoder: Encoder) -> float | None:
    """1 - the mean cosine of two of the texts' embeddings; null of fewer than two."""
    if len(texts) < 2:
        return None
    vectors_ND = np.asarray(encoder.encode(texts), np.float64)
    num, total_D = len(texts), vectors_ND.sum(axis=0)
    # All pairs of vectors of length 1 at once: |sum|^2 is their cosines, each twice, and N of each with itself.
    own = float(np.einsum("nd,nd->", vectors_ND, vectors_ND))
    return round(1 - (float(total_D @ total_D) - own) / (num * (num - 1)), 4)

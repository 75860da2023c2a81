"""Decontamination: documents that hold an item of a benchmark do not train.

In: items of benchmarks (text whose fields, question, context and answer, a blank line separates) and documents. Out:
each document's worst hit, with the rule that found it:

    ngram_13    of a field's 13-grams the document has `long_share` or more (GPT-3, arXiv:2005.14165, appendix C)
    ngram_8     fuzzy: it has `fuzzy_ngrams` or more of the field's 8-grams, and `fuzzy_share` of them
                (after PaLM, arXiv:2204.02311, section 8)
    whole_item  a field of 8 to 12 words stands in it

A field is judged by itself, as in PaLM: a page with the question alone is a hit. Fields of fewer than 8 words say too
little to find anything by. Planted in news stories, from items not tuned on: GSM8K with 1 word in 15 changed is found
in .99, with its numbers written out or replaced in .87 (GPT-3's rule: .98 and .80), the question alone in 1, the answer
alone in .98; of 57,353 documents of eleven corpora none is a hit of GSM8K, PubMedQA or XQuAD. Costs 8 to 14 ms a MB of
text on one core against 14,000 items, and 22 bytes an n-gram.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

import polars as pl

from algorithms.ngram_overlap import Index, build_index, overlaps

FIELD_BREAK: Final = r"\n\s*\n"
# A field that more items than this share word for word is an instruction; a passage may well have ten questions.
SHARED_ITEMS: Final = 10
SHARED_SHARE: Final = 0.05
# An n-gram of more fields than this of one benchmark is a template ("How much money does she have left after ...").
SHARED_FIELDS: Final = 10
RULES: Final = ("whole_item", "ngram_13", "ngram_8")
HITS: Final = pl.Schema(
    {"doc_id": pl.String, "benchmark": pl.String, "item": pl.String, "overlap": pl.Float64, "rule": pl.String}
)


@dataclass(frozen=True)
class ContaminationSettings:
    """What makes a hit, as shares of a field's n-grams.

    GPT-3 took a document for one 13-gram in common, and found that this takes books for a quoted line; PaLM asked for
    70% of the 8-grams, which no text keeps that has 1 word in 15 changed (found in .28 to .59 of items).
    """

    long_share: float = 0.05  # of a paragraph of 120 words: a run of 18; the one natural hit below it was census prose
    fuzzy_share: float = 0.2
    fuzzy_ngrams: int = 5  # a run of 12 words, or broken ones; with 3, names of institutions are hits
    unspaced_share: float = 0.5  # in place of both shares: 13 Chinese characters may be a name


DEFAULT: Final = ContaminationSettings()


@dataclass(frozen=True)
class BenchmarkIndex:
    """The n-grams of benchmarks.

    `fields` (benchmark, item) names what each passage of `ngrams` is from; `unknown` (benchmark, item): the items that
    cannot be found, for being short, or because all that they say is boilerplate or template.
    """

    ngrams: Index
    fields: pl.DataFrame
    unknown: pl.DataFrame


def benchmark_index(items: pl.DataFrame) -> BenchmarkIndex:
    """The index of `items` (benchmark, item, text), the same in whatever order they come."""
    fields = (
        items.select("benchmark", "item", field=pl.col("text").str.split(FIELD_BREAK, literal=False))
        .explode("field")
        .drop_nulls()
        .unique()
        .sort("benchmark", "item", "field")
    )
    size = items.group_by("benchmark").agg(num_items=pl.col("item").n_unique())
    shared = pl.len().over("benchmark", "field")
    distinct = (
        fields.join(size, on="benchmark", how="left", maintain_order="left")
        .filter(shared <= pl.max_horizontal(SHARED_ITEMS, SHARED_SHARE * pl.col("num_items")))
        .select("benchmark", "item", "field", known_as=pl.col("item").first().over("benchmark", "field"))
    )
    once = distinct.filter(pl.col("item") == pl.col("known_as"))
    ngrams = build_index(once["field"], once["benchmark"], boilerplate(), SHARED_FIELDS)
    known = once.filter((ngrams.passages["long"] + ngrams.passages["short"] + ngrams.passages["whole"]) > 0)
    found = distinct.join(known.select("benchmark", "field"), on=["benchmark", "field"], how="semi")
    every = items.select("benchmark", "item").unique().sort("benchmark", "item")
    unknown = every.join(found, on=["benchmark", "item"], how="anti", maintain_order="left")
    return BenchmarkIndex(ngrams, once.select("benchmark", "item"), unknown)


def contaminated(texts: pl.DataFrame, index: BenchmarkIndex, settings: ContaminationSettings = DEFAULT) -> pl.DataFrame:
    """Of `texts` (doc_id, text) those that hold an item, as HITS, one row a document: its largest overlap.

    >>> items = pl.DataFrame({"benchmark": "b", "item": "1", "text": "Who ate the very last plum of all?"})
    >>> page = pl.DataFrame({"doc_id": "d", "text": "Riddle: who ate the very last plum of all"})
    >>> contaminated(page, benchmark_index(items))["rule"].to_list()
    ['whole_item']
    """
    pairs = overlaps(texts["text"], index.ngrams)
    known = index.ngrams.passages.select("unspaced", num_long="long", num_short="short")
    joined = pl.concat([pairs, known[pairs["passage"]], index.fields[pairs["passage"]]], how="horizontal")
    unspaced = pl.when("unspaced").then(settings.unspaced_share)
    long = pl.col("long") / pl.col("num_long")
    short = pl.col("short") / pl.col("num_short")
    by_long = (pl.col("long") > 0) & (long >= unspaced.otherwise(settings.long_share))
    by_short = (pl.col("short") >= settings.fuzzy_ngrams) & (short >= unspaced.otherwise(settings.fuzzy_share))
    by_whole = pl.col("whole") > 0
    ranked = joined.with_columns(
        overlap=pl.when(by_whole).then(1.0).when(by_long).then(long).when(by_short).then(short),
        rank=pl.when(by_whole).then(0).when(by_long).then(1).when(by_short).then(2),
    ).drop_nulls("rank")
    worst = ranked.sort("row", "overlap", "rank", "benchmark", "item", descending=[False, True, False, False, False])
    hits = worst.unique("row", keep="first", maintain_order=True)
    rules = pl.col("rank").replace_strict(dict(enumerate(RULES)), return_dtype=pl.String)
    return hits.with_columns(rule=rules, doc_id=texts["doc_id"][hits["row"]]).select(HITS.names()).cast(HITS)


@cache
def boilerplate() -> pl.Series:
    """Licences, notices, calendars and other prose that stands on many pages and betrays no benchmark."""
    text = files("tier_assets.l1_filtered").joinpath("boilerplate.txt").read_text()
    return pl.Series("boilerplate", text.split("\n\n"))


__all__ = [
    "DEFAULT",
    "HITS",
    "RULES",
    "BenchmarkIndex",
    "ContaminationSettings",
    "benchmark_index",
    "boilerplate",
    "contaminated",
]

"""Ratings of documents by a language model.

In: documents of L1. Out: rows of `l2_annotations`, one a window and dimension, each with the probability of every
option 0 to 5 and their expected value; and what could not be rated, each with the reason. Cost: one forward pass a
window and dimension. Every prompt begins with the same rated examples, then the window, then the dimension's question:
the prefix cache serves the examples to all, and the window to every dimension after the first.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources as package_files
from typing import Any, Final

import polars as pl

from resources.language_models import LanguageModel
from tier_assets.l2_selected.shown import fence, is_code, windows
from tier_tables import L2_ANNOTATIONS

OPTIONS: Final = ("0", "1", "2", "3", "4", "5")
CODE_DIMENSIONS: Final = ("algorithmic_content",)  # asked of programs only
DIMENSIONS: Final = (
    "general_quality",
    "educational_value",
    "information_density",
    "reasoning_completeness",
    "coherence",
    "domain_depth",
    "safety",
    *CODE_DIMENSIONS,
)
# `quality` is their mean: the two that the bundled model judges best (article against boilerplate).
QUALITY_DIMENSIONS: Final = ("general_quality", "educational_value")
# How far, in points of 0 to 5, a sentence that asks for a good rating moves `quality` when it ends a document of 600
# characters, beyond what a harmless sentence of its length does: the mean over documents and the worst document, by the
# worst of ten wordings; and the worst under the scorer that learnt from the ratings.
# Measured: .31, .60 (by a wording like the examples' own; by others .10, .28) and .05.
INJECTION_MEAN_BOUND: Final = 0.4
INJECTION_BOUND: Final = 0.75
SCORER_INJECTION_BOUND: Final = 0.1
# Windows a call: bounds the memory of the prompts (some 4 kB each, one a dimension) and the order by length.
BATCH_WINDOWS: Final = 1_024
TRY_LINES: Final = 64
IDS: Final = ("doc_id", "corpus", "snapshot")
ERRORS_SCHEMA: Final = {**dict.fromkeys(IDS, pl.String), "part": pl.Int64, "dimension": pl.String, "error": pl.String}


@dataclass(frozen=True, slots=True)
class Settings:
    """How many documents are rated, on which dimensions, over at most `max_windows` windows of `max_tokens` tokens
    each; `seed` picks the sample."""

    size: int = 1_000
    dimensions: tuple[str, ...] = DIMENSIONS
    max_tokens: int = 250
    max_windows: int = 2
    seed: int = 0


DEFAULT: Final = Settings()  # some 1,800 windows of the demo's corpora: 800 CPU seconds of the bundled model
# Of a prompt's some 900 tokens the model computes those of the window once, and 30 a dimension: 66k tokens and 70 CPU
# seconds for 150 documents of the demo's corpora.
SMOKE: Final = Settings(size=150, max_windows=1)


@dataclass(frozen=True, slots=True)
class Rated:
    """Rows of `l2_annotations`, and [doc_id, corpus, snapshot, part, dimension, error] of what has no rating; an
    error of a whole document bears neither window nor dimension."""

    annotations: pl.DataFrame
    errors: pl.DataFrame


@dataclass(frozen=True, slots=True)
class _Shown:
    """A window of a document as the model is asked about it."""

    ids: dict[str, str]
    window: int
    span: tuple[int, int]
    text: str
    dimensions: tuple[str, ...]


def rate(documents: pl.DataFrame, model: LanguageModel, settings: Settings, move: Callable[[int], None]) -> Rated:
    """Rates windows of each document [doc_id, corpus, snapshot, text] on each dimension: one forward pass each.

    Windows are asked in order of length, so that a batch holds prompts of like size; a window's dimensions follow each
    other, so that they share its cached prefix. A reply without probabilities is a row of `errors`, and so is a
    document without text. `move` is told how many documents' worth of ratings were asked for so far.

    Raises:
        ValueError: a dimension has no prompt.
    """
    rows: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    shown, empty = _shown(documents, settings)
    errors += [ids | {"part": None, "dimension": None, "error": "no_text"} for ids in empty]
    num_asked, num_all = 0, sum(len(one.dimensions) for one in shown)
    for start in range(0, len(shown), BATCH_WINDOWS):
        asked = [(one, dimension) for one in shown[start : start + BATCH_WINDOWS] for dimension in one.dimensions]
        prompts = [prompt(one.text, dimension) for one, dimension in asked]
        replies = model.choose(prompts, OPTIONS, progress=_scaled(move, num_asked, num_all, len(documents)))
        num_asked += len(asked)
        for (one, dimension), reply in zip(asked, replies, strict=True):
            named = one.ids | {"part": one.window, "dimension": dimension}
            if reply.probabilities is None:
                errors.append(named | {"error": reply.error or "empty"})
            else:
                span = {"char_start": one.span[0], "char_end": one.span[1]}
                rows.append(named | span | _rating(reply.probabilities, dimension, model.name))
    move(len(documents))
    return Rated(
        pl.DataFrame(rows, schema=L2_ANNOTATIONS.schema).sort("doc_id", "part", "dimension"),
        pl.DataFrame(errors, schema=ERRORS_SCHEMA).sort("doc_id", "part", "dimension"),
    )


def ratings_of(annotations: pl.DataFrame) -> pl.DataFrame:
    """What scorers learn, one row a window: [doc_id, part, char_start, char_end, quality, one column for each of
    DIMENSIONS], null where a dimension was not rated; `quality` is the mean of what there is of QUALITY_DIMENSIONS."""
    keys = ["doc_id", "part", "char_start", "char_end"]
    wide = annotations.group_by(keys).agg(
        pl.col("rating").filter(pl.col("dimension") == dimension).mean().alias(dimension) for dimension in DIMENSIONS
    )
    quality = pl.mean_horizontal(QUALITY_DIMENSIONS).round(4).alias("quality")
    return wide.with_columns(quality).select(*keys, "quality", *DIMENSIONS).sort("doc_id", "part")


def try_annotate(lines: Iterator[dict[str, Any]], model: LanguageModel, settings: Settings) -> Iterator[dict[str, Any]]:
    """{id, text} to {id, dimensions: {dimension: {rating, distribution}}, windows: [{char_start, char_end, ratings}]},
    means over the windows; or {id, error} where there is no text or a window could not be rated. TRY_LINES at a time.
    """
    while batch := list(itertools.islice(lines, TRY_LINES)):
        # Numbered: an id may be anything, and may stand twice.
        texts = [line["text"] if isinstance(line.get("text"), str) else "" for line in batch]
        numbered = pl.DataFrame({"doc_id": [str(i) for i in range(len(batch))], "text": texts})
        numbered = numbered.with_columns(corpus=pl.lit("try"), snapshot=pl.lit("try"))
        rated = rate(numbered, model, settings, lambda done: None)
        failed = dict(rated.errors.select("doc_id", "error").iter_rows())
        by_line = rated.annotations.partition_by("doc_id", as_dict=True)
        for i, line in enumerate(batch):
            error = failed.get(str(i))
            yield {"id": line["id"]} | ({"error": error} if error else _told(by_line[(str(i),)]))


def expected(probabilities: Sequence[float]) -> float:
    """The expected option, 0 to 5, rounded to 1e-4.

    >>> expected((0.0, 0.0, 0.5, 0.5, 0.0, 0.0))
    2.5
    """
    return round(sum(i * p for i, p in enumerate(probabilities)) / sum(probabilities), 4)


def prompt(shown: str, dimension: str) -> str:
    """The whole prompt: examples and window, which dimensions share, then the dimension's question."""
    # Not str.format: a brace in the document is a brace.
    shared = "program" if dimension in CODE_DIMENSIONS else "document"
    return _prompt_file(shared).replace("{document}", shown) + _prompt_file(dimension).rstrip("\n")


@functools.cache
def prompt_version(dimension: str) -> str:
    """The prompt's name and a hash of its text, such as `educational_value-3f2a91c0`."""
    return f"{dimension}-{hashlib.sha256(prompt('{document}', dimension).encode()).hexdigest()[:8]}"


def _shown(documents: pl.DataFrame, settings: Settings) -> tuple[list[_Shown], list[dict[str, str]]]:
    """The windows of all documents in order of length, and the ids of documents that have none."""
    prose = tuple(d for d in settings.dimensions if d not in CODE_DIMENSIONS)
    found, empty = [], []
    for *ids, text in documents.select(*IDS, "text").iter_rows():
        named = dict(zip(IDS, ids, strict=True))
        spans = windows(text or "", settings.max_tokens, settings.max_windows)
        dimensions = settings.dimensions if spans and is_code(text) else prose
        found += [_Shown(named, i, span, fence(text[slice(*span)]), dimensions) for i, span in enumerate(spans)]
        if not spans:
            empty.append(named)
    return sorted(found, key=lambda one: (len(one.text), one.ids["doc_id"], one.window)), empty


def _told(rows: pl.DataFrame) -> dict[str, Any]:
    """A document's ratings for `lake try`."""
    dimensions = {}
    for (dimension,), of_dimension in rows.group_by("dimension", maintain_order=True):
        shares = of_dimension["distribution"].to_list()
        mean = [round(sum(column) / len(shares), 4) for column in zip(*shares, strict=True)]
        dimensions[dimension] = {"rating": round(of_dimension["rating"].mean(), 4), "distribution": mean}  # type: ignore[arg-type]
    spans = []
    for (start, end), of_window in rows.group_by("char_start", "char_end", maintain_order=True):
        ratings = dict(of_window.select("dimension", "rating").iter_rows())
        spans.append({"char_start": start, "char_end": end, "ratings": ratings})
    return {"dimensions": dimensions, "windows": spans}


def _scaled(move: Callable[[int], None], before: int, num_all: int, num_documents: int) -> Callable[[int], None]:
    """Progress in documents: ratings asked, scaled to their number."""
    return lambda done: move((before + done) * num_documents // num_all)


def _rating(probabilities: Sequence[float], dimension: str, model: str) -> dict[str, Any]:
    return {
        "rating": expected(probabilities),
        "distribution": list(probabilities),
        "model": model,
        "prompt_version": prompt_version(dimension),
    }


@functools.cache
def _prompt_file(name: str) -> str:
    folder = package_files.files("tier_assets.l2_selected") / "prompts"
    known = sorted(file.name.removesuffix(".txt") for file in folder.iterdir() if file.name.endswith(".txt"))
    if name not in known:
        raise ValueError(f"no prompt for {name!r}; known: {known}")
    return (folder / f"{name}.txt").read_text(encoding="utf-8")


__all__ = [
    "CODE_DIMENSIONS",
    "DEFAULT",
    "DIMENSIONS",
    "INJECTION_BOUND",
    "INJECTION_MEAN_BOUND",
    "OPTIONS",
    "QUALITY_DIMENSIONS",
    "SCORER_INJECTION_BOUND",
    "SMOKE",
    "Rated",
    "Settings",
    "expected",
    "prompt",
    "prompt_version",
    "rate",
    "ratings_of",
    "try_annotate",
    "windows",
]

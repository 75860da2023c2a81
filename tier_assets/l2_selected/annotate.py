"""The seed sample and its ratings by a language model.

In: L1 documents. Out: rows of `l2_annotations`, one a document and dimension, each with the probability of every
option 0 to 5 and their expected value; and the replies that gave none, each with the reason. Cost: one forward pass a
document and dimension, over at most `max_tokens` tokens of text. Every prompt begins with the same rated examples, then
the document, then the dimension's question: the prefix cache serves the examples to all and the document to every
dimension after the first.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources as package_files
from typing import Final

import polars as pl

from resources.language_models import LanguageModel
from resources.tokenizer import cut_tokens
from tier_tables import L2_ANNOTATIONS

OPTIONS: Final = ("0", "1", "2", "3", "4", "5")
# The first is the one that a small model judges best: article text against page boilerplate, SmolLM2-135M, 100 texts
# of 400 characters: general_quality AUC .88, educational_value .80, information_density .73; without the rated
# examples in the prompt none was above .60. The example that asks for a 5 and gets a 0 brings the gain of "rate this
# document 5" from +.40 to that of any other sentence (+.14 against +.12), at no loss of AUC.
DIMENSIONS: Final = ("general_quality", "educational_value", "information_density")
# Upper edges of the length bands, in tokens: a screenful, a page, a chapter.
LENGTH_BANDS: Final = (200, 1_000)
# Columns of L1 that the sample is drawn by; the text is fetched afterwards, of the drawn rows only.
DRAW_COLUMNS: Final = ("doc_id", "corpus", "snapshot", "language", "num_tokens")
# Documents a call: bounds the memory of the prompts; the model below it batches and keeps replies by itself.
BATCH_DOCUMENTS: Final = 4_096
FETCH_COLUMNS: Final = ("doc_id", "corpus", "snapshot", "text")


@dataclass(frozen=True, slots=True)
class Settings:
    """How many documents are rated, on which dimensions, over how many tokens of text each; `seed` picks the sample."""

    size: int = 1_000
    dimensions: tuple[str, ...] = DIMENSIONS[:2]
    max_tokens: int = 400
    seed: int = 0


DEFAULT: Final = Settings()
# 150 documents x (250 tokens of text + 300 of prompt and chat template) stay below 100k prompt tokens; the examples'
# 230 of each are read once and then served from the prefix cache.
SMOKE: Final = Settings(size=150, dimensions=DIMENSIONS[:1], max_tokens=250)


@dataclass(frozen=True, slots=True)
class Rated:
    """Rows of `l2_annotations`, and [doc_id, corpus, snapshot, dimension, error] of the replies without a rating."""

    annotations: pl.DataFrame
    errors: pl.DataFrame


def draw_seed(pool: pl.LazyFrame, size: int, seed: int) -> pl.DataFrame:
    """At most `size` documents of the pool [doc_id, corpus, snapshot, text], a stratum for each corpus, language and
    length band, each with a share that grows with the square root of its size.

    The order within a stratum is a hash of (seed, doc_id): the same documents give the same sample, and a grown pool
    keeps most of it. Two passes: ids first (memory: `size` rows a stratum), then the texts of what was drawn.
    """
    drawn = _draw_ids(pool.select(DRAW_COLUMNS), size, seed)
    if drawn.is_empty():
        return pool.select(FETCH_COLUMNS).head(0).collect()
    return (
        pool.select(FETCH_COLUMNS)
        .join(drawn.select("doc_id").lazy(), on="doc_id", how="semi")
        .sort("doc_id")
        .collect(engine="streaming")
    )


def rate(
    documents: pl.DataFrame,
    model: LanguageModel,
    dimensions: Sequence[str],
    max_tokens: int,
    move: Callable[[int], None],
) -> Rated:
    """Rates each document [doc_id, corpus, snapshot, text] on each dimension: one forward pass each.

    Documents are asked in order of length, so that a batch holds prompts of like size; a document's dimensions follow
    each other, so that they share its cached prefix. A reply without probabilities is a row of `errors`. `move` is
    told how many ratings were asked for so far.

    Raises:
        ValueError: a dimension has no prompt.
    """
    ordered = documents.sort(pl.col("text").str.len_bytes(), "doc_id")
    rows: list[dict[str, object]] = []
    errors: list[dict[str, object]] = []
    for start in range(0, len(ordered), BATCH_DOCUMENTS):
        batch = ordered[start : start + BATCH_DOCUMENTS].iter_rows(named=True)
        shown = [(document, shown_text(document["text"], max_tokens)) for document in batch]
        asked = [(document, dimension, text) for document, text in shown for dimension in dimensions]
        replies = model.choose(
            [prompt(text, dimension) for _, dimension, text in asked],
            OPTIONS,
            progress=_shifted(move, start * len(dimensions)),
        )
        for (document, dimension, _), reply in zip(asked, replies, strict=True):
            named = {k: document[k] for k in ("doc_id", "corpus", "snapshot")} | {"dimension": dimension}
            if reply.probabilities is None:
                errors.append(named | {"error": reply.error or "empty"})
            else:
                rows.append(named | _rating(reply.probabilities, dimension, model.name))
    error_schema = {n: pl.String for n in ("doc_id", "corpus", "snapshot", "dimension", "error")}
    return Rated(
        pl.DataFrame(rows, schema=L2_ANNOTATIONS.schema).sort("doc_id", "dimension"),
        pl.DataFrame(errors, schema=error_schema).sort("doc_id", "dimension"),
    )


def ratings_of(annotations: pl.DataFrame) -> pl.DataFrame:
    """One `rating` a document, the mean over its dimensions: what the quality scorer learns [doc_id, rating]."""
    return annotations.group_by("doc_id").agg(pl.col("rating").mean()).sort("doc_id")


def expected(probabilities: Sequence[float]) -> float:
    """The expected option, 0 to 5, rounded to 1e-4.

    >>> expected((0.0, 0.0, 0.5, 0.5, 0.0, 0.0))
    2.5
    """
    return round(sum(i * p for i, p in enumerate(probabilities)) / sum(probabilities), 4)


def prompt(shown: str, dimension: str) -> str:
    """The whole prompt: the examples and the document, which all dimensions share, then the dimension's question."""
    # Not str.format: a brace in the document is a brace.
    return _prompt_file("document").replace("{document}", shown) + _prompt_file(dimension).rstrip("\n")


def prompt_version(dimension: str) -> str:
    """The prompt's name and a hash of its text, such as `educational_value-3f2a91c0`."""
    return f"{dimension}-{hashlib.sha256(prompt('{document}', dimension).encode()).hexdigest()[:8]}"


def shown_text(text: str, max_tokens: int) -> str:
    """What the model sees of a document: at most `max_tokens` tokens, fenced.

    The cut falls at the end of a paragraph where one lies in the second half, else at the end of a word.
    """
    head = cut_tokens(text, max_tokens)
    if len(head) < len(text):
        cut = head.rfind("\n", len(head) // 2)
        cut = cut if cut > 0 else head.rfind(" ", len(head) // 2)
        head = head[:cut] if cut > 0 else head
    return fence(head.strip())


def fence(text: str) -> str:
    """`text` without what could end its fence, and without tokens of a chat template.

    >>> fence("a</document><|im_end|>b")
    'a< /document> b'
    """
    # Broken by spaces, a template's tokens still moved a small model's rating by .9: they go altogether.
    without_tokens = re.sub(r"<\|[^<>|\n]{1,40}\|>", " ", text)
    return re.sub(r"<(?=/?\s*document\b)", "< ", without_tokens, flags=re.IGNORECASE)


def _draw_ids(pool: pl.LazyFrame, size: int, seed: int) -> pl.DataFrame:
    """The drawn rows of the pool: rank within the stratum over the square root of the stratum's size, smallest first
    (power allocation, exponent 1/2, Bankier 1988): no corpus is lost and no stray stratum of three rows prevails."""
    strata = ["corpus", "language", "band"]
    kept, counts = pl.DataFrame(), pl.DataFrame()
    for batch in pool.collect_batches():
        banded = batch.select(
            "doc_id",
            "corpus",
            "language",
            band=pl.col("num_tokens").cut(list(LENGTH_BANDS)).cast(pl.String),
            order=pl.Series([_order(seed, doc_id) for doc_id in batch["doc_id"]], dtype=pl.String),
        )
        counts = pl.concat([counts, banded.group_by(strata).len()], how="diagonal")
        kept = pl.concat([kept, banded], how="diagonal").sort("order")
        kept = kept.filter(pl.int_range(pl.len()).over(strata) < size)
    if kept.is_empty():
        return pl.DataFrame(schema={"doc_id": pl.String})
    sizes = counts.group_by(strata).agg(pl.col("len").sum())
    rank = pl.int_range(1, pl.len() + 1).over(strata, order_by="order")
    return (
        kept.join(sizes, on=strata)
        .with_columns(priority=rank / pl.col("len").sqrt())
        .sort("priority", "order")
        .head(size)
        .select("doc_id")
    )


def _shifted(move: Callable[[int], None], before: int) -> Callable[[int], None]:
    return lambda done: move(before + done)


def _rating(probabilities: Sequence[float], dimension: str, model: str) -> dict[str, object]:
    return {
        "rating": expected(probabilities),
        "distribution": list(probabilities),
        "model": model,
        "prompt_version": prompt_version(dimension),
    }


def _order(seed: int, doc_id: str) -> str:
    return hashlib.blake2b(f"{seed}:{doc_id}".encode(), digest_size=16).hexdigest()


@functools.cache
def _prompt_file(name: str) -> str:
    folder = package_files.files("tier_assets.l2_selected") / "prompts"
    known = sorted(file.name.removesuffix(".txt") for file in folder.iterdir() if file.name.endswith(".txt"))
    if name not in known:
        raise ValueError(f"no prompt for {name!r}; known: {known}")
    return (folder / f"{name}.txt").read_text(encoding="utf-8")

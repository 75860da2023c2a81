"""Documents that repeat an item of the reference: those that hold a large share of its word 5-grams.

In: the items' texts, and batches of documents. Out: a row for each document that repeats one: the item that it repeats
most, and the share of the item's distinct 5-grams that it holds. An index of 8-grams proposes pairs, and the 5-grams of
each pair are counted: nothing is estimated. An item of fewer than 8 words is not looked for (a common phrase would hold
out what says it by chance), and of one of fewer than 13 only whole copies. Cost: 8 to 14 ms a MB of documents on one
core, and 1 ms a pair.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import polars as pl

from algorithms.ngram_overlap import build_index, fold, overlaps

NGRAM_WORDS: Final = 5
WORD: Final = re.compile(r"\w+")
# A pair is worth counting: a text in which edits leave 30% of an item's 5-grams keeps 15% of its 8-grams.
PROPOSED_SHARE: Final = 0.05
NEAR: Final = pl.Schema(
    {"doc_id": pl.String, "corpus": pl.String, "snapshot": pl.String, "item_id": pl.String, "similarity": pl.Float64}
)


def near_items(items: pl.DataFrame, documents: Iterable[pl.DataFrame], near_share: float) -> pl.DataFrame:
    """As NEAR, the documents [doc_id, corpus, snapshot, text] that hold `near_share` of the 5-grams of one of `items`
    [item_id, text].

    >>> items = pl.DataFrame({"item_id": "i", "text": "Who ate the very last plum of all the plums?"})
    >>> page = {"corpus": "c", "snapshot": "s", "text": "Riddle: who ate the very last plum of all the plums?"}
    >>> near_items(items, [pl.DataFrame({"doc_id": "d", **page})], 0.3)["similarity"].to_list()
    [1.0]
    """
    index = build_index(items["text"], items["item_id"], pl.Series([], dtype=pl.String), items.height)
    known = index.passages.select(num_short="short")
    grams_I = [ngrams(text) for text in fold(items["text"])]
    found = [NEAR.to_frame()]
    for batch in documents:
        pairs = overlaps(batch["text"], index)
        pairs = pl.concat([pairs, known[pairs["passage"]]], how="horizontal").filter(
            (pl.col("whole") > 0) | (pl.col("short") >= PROPOSED_SHARE * pl.col("num_short"))
        )
        rows = []
        for (row,), proposed in pairs.group_by("row", maintain_order=True):
            own = ngrams(fold(batch["text"].gather([row]))[0])
            for passage in proposed["passage"]:
                share = round(len(grams_I[passage] & own) / max(1, len(grams_I[passage])), 4)
                if share >= near_share:
                    rows.append(
                        (*batch.select("doc_id", "corpus", "snapshot").row(row), items["item_id"][passage], share)
                    )
        found.append(pl.DataFrame(rows, schema=NEAR, orient="row"))
    return (
        pl.concat(found)
        .sort("doc_id", "similarity", "item_id", descending=[False, True, False])
        .unique("doc_id", keep="first", maintain_order=True)
    )


def ngrams(folded: str) -> set[tuple[str, ...]]:
    """The distinct word 5-grams of a text that `fold` has folded."""
    words = WORD.findall(folded)
    return set(zip(*(words[place:] for place in range(NGRAM_WORDS))))

"""The windows that are probed: one of each drawn document, as long as the model's context.

In: documents and the checkpoint's tokenizer. Out: each window's place and text, and its token ids. Which documents are
drawn and where their windows begin are hashes of seed and id: the same pool, checkpoint and seed give the same probes,
and a grown pool keeps most of them. A document shorter than the context is filled up with the token `end_id`.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from algorithms.packing import Tokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# A byte-level vocabulary of a few thousand cuts English into tokens of 2.5 to 3.5 characters.
CHARS_PER_TOKEN: Final = 4


def draw(ids: pl.DataFrame, size: int, seed: int) -> pl.DataFrame:
    """At most `size` rows of `ids` [doc_id, ...]: those with the smallest hash of seed and id, in order of doc_id."""
    drawn = ids.with_columns(at=pl.col("doc_id").map_elements(lambda name: _hash(seed, name), return_dtype=pl.UInt64))
    return drawn.sort("at", "doc_id").head(size).drop("at").sort("doc_id")


def windows(
    documents: pl.DataFrame, tokenizer: Tokenizer, length: int, end_id: int, seed: int
) -> tuple[pl.DataFrame, Tokens]:
    """`documents` [doc_id, text, ...] with `text` cut to its window and [char_start, char_end], and the chunks
    [num_documents, length]. A document without text has no window and is left out."""
    size = CHARS_PER_TOKEN * length
    documents = documents.filter(pl.col("text").str.len_chars() > 0)
    starts = [
        _hash(seed + 1, name) % max(1, chars // size) * size
        for name, chars in zip(documents["doc_id"], documents["text"].str.len_chars(), strict=True)
    ]
    cut = documents.with_columns(char_start=pl.Series(starts, dtype=pl.Int64)).with_columns(
        text=pl.col("text").str.slice(pl.col("char_start"), size)
    )
    chunks_NC = np.full((len(cut), length), end_id, np.int32)
    ends = []
    encodings = tokenizer.encode_batch(cut["text"].to_list(), add_special_tokens=False) if len(cut) else []
    for number, encoding in enumerate(encodings):
        ids = encoding.ids[:length]
        chunks_NC[number, : len(ids)] = ids
        ends.append(encoding.offsets[len(ids) - 1][1])
    taken = pl.Series("taken", ends, pl.Int64)
    rows = cut.with_columns(
        text=pl.Series([text[:end] for text, end in zip(cut["text"], ends, strict=True)], dtype=pl.String),
        char_end=pl.col("char_start") + taken,
    )
    return rows, chunks_NC


def _hash(seed: int, name: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"probe:{seed}:{name}".encode(), digest_size=8).digest(), "big")

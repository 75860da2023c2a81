"""Embeddings of documents, each text embedded once: what the lake has of the same text and encoder is taken over.

In: a batch of documents and the embeddings known of their partition. Out: rows of `embeddings`. Costs what the encoder
costs for new or changed texts (27 CPU ms a text of 256 tokens for the bundled one), microseconds for the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import polars as pl

from resources.encoder import Encoder
from tier_tables import EMBEDDINGS


def text_hash(texts: pl.Series) -> pl.Series:
    """128 bits of each text as 32 hexadecimal digits (String), the same everywhere; null counts as empty.

    >>> text_hash(pl.Series(["a", "b"]))[0]
    '27c35e6e9373877f29e562464e46497e'
    """
    hashes = [hashlib.blake2b((text or "").encode(), digest_size=16).hexdigest() for text in texts]
    return pl.Series("text_hash", hashes, dtype=pl.String)


def embed_batch(
    batch: pl.DataFrame, known: pl.DataFrame, encoder: Encoder, move: Callable[[int], None] | None = None
) -> pl.DataFrame:
    """Rows of `embeddings` for `batch` [doc_id, corpus, snapshot, text], in its order.

    Args:
        known: [doc_id, text_hash, vector] under the same encoder; one that is of another text does not count.
        move: called with how many of the batch are done.

    Raises:
        ValueError: a known vector has another length than the encoder's.
    """
    rows = batch.select("doc_id", "corpus", "snapshot", text_hash(batch["text"]))
    found = rows.join(
        known.select("doc_id", "text_hash", "vector"), on=["doc_id", "text_hash"], how="left", maintain_order="left"
    )["vector"]
    new = found.is_null()
    vectors_ND = np.empty((len(batch), encoder.size), np.float32)
    if not new.all():
        old = found.filter(~new)
        if not (old.list.len() == encoder.size).all():
            raise ValueError(f"known vectors of {encoder.name} must have {encoder.size} numbers")
        vectors_ND[(~new).to_numpy()] = old.explode().to_numpy().reshape(-1, encoder.size)
    if new.any():
        before = len(batch) - int(new.sum())
        texts = batch["text"].fill_null("").filter(new).to_list()
        vectors_ND[new.to_numpy()] = encoder.encode(texts, None if move is None else lambda done: move(before + done))
    elif move is not None:
        move(len(batch))
    return rows.with_columns(
        encoder=pl.lit(encoder.name),
        vector=pl.Series(vectors_ND, dtype=pl.Array(pl.Float32, encoder.size)).cast(pl.List(pl.Float32)),
    ).select(EMBEDDINGS.schema.names())


def vectors_of(rows: pl.DataFrame) -> np.ndarray:
    """The column `vector` of rows of `embeddings` as one array: float32 [N, size]."""
    if rows.is_empty():
        return np.empty((0, 0), np.float32)
    return rows["vector"].explode().to_numpy().reshape(len(rows), -1)

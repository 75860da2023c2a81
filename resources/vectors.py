"""Embeddings of a partition in the order of one's own rows, on disk: a million documents need no memory of their own.

In: the lake, an encoder's name, a partition, document ids. Out: an array [N, size] of float32 that the system pages in
as it is read; a document without an embedding has a row of NaN. Costs the embeddings' size in a temporary file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from tempfile import TemporaryFile

import numpy as np
import polars as pl

from resources.lake import Lake

BATCH_ROWS = 8_192


@contextmanager
def open_vectors(
    lake: Lake, encoder: str, partition: Mapping[str, str], doc_ids: pl.Series
) -> Iterator[np.ndarray | None]:
    """The vectors of `doc_ids` [N, size], valid within the block; None where the partition has no embedding."""
    slice_ = {"encoder": encoder, **partition}
    first = next(iter(lake.batches("embeddings", slice_, ["vector"], rows=1)), None)
    if first is None or first.is_empty() or doc_ids.is_empty():
        yield None
        return
    size = len(first["vector"][0])
    places = pl.DataFrame({"doc_id": doc_ids}).with_row_index("place")
    with TemporaryFile(prefix="tierlake-") as file:
        vectors = np.memmap(file, np.float32, "w+", shape=(len(doc_ids), size))
        filled = np.zeros(len(doc_ids), dtype=bool)
        for batch in lake.batches("embeddings", slice_, ["doc_id", "vector"], BATCH_ROWS):
            placed = batch.join(places, on="doc_id", how="inner")
            rows = placed["place"].to_numpy()
            vectors[rows] = placed["vector"].explode().to_numpy().reshape(len(placed), size)
            filled[rows] = True
        for start in range(0, len(filled), BATCH_ROWS):
            vectors[start : start + BATCH_ROWS][~filled[start : start + BATCH_ROWS]] = np.nan
        yield vectors

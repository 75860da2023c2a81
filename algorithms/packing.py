"""Packing: documents of any length to chunks of one length, nothing lost but the last incomplete chunk.

In: token ids of documents, in order. Out: an array of chunks. Documents follow each other with one separator between,
as in GPT-3 (arXiv 2005.14165): no padding, no attention mask, a chunk may hold the end of one document
and the beginning of the next.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Tokens = npt.NDArray[np.int32]


def pack(documents: Iterable[Tokens], length: int, separator: int) -> Tokens:
    """Chunks [num_chunks, length] of the documents, each followed by `separator`.

    Raises:
        ValueError: a length below 1.

    >>> pack([np.array([5, 6, 7]), np.array([8])], 2, 0).tolist()
    [[5, 6], [7, 0], [8, 0]]
    """
    if length < 1:
        raise ValueError(f"a chunk has at least one token, not {length}")
    parts = [part for tokens in documents for part in (tokens, np.array([separator]))]
    flat = np.concatenate(parts).astype(np.int32) if parts else np.empty(0, np.int32)
    whole = len(flat) // length
    return flat[: whole * length].reshape(whole, length)

"""Counts of hashed n-grams of many documents, by block: read again and again, in memory up to a bound, then on disk.

In: CSR matrices of counts, a block each. Out: the same, in the order added. Beyond `memory_bytes` a block
waits in a scratch file (where `TMPDIR` says) that goes with the `CountBlocks`: 8 bytes for each different n-gram of a
document, some 10 kB for one of 1,000 words.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Final

import numpy as np
from scipy import sparse

from algorithms.ngram_counts import BUCKETS

MEMORY_BYTES: Final = 512 << 20
ARRAYS: Final = ("data", "indices", "indptr")


class CountBlocks:
    """Blocks of counts; iterate as often as needed. Use as a context manager."""

    def __init__(self, memory_bytes: int = MEMORY_BYTES) -> None:
        self._left_bytes = memory_bytes
        self._held: list[sparse.csr_matrix | None] = []
        self._folder = TemporaryDirectory(prefix="tierlake-")

    def __enter__(self) -> CountBlocks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.clear()
        self._folder.cleanup()

    def __iter__(self) -> Iterator[sparse.csr_matrix]:
        for number, block in enumerate(self._held):
            yield block if block is not None else self._read(number)

    def add(self, block: sparse.csr_matrix) -> None:
        """Keep the counts as the next block."""
        size = sum(getattr(block, name).nbytes for name in ARRAYS)
        if size <= self._left_bytes:
            self._left_bytes -= size
            self._held.append(block)
            return
        for name in ARRAYS:
            np.save(self._file(len(self._held), name), getattr(block, name))
        self._held.append(None)

    def _read(self, number: int) -> sparse.csr_matrix:
        data, indices, indptr = (np.load(self._file(number, name)) for name in ARRAYS)
        return sparse.csr_matrix((data, indices, indptr), shape=(len(indptr) - 1, BUCKETS))

    def _file(self, number: int, name: str) -> Path:
        return Path(self._folder.name) / f"{number}-{name}.npy"


__all__ = ["CountBlocks"]

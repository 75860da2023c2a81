"""Arrays too many for memory: appended by part, held up to a bound, then in scratch files, read back part by part.

In: numpy arrays of one dtype. Out: of each part what was appended to it, in that order. Costs the bound in memory,
the rest on disk, in a temporary folder (where `TMPDIR` says) that goes with the `Scratch` it was made in.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np


@dataclass(frozen=True)
class Scratch:
    """A folder for files that no one needs later, and how much each spill holds before it makes one."""

    folder: Path
    memory_bytes: int

    def spill(self, name: str, dtype: np.dtype, num_parts: int) -> Spill:
        """Growing arrays, one a part; `name` is the files'."""
        return Spill(self.folder, name, dtype, num_parts, self.memory_bytes)


@contextmanager
def open_scratch(memory_bytes: int) -> Iterator[Scratch]:
    """A new folder, removed at the end."""
    with TemporaryDirectory(prefix="tierlake-") as folder:
        yield Scratch(Path(folder), memory_bytes)


class Spill:
    """`num_parts` growing arrays of `dtype`; beyond `memory_bytes` in all they wait in `folder`, as files `name-…`."""

    def __init__(self, folder: Path, name: str, dtype: np.dtype, num_parts: int, memory_bytes: int) -> None:
        self.num_parts = num_parts
        self._folder, self._name, self._dtype, self._memory_bytes = folder, name, dtype, memory_bytes
        self._held: list[list[np.ndarray]] = [[] for _ in range(num_parts)]
        self._held_bytes = 0

    def append(self, part: int, values: np.ndarray) -> None:
        """Add `values` behind what the part has."""
        if not len(values):
            return
        self._held[part].append(np.array(values, self._dtype))  # a copy: a view would hold the whole it is cut from
        self._held_bytes += values.nbytes
        if self._held_bytes > self._memory_bytes:
            self._flush()

    def scatter(self, values: np.ndarray, parts: np.ndarray) -> None:
        """Add each of `values` to the part of the same position in `parts`."""
        order = np.argsort(parts, kind="stable")
        ends = np.cumsum(np.bincount(parts, minlength=self.num_parts))
        for part in np.unique(parts):
            self.append(part, values[order[ends[part - 1] if part else 0 : ends[part]]])

    def take(self, part: int) -> np.ndarray:
        """All of a part, which is empty from now on."""
        file = self._file(part)
        stored = [np.fromfile(file, self._dtype)] if file.exists() else []
        held, self._held[part] = self._held[part], []
        self._held_bytes -= sum(values.nbytes for values in held)
        file.unlink(missing_ok=True)
        return np.concatenate([*stored, *held]) if stored or held else np.empty(0, self._dtype)

    def _flush(self) -> None:
        for part, held in enumerate(self._held):
            if held:
                with self._file(part).open("ab") as file:
                    for values in held:
                        values.tofile(file)
                held.clear()
        self._held_bytes = 0

    def _file(self, part: int) -> Path:
        return self._folder / f"{self._name}-{part}"


__all__ = ["Scratch", "Spill", "open_scratch"]

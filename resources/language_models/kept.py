"""Replies kept in the table `model_replies`, found again by their keys.

In: keys, and replies to keep. Out: the replies that are known. The keys of a model are read once, 16 bytes of memory
each; a reply is read from the few rows around the one that bears its key, since a re-run asks in much the same order
as the first run: a million replies cost a few reads of the table, not one a lot. Replies are appended every
MOST_UNSAVED of them, or as soon as FLUSH_S have passed.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Protocol

import numpy as np
import polars as pl

from resources.language_models.protocol import Reply
from tier_tables import table

TABLE = "model_replies"
COLUMNS = ("key", "text", "probabilities", "error", "prompt_tokens", "output_tokens", "seconds")
NOT_KEPT = ("timed_out", "too_long", "over_budget")
MOST_UNSAVED = 4_096
FLUSH_S = 5.0
HASH_DIGITS = 15  # of a key's 32: 60 bits; the whole key is compared in the row
NEAR = 4_096  # rows: reading so many more costs less than another read
MOST_READS = 8  # of parts of the table, before it is read from the first row wanted to the last
RECENT = 65_536


class ReplyStore(Protocol):
    """What is needed of the lake."""

    def scan(self, name: str) -> pl.LazyFrame: ...

    def append(self, name: str, rows: pl.DataFrame) -> int: ...


class KeptReplies:
    """The replies of `model` in `lake`, as they stand now and as they are added here."""

    def __init__(self, lake: ReplyStore, model: str) -> None:
        self._lake = lake
        self._model = model
        self._frame = lake.scan(TABLE)
        self._hashes, self._rows = _index(self._frame, model)
        self._added = Hashes()
        self._unsaved: dict[str, tuple[str, Reply]] = {}  # key -> prompt version, reply
        self._saved_at = time.monotonic()

    def find(self, keys: Sequence[str]) -> dict[str, Reply]:
        """The known ones of the keys."""
        found = {key: self._unsaved[key][1] for key in keys if key in self._unsaved}
        if not keys:
            return found
        wanted = [key for key in keys if key not in found]
        hashes = np.array([int(key[:HASH_DIGITS], 16) for key in wanted], dtype=np.int64)
        if len(self._hashes):
            places = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
            rows = self._rows[places[self._hashes[places] == hashes]]
            for first, last in spans(np.unique(rows)):
                found |= _replies(self._frame.slice(first, last - first + 1), wanted)
        added = [key for key, was in zip(wanted, self._added.contain(hashes), strict=True) if was and key not in found]
        if added:
            found |= _replies(self._lake.scan(TABLE), added)
        return found

    def keep(self, key: str, prompt_version: str, reply: Reply) -> None:
        """Add a reply, unless it may pass (a time-out) or depends on settings (a limit of length or budget)."""
        if reply.error not in NOT_KEPT:
            self._unsaved[key] = (prompt_version, reply)

    def save_if_due(self) -> None:
        """Append what was added, if it is much or has waited long."""
        if len(self._unsaved) >= MOST_UNSAVED or time.monotonic() - self._saved_at >= FLUSH_S:
            self.save()

    def save(self) -> None:
        """Append what was added."""
        self._saved_at = time.monotonic()
        if not self._unsaved:
            return
        rows = [
            {
                "key": key,
                "model": self._model,
                "prompt_version": prompt_version,
                "text": reply.text,
                "probabilities": reply.probabilities,
                "error": reply.error,
                "prompt_tokens": reply.prompt_tokens,
                "output_tokens": reply.output_tokens,
                "seconds": reply.seconds,
            }
            for key, (prompt_version, reply) in self._unsaved.items()
        ]
        self._lake.append(TABLE, pl.DataFrame(rows, schema=table(TABLE).schema))
        self._added.add([int(key[:HASH_DIGITS], 16) for key in self._unsaved])
        self._unsaved = {}


class Hashes:
    """A set of 60-bit numbers that takes 8 bytes each, but for the `recent` last ones."""

    def __init__(self, recent: int = RECENT) -> None:
        self._most_recent = recent
        self._sorted = np.empty(0, dtype=np.int64)
        self._recent: set[int] = set()

    def add(self, hashes: Collection[int]) -> None:
        """Add numbers."""
        self._recent.update(hashes)
        if len(self._recent) >= self._most_recent:
            recent = np.fromiter(self._recent, dtype=np.int64, count=len(self._recent))
            self._sorted = np.union1d(self._sorted, recent)
            self._recent = set()

    def contain(self, hashes: np.ndarray) -> list[bool]:
        """For each number whether it is in the set."""
        if not len(self._sorted):
            return [h in self._recent for h in hashes.tolist()]
        places = np.minimum(np.searchsorted(self._sorted, hashes), len(self._sorted) - 1)
        is_old = self._sorted[places] == hashes
        return [bool(old) or h in self._recent for h, old in zip(hashes.tolist(), is_old, strict=True)]


def spans(rows: np.ndarray) -> list[tuple[int, int]]:
    """First and last row of the parts of a table that hold the `rows` (sorted): few parts, little beside the rows.

    >>> spans(np.array([3, 7, 90_000]))
    [(3, 7), (90000, 90000)]
    """
    if not len(rows):
        return []
    ends = np.flatnonzero(np.diff(rows) > NEAR)
    if len(ends) >= MOST_READS:
        return [(int(rows[0]), int(rows[-1]))]
    firsts, lasts = [0, *(ends + 1)], [*ends, len(rows) - 1]
    return [(int(rows[a]), int(rows[b])) for a, b in zip(firsts, lasts, strict=True)]


def _index(frame: pl.LazyFrame, model: str) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of the model's keys, sorted, and the number of each one's row in the frame."""
    columns = (
        frame.select("key", "model")
        .with_row_index("row")
        .filter(pl.col("model") == model)
        .select(pl.col("key").str.head(HASH_DIGITS).str.to_integer(base=16, dtype=pl.Int64).alias("hash"), "row")
        .collect(engine="streaming")
    )
    hashes, rows = columns["hash"].to_numpy(), columns["row"].to_numpy()
    order = np.argsort(hashes, kind="stable")
    return hashes[order], rows[order]


def _replies(frame: pl.LazyFrame, keys: Sequence[str]) -> dict[str, Reply]:
    rows = frame.select(COLUMNS).filter(pl.col("key").is_in(keys)).collect()
    return {
        key: Reply(text, None if shares is None else tuple(shares), error, num_prompt, 0, num_output, seconds)
        for key, text, shares, error, num_prompt, num_output, seconds in rows.iter_rows()
    }

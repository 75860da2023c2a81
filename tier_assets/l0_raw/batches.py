"""From registered sources to rows of `l0_raw` and verdicts, batch by batch.

In: rows of `sources`. Out: batches of new rows, verdicts and counts; in every batch entries read = rows + verdicts +
skipped. Memory: one batch and one record.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl

from tier_assets.l0_raw.readers import read_source
from tier_assets.l0_raw.records import WHOLE_FILE, BadRecord, Entry, Record, Skipped, mint_doc_id
from tier_tables import L0_RAW, VERDICTS

BATCH_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True)
class Batch:
    """New rows of `l0_raw`, verdicts of tier `l0`, and how many records were passed over, by kind.

    Kinds are those of the readers (`request`, `metadata`, `blank_line`, ...) and `already_seen`.
    """

    rows: pl.DataFrame
    verdicts: pl.DataFrame
    skipped: Mapping[str, int]


def read_batches(sources: pl.DataFrame, *, seen: Container[str], batch_bytes: int = BATCH_BYTES) -> Iterator[Batch]:
    """The records of `sources` (columns of SOURCES) whose doc_id is not in `seen`, in the sources' order.

    A batch is handed out when its payloads reach `batch_bytes`, the last one whatever its size; with no entries at
    all there is no batch. A source that is gone, was changed since, or is damaged becomes a verdict.
    """
    batch = _Open()
    minted: set[bytes] = set()
    for source in sources.iter_rows(named=True):
        for entry in _entries(source):
            if isinstance(entry, Skipped):
                batch.skipped[entry.kind] += 1
                continue
            sha256 = entry.raw_sha256 if isinstance(entry, BadRecord) else hashlib.sha256(entry.raw).hexdigest()
            doc_id = mint_doc_id(source["corpus"], source["snapshot"], entry.uri, entry.byte_offset, sha256)
            digest = bytes.fromhex(doc_id)
            if digest in minted or doc_id in seen:
                batch.skipped["already_seen"] += 1
                continue
            minted.add(digest)
            batch.add(source, entry, doc_id, sha256)
            if batch.num_bytes >= batch_bytes:
                yield batch.close()
                batch = _Open()
    if batch:
        yield batch.close()


def _entries(source: Mapping[str, Any]) -> Iterator[Entry]:
    """The entries of one source; one verdict in their place where its file is no longer the one registered."""
    path, uri = Path(source["path"]), source["uri"]
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        yield BadRecord(uri, WHOLE_FILE, "source_missing", str(path), source["sha256"])
    except OSError as error:
        yield BadRecord(uri, WHOLE_FILE, "source_unreadable", f"{error.strerror or error}: {path}", source["sha256"])
    else:
        if found == source["sha256"]:
            yield from read_source(path, source["format"], uri)
        else:
            detail = f"sha256 {found[:16]}..., registered as {source['sha256'][:16]}...: ingest it again"
            yield BadRecord(uri, WHOLE_FILE, "source_changed", detail, source["sha256"])


@dataclass
class _Open:
    """A batch that grows."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    num_bytes: int = 0

    def __bool__(self) -> bool:
        return bool(self.rows or self.verdicts or self.skipped)

    def add(self, source: Mapping[str, Any], entry: Record | BadRecord, doc_id: str, sha256: str) -> None:
        place = {"doc_id": doc_id, "corpus": source["corpus"], "snapshot": source["snapshot"]}
        # A row costs more than its payload: counted so that many tiny records fill a batch too.
        self.num_bytes += 1024
        if isinstance(entry, BadRecord):
            self.verdicts.append(
                place | {"tier": "l0", "reason": entry.reason, "detail": _storable(f"{entry.uri}: {entry.detail}")}
            )
            return
        self.num_bytes += len(entry.raw)
        self.rows.append(
            place
            | {
                "uri": _storable(entry.uri),
                "content_type": entry.content_type,
                "raw": entry.raw,
                "raw_sha256": sha256,
                "num_bytes": len(entry.raw),
                "source_id": source["source_id"],
                "byte_offset": entry.byte_offset,
                "licence": source["licence"] or (_storable(entry.licence) if entry.licence else None),
                "fetched_at": entry.fetched_at,
            }
        )

    def close(self) -> Batch:
        rows = pl.DataFrame(self.rows, schema=L0_RAW.schema)
        verdicts = pl.DataFrame(self.verdicts, schema=VERDICTS.schema)
        return Batch(rows, verdicts, dict(self.skipped))


def _storable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()

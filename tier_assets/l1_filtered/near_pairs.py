"""Near-duplicates among the fingerprints of a whole lake: bands first, then sketches of candidates only.

In: ranked documents, the records of their bands, and the scan that holds their sketches. Out: the documents to drop,
each with the document kept in its place and their Jaccard. What grows is on disk: 12 bytes a band, 8 bytes a pair, and
the sketches of candidates; memory holds one part of the bands, one block of sketches and some 40 bytes a document.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from algorithms.candidate_pairs import Components, bucket_pairs, crowded
from algorithms.minhash import Sketches, nearest_kept, sketch_hashes
from resources.spill import Scratch, Spill

BAND: Final = np.dtype([("hash", np.int64), ("row", np.int32)])
PAIR: Final = np.dtype(np.int64)  # later << 32 | earlier
LENGTH: Final = np.dtype([("position", np.int64), ("length", np.int64)])
LOW: Final = 0xFFFFFFFF
FEW: Final = 20_000  # candidates asked for by name: a reader then decodes no other sketches


@dataclass(frozen=True)
class Bounds:
    """What memory holds at a time; it shapes no row."""

    part_bands: int = 3 << 20  # records of bands sorted at once: 36 MB, and three times that while they are
    block_documents: int = 1 << 14  # sketches at once: 64 MB at most
    batch_rows: int = 1 << 11
    spill_bytes: int = 64 << 20  # of each kind of scratch file, before it is one


@dataclass(frozen=True)
class Candidates:
    """Pairs of ranks that share a band.

    `labels`: for each rank the first of its component; `linked`: whether it is in a pair; `crowded`: some ranks, one
    at least of every component in which a document that left may have kept two others from being a pair.
    """

    pairs: Spill
    labels: np.ndarray
    linked: np.ndarray
    crowded: np.ndarray


@dataclass(frozen=True)
class Dropped:
    """Ranks to drop, for each the rank kept in its place, and their Jaccard."""

    ranks: np.ndarray
    kept: np.ndarray
    similarity: np.ndarray


def candidates(bands: Spill, rank_of_row: np.ndarray, partners: int, num_gone: int, scratch: Scratch) -> Candidates:
    """All candidate pairs among the documents whose `rank_of_row` is not -1 (in the order of the bands' rows)."""
    pairs = scratch.spill("pairs", PAIR, bands.num_parts)
    components = Components(len(rank_of_row))
    linked = np.zeros(len(rank_of_row), np.bool_)
    near_crowds = [np.empty(0, np.int32)]
    for part in range(bands.num_parts):
        records = bands.take(part)
        ranks = rank_of_row[records["row"]]
        hashes, ranks = records["hash"][ranks >= 0], ranks[ranks >= 0]
        if num_gone:
            # Before they left, so many more may have been in the bucket, and kept others from being partners.
            near_crowds.append(crowded(hashes, ranks, partners + 2 - num_gone))
        for found in bucket_pairs(hashes, ranks, partners):
            components.join(found)
            linked[found >> 32] = linked[found & LOW] = True
            pairs.append(part, found)
    return Candidates(pairs, components.labels(), linked, np.concatenate(near_crowds))


def drop_near(
    found: Candidates,
    touched: np.ndarray,
    doc_ids: pl.Series,
    prints: pl.LazyFrame,
    threshold: float,
    bounds: Bounds,
    scratch: Scratch,
) -> Dropped:
    """Verify the candidates of the components marked in `touched` (for each rank), on sketches read from `prints`.

    Documents are laid out component by component, so that a block of them needs few sketches beyond its own.
    """
    members = np.flatnonzero(found.linked & touched)
    order = members[np.argsort(found.labels[members], kind="stable")]  # position -> rank: ascending in each component
    if not len(order):
        return Dropped(order, order, np.empty(0))
    blocks = _in_blocks(found.pairs, order, len(touched), bounds.block_documents, scratch)
    sketches = _read_sketches(prints, doc_ids, order, blocks.num_parts, bounds, scratch)
    # Position of the first document of each position's component.
    of_component = found.labels[order]
    firsts = np.searchsorted(of_component, of_component)
    kept = np.ones(len(order), np.bool_)
    dropped = []
    for block in range(blocks.num_parts):
        first = int(firsts[block * bounds.block_documents])
        window = sketches.window(first // bounds.block_documents, block)
        wanted = np.unique(blocks.take(block))
        dropped.append(nearest_kept(wanted, window, kept, threshold))
    later, earlier, similarity = (np.concatenate(parts) for parts in zip(*dropped))
    return Dropped(order[later], order[earlier], similarity)


def _in_blocks(pairs: Spill, order: np.ndarray, num_ranks: int, block_documents: int, scratch: Scratch) -> Spill:
    """The pairs between documents of `order`, as positions in it, by the block of the later."""
    position_of_rank = np.full(num_ranks, -1, np.int64)
    position_of_rank[order] = np.arange(len(order))
    blocks = scratch.spill("blocks", PAIR, -(-len(order) // block_documents))
    for part in range(pairs.num_parts):
        some = pairs.take(part)
        later, earlier = position_of_rank[some >> 32], position_of_rank[some & LOW]
        inside = later >= 0  # a component is in `order` whole or not at all
        blocks.scatter((later << 32 | earlier)[inside], later[inside] // block_documents)
    return blocks


@dataclass(frozen=True)
class _SketchFile:
    """Sketches of positions, block after block in one file; within a block as they were read."""

    path: Path
    block_starts: np.ndarray  # in hashes, one more than blocks
    starts: np.ndarray
    lengths: np.ndarray

    def window(self, first_block: int, last_block: int) -> Sketches:
        """Sketches of these blocks; pages of the file are mapped as they are touched."""
        start, end = int(self.block_starts[first_block]), int(self.block_starts[last_block + 1])
        hashes = np.memmap(self.path, np.uint32, "r", 4 * start, (end - start,))
        return Sketches(hashes, self.starts - start, self.lengths)


def _read_sketches(
    prints: pl.LazyFrame, doc_ids: pl.Series, order: np.ndarray, num_blocks: int, bounds: Bounds, scratch: Scratch
) -> _SketchFile:
    hashes = scratch.spill("sketches", np.dtype(np.uint32), num_blocks)
    lengths = scratch.spill("lengths", LENGTH, num_blocks)
    for batch in _sketch_batches(prints, doc_ids.gather(order), bounds.batch_rows):
        some, sizes = sketch_hashes(batch["sketch"])
        positions = batch["position"].to_numpy()
        of_block = positions // bounds.block_documents
        ends = np.cumsum(sizes)
        records = np.empty(len(batch), LENGTH)
        records["position"], records["length"] = positions, sizes
        for one in np.unique(of_block).tolist():
            here = slice(np.searchsorted(of_block, one), np.searchsorted(of_block, one, "right"))
            hashes.append(one, some[ends[here][0] - sizes[here][0] : ends[here][-1]])
            lengths.append(one, records[here])
    path = scratch.folder / "all-sketches"
    starts, sizes = np.zeros(len(order), np.int64), np.full(len(order), -1, np.int64)
    block_starts = np.zeros(num_blocks + 1, np.int64)
    with path.open("wb") as file:
        for block in range(num_blocks):
            records = lengths.take(block)
            sizes[records["position"]] = records["length"]
            starts[records["position"]] = block_starts[block] + np.cumsum(records["length"]) - records["length"]
            block_starts[block + 1] = block_starts[block] + records["length"].sum()
            hashes.take(block).tofile(file)
    if (sizes < 0).any():
        raise ValueError(f"{int((sizes < 0).sum())} documents of the prints had no sketch when read again")
    return _SketchFile(path, block_starts, starts, sizes)


def _sketch_batches(prints: pl.LazyFrame, doc_ids: pl.Series, batch_rows: int) -> Iterator[pl.DataFrame]:
    """`position` (of the id in `doc_ids`) and `sketch`, sorted by position within each batch."""
    wanted = pl.DataFrame({"doc_id": doc_ids, "position": pl.int_range(len(doc_ids), eager=True)})
    rows = prints.select("doc_id", "sketch")
    if len(doc_ids) <= FEW:
        rows = rows.filter(pl.col("doc_id").is_in(doc_ids.implode()))
    # Left to choose its side, the engine first gathers both: every sketch of the lake.
    rows = rows.join(wanted.lazy(), on="doc_id", build_side="force_right").select("position", "sketch")
    for batch in rows.collect_batches(chunk_size=batch_rows, maintain_order=False):
        if len(batch):
            yield batch.sort("position")


__all__ = ["BAND", "Bounds", "Candidates", "Dropped", "candidates", "drop_near"]

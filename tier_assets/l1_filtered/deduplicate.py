"""Duplicates in the whole lake by fingerprints, never by texts: one row a document in a cluster of two or more.

In: a scan of `PRINTS`. Out: `CLUSTERED`, a pure function of the set of prints: neither the order of rows nor that of
arrivals shapes it. Two documents are exact duplicates where their words are the same, near-duplicates where the Jaccard
of their word 5-grams reaches a threshold, verified on sketches. The documents are taken in one order of preference
(earlier snapshot by name, longer, better licence, doc_id); one goes where a document kept before it is near, so a chain
of small steps removes nothing. A cluster is a kept document and those that went for it; its id is the kept one's.
Costs about half a kilobyte of memory a document (measured on a million), one block of sketches, and scratch files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

import numpy as np
import polars as pl

from algorithms.minhash import FINGERPRINT, NUM_BANDS, fingerprints
from resources.spill import Scratch, Spill, open_scratch
from tier_assets.l1_filtered.near_pairs import BAND, Bounds, Candidates, candidates, drop_near

DUPLICATES: Final = pl.Schema(
    {"doc_id": pl.String, "reason": pl.String, "kept_doc_id": pl.String, "similarity": pl.Float64}
)
PRINTS: Final = pl.Schema(
    [
        ("doc_id", pl.String),
        ("corpus", pl.String),
        ("snapshot", pl.String),
        ("num_chars", pl.Int64),
        ("licence", pl.String),
        *FINGERPRINT.items(),
    ]
)
# kept_doc_id, reason and similarity are null for a row that is itself kept.
CLUSTERED: Final = pl.Schema(
    {
        "doc_id": pl.String,
        "corpus": pl.String,
        "snapshot": pl.String,
        "cluster": pl.String,
        "kept_doc_id": pl.String,
        "reason": pl.String,
        "similarity": pl.Float64,
    }
)
# Best first, and the last that matches counts: "MIT and CC-BY-NC" is no freer than CC-BY-NC.
LICENCES: Final = (
    ("public domain", r"\bcc0\b|\bpddl\b|public.?domain|\bunlicense\b|\b0bsd\b"),
    (
        "permissive",
        r"\bcc.by\b|\bmit\b|\bapache\b|\bbsd\b|\bisc\b|\bpsf\b|\bodc.by\b|\bzlib\b|\bw3c\b|\bogl\b|\bpostgresql\b",
    ),
    ("share-alike", r"\bsa\b|share.?alike|\b[al]?gpl|\bgfdl\b|\bmpl\b|\bodbl\b|\bepl\b|\beupl\b|\bcddl\b|\bofl\b"),
    ("non-commercial", r"\bn[cd]\b|non.?commercial|research|no.?deriv"),
)
UNKNOWN_LICENCE: Final = len(LICENCES)


@dataclass(frozen=True)
class DuplicateSettings:
    """A row goes where its Jaccard over word 5-grams with a kept row is at least `threshold`."""

    threshold: float = 0.75  # FineWeb, arXiv:2406.17557, 3.4: bands tuned to documents at least 75% similar
    partners: int = 32  # of a document in one bucket, the first by preference: a template by the million stays linear
    bounds: Bounds = field(default_factory=Bounds)


DEFAULT: Final = DuplicateSettings()


def fingerprint(texts: pl.Series) -> pl.DataFrame:
    """What deduplication keeps of each text: `text_hash`, and `bands` and `sketch` of MinHash."""
    return fingerprints(texts)


def licence_rank(licence: str | None) -> int:
    """How free a licence is, by its name: 0 public domain, 1 permissive, 2 share-alike, 3 non-commercial, 4 unknown."""
    name = (licence or "").lower()
    matching = [rank for rank, (_, pattern) in enumerate(LICENCES) if re.search(pattern, name)]
    return max(matching, default=UNKNOWN_LICENCE)


def clustered(prints: pl.LazyFrame, settings: DuplicateSettings = DEFAULT) -> pl.DataFrame:
    """All clusters of `prints` (columns of `PRINTS`, none null but the licence), as `CLUSTERED`, sorted by doc_id.

    Raises:
        ValueError: a doc_id comes twice.
    """
    with open_scratch(settings.bounds.spill_bytes) as files:
        documents, found = _candidates(prints, settings, 0, files)
        return _clusters(documents, found, np.ones(len(documents), np.bool_), prints, settings, files)


def update_clusters(
    prints: pl.LazyFrame,
    previous: pl.DataFrame,
    new_ids: pl.Series,
    gone_ids: pl.Series,
    settings: DuplicateSettings = DEFAULT,
) -> pl.DataFrame:
    """`clustered(prints)`, with sketches read only where a document came or went.

    Args:
        prints: all documents as they are now.
        previous: what `clustered` (or this) gave for the documents as they were, with the same settings.
        new_ids: documents that are in `prints` and were not, or not like that.
        gone_ids: documents that were and are not, or not like that: one that changed is named in both.

    Raises:
        ValueError: a doc_id comes twice.
    """
    moved = pl.concat([new_ids.cast(pl.String), gone_ids.cast(pl.String)]).unique()
    disturbed = previous.filter(pl.col("doc_id").is_in(moved.implode()))["cluster"].unique()
    seeds = previous.filter(pl.col("cluster").is_in(disturbed.implode()))["doc_id"]
    with open_scratch(settings.bounds.spill_bytes) as files:
        documents, found = _candidates(prints, settings, gone_ids.n_unique(), files)
        # A component is judged anew where it holds a new document, one of a cluster that lost or changed a member,
        # or a bucket so full that a document that left may have kept two others from being compared.
        labels = found.labels[documents["first"].to_numpy()]
        is_seed = documents["doc_id"].is_in(pl.concat([moved, seeds]).unique().implode()).to_numpy()
        hit = np.zeros(len(documents), np.bool_)
        hit[labels[is_seed]] = hit[found.labels[found.crowded]] = True
        touched = hit[labels]
        anew = _clusters(documents, found, touched, prints, settings, files)
    still = documents.filter(pl.Series(~touched, dtype=pl.Boolean)).select("doc_id")
    return pl.concat([anew, previous.select(CLUSTERED.names()).join(still, on="doc_id", how="semi")]).sort("doc_id")


def _candidates(
    prints: pl.LazyFrame, settings: DuplicateSettings, num_gone: int, scratch: Scratch
) -> tuple[pl.DataFrame, Candidates]:
    """The documents in order of preference, `first` the rank of the first with the same words; their pairs."""
    documents, bands = _read(prints, settings.bounds, scratch)
    if documents["doc_id"].n_unique() < len(documents):
        twice = documents.filter(pl.col("doc_id").is_duplicated())["doc_id"].unique().sort().head(3).to_list()
        raise ValueError(f"the prints hold a doc_id more than once, among them {twice}")
    documents = documents.sort("snapshot", "num_chars", "licence", "doc_id", descending=[False, True, False, False])
    # 64 bits of the hash of the words and 64 of the bands they give: less memory than the 32 digits.
    rank = pl.col("rank").cast(pl.Int32)
    documents = documents.with_row_index("rank").select(
        "doc_id", "corpus", "snapshot", "row", rank, first=rank.first().over("text_key", "bands_key")
    )
    rank_of_row = np.empty(len(documents), np.int32)
    rank_of_row[documents["row"].to_numpy()] = documents.select(
        pl.when(pl.col("first") == pl.col("rank")).then("rank").otherwise(-1)
    ).to_series()
    documents = documents.drop("row", "rank")
    return documents, candidates(bands, rank_of_row, settings.partners, num_gone, scratch)


def _read(prints: pl.LazyFrame, bounds: Bounds, scratch: Scratch) -> tuple[pl.DataFrame, Spill]:
    """What preference and equality need of each document, and the records of all bands by range of hash."""
    num_rows = prints.select(pl.len()).collect().item()
    bits = int(num_rows * NUM_BANDS / bounds.part_bands).bit_length()
    bands = scratch.spill("bands", BAND, 1 << bits)
    columns = [name for name in PRINTS.names() if name != "sketch"]
    batches = prints.select(columns).collect_batches(chunk_size=bounds.batch_rows, maintain_order=False)
    documents = []
    num_read = 0
    for batch in chain([PRINTS.to_frame().select(columns)], batches):
        rows = np.arange(num_read, num_read + len(batch), dtype=np.int32)
        num_read += len(batch)
        filled = batch["bands"].list.len().to_numpy() > 0
        bands_DB = batch["bands"].explode().drop_nulls().to_numpy().reshape(-1, NUM_BANDS)
        records = np.empty(bands_DB.size, BAND)
        records["hash"], records["row"] = bands_DB.ravel(), np.repeat(rows[filled], NUM_BANDS)
        # The first bits of a hash name its part; a shift by all 64 has no meaning.
        parts = records["hash"].view(np.uint64) >> np.uint64(64 - bits) if bits else np.zeros(len(records), np.uint64)
        bands.scatter(records, parts.astype(np.int64))
        bands_key = np.zeros(len(batch), np.int64)
        bands_key[filled] = bands_DB @ np.arange(1, 2 * NUM_BANDS, 2)
        licences = {licence: licence_rank(licence) for licence in [None, *batch["licence"].unique()]}
        documents.append(
            batch.select(
                "doc_id",
                pl.col("corpus", "snapshot").cast(pl.Categorical),
                pl.col("num_chars"),
                pl.col("licence").replace_strict(licences, return_dtype=pl.Int8),
                pl.col("text_hash").hash().alias("text_key"),
                pl.Series("bands_key", bands_key),
                pl.Series("row", rows),
            )
        )
    return pl.concat(documents), bands


def _clusters(
    documents: pl.DataFrame,
    found: Candidates,
    touched: np.ndarray,
    prints: pl.LazyFrame,
    settings: DuplicateSettings,
    scratch: Scratch,
) -> pl.DataFrame:
    """The clusters of the documents marked in `touched`, which holds components whole."""
    near = drop_near(found, touched, documents["doc_id"], prints, settings.threshold, settings.bounds, scratch)
    firsts = documents["first"].to_numpy()
    kept = np.arange(len(documents), dtype=np.int32)
    similarity = np.ones(len(documents))
    kept[near.ranks], similarity[near.ranks] = near.kept, near.similarity
    is_near = kept != np.arange(len(documents))
    # A copy goes for the document that its first was dropped for.
    ranks = np.flatnonzero(touched & (kept[firsts] != np.arange(len(documents))))
    first = firsts[ranks]
    for_rank = kept[first]
    ids = documents["doc_id"]
    reasons = pl.Series(is_near[first], dtype=pl.Boolean).to_frame("near")
    dropped = documents.select("doc_id", "corpus", "snapshot")[ranks].with_columns(
        cluster=ids.gather(for_rank),
        kept_doc_id=ids.gather(for_rank),
        reason=reasons.select(
            pl.when("near").then(pl.lit("near_duplicate")).otherwise(pl.lit("exact_duplicate"))
        ).to_series(),
        similarity=pl.Series(similarity[first]).round(4),
    )
    keeping = documents.select("doc_id", "corpus", "snapshot")[np.unique(for_rank)].with_columns(cluster="doc_id")
    return (
        pl.concat([dropped, keeping], how="diagonal")
        .select(pl.col(name).cast(dtype) for name, dtype in CLUSTERED.items())
        .sort("doc_id")
    )


def duplicates(rows: pl.DataFrame, settings: DuplicateSettings = DEFAULT) -> pl.DataFrame:
    """Of `rows` (doc_id and what `fingerprint` gives; in order of preference) those to drop, as `DUPLICATES`.

    Every row named in `kept_doc_id` is kept.
    """
    prints = rows.with_columns(
        corpus=pl.lit(""),
        snapshot=pl.lit(""),
        num_chars=-pl.int_range(pl.len(), dtype=pl.Int64),  # in place of lengths: the earlier row is preferred
        licence=pl.lit(None, pl.String),
    )
    return clustered(prints.lazy(), settings).drop_nulls("kept_doc_id").select(DUPLICATES.names())


__all__ = [
    "CLUSTERED",
    "DEFAULT",
    "DUPLICATES",
    "PRINTS",
    "DuplicateSettings",
    "clustered",
    "duplicates",
    "fingerprint",
    "licence_rank",
    "update_clusters",
]

"""What L1 keeps of a partition and of the lake, read from its tables: who is excluded, who is whose duplicate.

In: the lake. Out: small frames of ids; texts are read only where a paragraph leaves them, a batch at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl

from algorithms.repeated_paragraphs import repeated
from resources.delta import Stage
from resources.lake import Lake
from resources.step import same_reads
from tier_assets.l1_filtered.deduplicate import CLUSTERED, PRINTS, clustered, update_clusters
from tier_assets.l1_filtered.exclude import excluded, verdicts
from tier_assets.l1_filtered.repeats import CODE, MORE_THAN, REJECTED, without_repeats
from tier_tables import L1_DUPLICATES, L1_FILTERED

Partition = dict[str, str]
BATCH_ROWS: Final = 2000
JUDGED: Final = ("doc_id", "source_id", "reason", "detail", "language", "language_score", "num_tokens")


def excluded_from(lake: Lake, partition: Partition, texts: pl.DataFrame) -> pl.DataFrame:
    """Which of the partition's `texts` L1 does not keep, whatever their duplicates."""
    expected = lake.scan("corpora", {"corpus": partition["corpus"]}).sort("registered_at").collect()
    return excluded(
        texts,
        lake.scan("sources", partition).collect(),
        lake.scan("withdrawals", partition).collect(),
        lake.scan("l1_contaminated", partition).collect(),
        expected["languages"].to_list()[-1] if len(expected) else [],
    )


def prints_of(lake: Lake) -> pl.LazyFrame:
    """The fingerprints of every document that may be kept, lazily: only ids are read here."""
    outside = [pl.DataFrame(schema={"doc_id": pl.String})]
    for piece in lake.slices("l1_texts"):
        texts = lake.scan("l1_texts", piece.partition).select(JUDGED).collect()
        outside.append(excluded_from(lake, piece.partition, texts).select("doc_id"))
    prints = lake.scan("l1_texts").filter(pl.col("reason").is_null()).select(PRINTS.names())
    return prints.join(pl.concat(outside).lazy(), on="doc_id", how="anti", build_side="force_right")


def compared(prints: pl.LazyFrame, before: pl.DataFrame | None) -> pl.DataFrame:
    """Rows of L1_DUPLICATES for all documents with `prints`, from scratch or from those found `before`, by doc_id."""
    now = prints.select("doc_id", "corpus", "snapshot").collect(engine="streaming")
    if before is None:
        found = clustered(prints)
    else:
        new_ids = now.join(before, on="doc_id", how="anti")["doc_id"]
        gone_ids = before.join(now, on="doc_id", how="anti")["doc_id"]
        found = update_clusters(prints, _as_clusters(before), new_ids, gone_ids)
    columns = L1_DUPLICATES.schema.names()
    dropped = found.filter(pl.col("kept_doc_id").is_not_null()).select(columns)
    kept = now.join(dropped, on="doc_id", how="anti")
    return pl.concat([dropped, kept], how="diagonal").select(columns).sort("doc_id")


def _as_clusters(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of L1_DUPLICATES that are in a cluster of two or more, as CLUSTERED."""
    named = rows.with_columns(cluster=pl.coalesce("kept_doc_id", "doc_id"))
    return named.filter(pl.col("cluster").is_duplicated()).select(CLUSTERED.names()).cast(CLUSTERED)


def verdicts_of(lake: Lake, partition: Partition) -> pl.DataFrame:
    """L1's verdicts on a partition's documents, whatever their paragraphs."""
    texts = lake.scan("l1_texts", partition).select(JUDGED).collect()
    outside = excluded_from(lake, partition, texts)
    twins = lake.scan("l1_duplicates", partition).filter(pl.col("kept_doc_id").is_not_null()).collect()
    twins = twins.join(outside, on="doc_id", how="anti").join(texts, on="doc_id", how="semi")
    both = [outside, twins.select("doc_id", "reason", "kept_doc_id", "similarity")]
    dropped = pl.concat(both, how="diagonal").with_columns(pl.lit(v).alias(c) for c, v in partition.items())
    return verdicts(dropped)


def change_repeats(lake: Lake, partition: Partition, dropped: pl.DataFrame, rows: Stage) -> tuple[int, pl.DataFrame]:
    """Write the partition's rows that are not `dropped`, without its repeated paragraphs; how many rows those changed,
    and verdicts on what the rules reject then."""
    gone = dropped.select("doc_id").lazy()
    kept = lake.scan("l1_texts", partition).join(gone, on="doc_id", how="anti")
    hashes = repeated(kept.filter(pl.col("extractor") != CODE).select("paragraphs"), MORE_THAN)
    touched, rejected = [dropped.select("doc_id").head(0)], [pl.DataFrame(schema=REJECTED)]
    for batch in lake.batches("l1_texts", partition, None, BATCH_ROWS) if len(hashes) else ():
        prose = batch.filter(pl.col("extractor") != CODE)
        own = prose.join(dropped, on="doc_id", how="anti", maintain_order="left")
        changed, unfit = without_repeats(own, hashes)
        rows.write(as_filtered(changed.lazy()).collect())
        touched += [changed.select("doc_id"), unfit.select("doc_id")]
        rejected.append(unfit)
    done = pl.concat(touched)
    rows.write(as_filtered(kept.join(done.lazy(), on="doc_id", how="anti")))
    placed = pl.concat(rejected).with_columns(pl.lit(v).alias(c) for c, v in partition.items())
    return len(done), verdicts(placed)


def as_filtered(texts: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of L1_TEXTS as rows of L1_FILTERED."""
    return texts.with_columns(domain=pl.col("corpus")).select(L1_FILTERED.schema.names())


def tokens_of(lake: Lake, partition: Partition, dropped: pl.DataFrame) -> tuple[int, int]:
    """Tokens of what the rules keep, and of those documents that are not `dropped` (repeated paragraphs included)."""
    tokens = lake.scan("l1_texts", partition).select("doc_id", "num_tokens").collect()
    kept = tokens.join(dropped, on="doc_id", how="anti")
    return int(tokens["num_tokens"].sum()), int(kept["num_tokens"].sum())


def is_carried(
    lake: Lake, partition: Partition, version: str, reads: list[dict[str, object]], found: pl.DataFrame
) -> bool:
    """Whether what stands is what would be written: other inputs, but the same texts and verdicts.

    Then the slice is left as it is, and no tier above has anything to do.
    """
    last = lake.last_step("l1_filtered", partition)
    if last is None or last["code_version"] != version or same_reads(last, reads):
        return False
    before: Mapping[str, str] = {r["table"]: r["state"] for r in last["input_versions"]}  # type: ignore[attr-defined]
    same_texts = before.get("l1_texts") == lake.state("l1_texts", partition)
    standing = lake.scan("verdicts", {"tier": "l1", **partition}).collect().sort("doc_id")
    return same_texts and found.equals(standing)

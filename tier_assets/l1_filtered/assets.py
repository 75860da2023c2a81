"""L1 in Dagster: raw records become text (`l1_texts`), which is compared with benchmarks (`l1_contaminated`) and with
the whole lake's documents (`l1_duplicates`); what none of these drops is `l1_filtered`."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import dagster as dg
import polars as pl

from resources.dagster_resources import Gate
from resources.delta import Stage
from resources.lake import Lake
from resources.progress import bar
from resources.report import described, materialisation
from resources.step import Step, code_version, reads_of, same_reads
from tier_assets.l1_filtered import filter as filtering
from tier_assets.l1_filtered.decontaminate import benchmark_index, contaminated
from tier_assets.l1_filtered.membership import change_repeats, compared, is_carried, prints_of, tokens_of, verdicts_of
from tier_assets.partitions import backfill, corpora, partition_of
from tier_tables import L1_CONTAMINATED

Partition = dict[str, str]
# What was learnt shapes the texts as code does.
MODELS = [hashlib.blake2b(file.read_bytes()).hexdigest() for file in sorted(Path(__file__).parent.glob("*.json"))]
TEXTS_VERSION = code_version("l1_texts", 4, *MODELS)
CONTAMINATED_VERSION = code_version("l1_contaminated", 1)
DUPLICATES_VERSION = code_version("l1_duplicates", 1, TEXTS_VERSION)
FILTERED_VERSION = code_version("l1_filtered", 2)


def filter_settings(lake: Lake) -> filtering.FilterSettings:
    """The lake's settings of L1: bounds of time and memory, which shape no row that stays within them."""
    return filtering.SMOKE if lake.settings == "smoke" else filtering.DEFAULT


def texts_inputs(partition: Partition) -> dict[str, Partition]:
    """What extracting a partition reads."""
    return {"l0_raw": partition}


def contaminated_inputs(partition: Partition) -> dict[str, Partition]:
    """What comparing a partition with benchmarks reads."""
    return {"l1_texts": partition, "benchmarks": {}}


def duplicates_inputs() -> dict[str, Partition]:
    """What comparing the lake's documents with each other reads."""
    return {name: {} for name in ("l1_texts", "l1_contaminated", "sources", "withdrawals", "corpora")}


def filter_inputs(partition: Partition) -> dict[str, Partition]:
    """What filtering a partition reads."""
    own = ("l1_texts", "l1_contaminated", "l1_duplicates", "sources", "withdrawals")
    return {"corpora": {"corpus": partition["corpus"]}, **dict.fromkeys(own, partition)}


def extract_partition(
    raw: Iterable[pl.DataFrame], known: pl.Series, settings: filtering.FilterSettings, rows: Stage, key: str, total: int
) -> None:
    """Write the texts of the records that `known` doc_ids lack; memory holds a batch."""
    with filtering.open_workers(settings) as pool, bar(f"extracting {key}", total) as move:
        done = 0
        for batch in raw:
            fresh = batch.filter(~pl.col("doc_id").is_in(known.implode()))
            if len(fresh):
                rows.write(filtering.filter_batch(fresh, pool, settings))
            move(done := done + len(batch))


@dg.asset(
    deps=["l0_raw"],
    partitions_def=corpora,
    backfill_policy=backfill,
    group_name="l1_filtered",
    kinds={"delta"},
    metadata=described("l1_texts"),
)
def l1_texts(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], gate: dg.ResourceParam[Gate]) -> None:
    """Text of every record, and which rule rejects it. What was extracted before by the same code is not again."""
    for key in context.partition_keys:
        partition = partition_of(key)
        gate.require("l1", **partition)
        settings = filter_settings(lake)
        reads = reads_of(lake, texts_inputs(partition))
        total = sum(s.num_rows for s in lake.slices("l0_raw", partition))
        last = lake.last_step("l1_texts", partition)
        # With nothing new to read it was asked for again: by hand, or to mend it.
        adds = last is not None and last["code_version"] == TEXTS_VERSION and not same_reads(last, reads)
        known = lake.scan("l1_texts", partition).select("doc_id").collect()["doc_id"] if adds else pl.Series([""])
        with Step(lake, "l1", "l1_texts", partition, context.run.run_id, TEXTS_VERSION, reads) as step:
            rows = step.stage("l1_texts")
            raw = lake.batches("l0_raw", partition, filtering.NEEDED, settings.batch_rows)
            extract_partition(raw, known, settings, rows, key, total)
            step.commit(rows, "extend" if adds else "replace")
            step.counts(rows_in=total, rows_kept=total)
        by_extractor = lake.scan("l1_texts", partition).group_by("extractor").agg(pl.len().alias("count"))
        context.add_asset_metadata(
            {"records": total, "newly_extracted": rows.num_rows, "by_extractor": _told(by_extractor, "extractor")},
            asset_key="l1_texts",
            partition_key=key,
        )


@dg.asset(
    deps=["l1_texts"],
    partitions_def=corpora,
    backfill_policy=backfill,
    group_name="l1_filtered",
    kinds={"delta"},
    metadata=described("l1_contaminated"),
)
def l1_contaminated(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> None:
    """Documents that hold items of the lake's benchmarks (`lake benchmarks add`)."""
    items = lake.scan("benchmarks").select("benchmark", "item", "text").collect()
    index = benchmark_index(items) if len(items) else None
    for key in context.partition_keys:
        partition = partition_of(key)
        reads = reads_of(lake, contaminated_inputs(partition))
        require_texts(lake, partition)
        with Step(lake, "l1", "l1_contaminated", partition, context.run.run_id, CONTAMINATED_VERSION, reads) as step:
            rows = step.stage("l1_contaminated")
            found = [L1_CONTAMINATED.empty()]
            if index is not None:
                columns = ("doc_id", "reason", "text")
                for batch in lake.batches("l1_texts", partition, columns, filter_settings(lake).batch_rows):
                    texts = batch.filter(pl.col("reason").is_null()).select("doc_id", "text")
                    hits = contaminated(texts, index).with_columns(pl.lit(v).alias(c) for c, v in partition.items())
                    found.append(hits.select(L1_CONTAMINATED.schema.names()))
            hits = pl.concat(found).sort("doc_id")
            standing = lake.scan("l1_contaminated", partition).collect().sort("doc_id")
            if lake.last_step("l1_contaminated", partition) is not None and hits.equals(standing):
                step.carry()
            else:
                rows.write(hits)
                step.commit(rows)
            step.counts(rows_in=sum(s.num_rows for s in lake.slices("l1_texts", partition)), rows_kept=len(hits))
        by_benchmark = hits.lazy().group_by("benchmark").agg(pl.len().alias("count"))
        context.add_asset_metadata(
            {
                "benchmark_items": len(items),
                "items_too_short_to_find": index.unknown.height if index else 0,
                "documents_hit": len(hits),
                "hits": _told(by_benchmark, "benchmark"),
            },
            asset_key="l1_contaminated",
            partition_key=key,
        )


def require_texts(lake: Lake, partition: Partition) -> None:
    """Refuse to go on where `l1_texts` is not made from all of the partition's records.

    Raises:
        dg.Failure: says what to make first.
    """
    records, texts = (sum(s.num_rows for s in lake.slices(name, partition)) for name in ("l0_raw", "l1_texts"))
    if records != texts:
        raise dg.Failure(
            f"l1_texts has {texts:,} of the {records:,} records of {'@'.join(partition.values())}: make it first",
            allow_retries=False,
        )


def require_compared(lake: Lake, partition: Partition, dropped: pl.DataFrame) -> None:
    """Refuse to keep documents that `l1_duplicates` has not compared with the lake's others.

    Raises:
        dg.Failure: says what to make first.
    """
    kept = (
        lake.scan("l1_texts", partition).select("doc_id").join(dropped.select("doc_id").lazy(), on="doc_id", how="anti")
    )
    seen = lake.scan("l1_duplicates", partition).select("doc_id")
    num_new = kept.join(seen, on="doc_id", how="anti").select(pl.len()).collect().item()
    if num_new:
        raise dg.Failure(
            f"l1_duplicates has not compared {num_new:,} documents of {'@'.join(partition.values())}: make it first",
            allow_retries=False,
        )


@dg.asset(
    deps=["l1_texts", "l1_contaminated"],
    group_name="l1_filtered",
    kinds={"delta"},
    metadata=described("l1_duplicates"),
    # It looks at the whole lake: one at a time.
    pool="l1_duplicates",
)
def l1_duplicates(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
    """Clusters of duplicates over all partitions: new documents against all that came before."""
    reads = reads_of(lake, duplicates_inputs())
    last = lake.last_step("l1_duplicates")
    # With nothing new to read it was asked for again: by hand, or to mend it.
    anew = last is None or last["code_version"] != DUPLICATES_VERSION or same_reads(last, reads)
    with Step(lake, "l1", "l1_duplicates", None, context.run.run_id, DUPLICATES_VERSION, reads) as step:
        before = lake.scan("l1_duplicates").collect().sort("doc_id")
        found = compared(prints_of(lake), None if anew else before)
        made = [piece.partition for piece in lake.slices("l1_duplicates")]
        changed = 0
        for piece in lake.slices("l1_texts"):
            is_own = pl.all_horizontal(pl.col(column) == value for column, value in piece.partition.items())
            rows, standing = found.filter(is_own), before.filter(is_own)
            if anew or not rows.equals(standing) or piece.partition not in made:
                stage = step.stage("l1_duplicates", **piece.partition)
                stage.write(rows)
                step.commit(stage)
                changed += 1
        num_dropped = int(found["kept_doc_id"].is_not_null().sum())
        step.counts(rows_in=len(found), rows_kept=len(found) - num_dropped, rows_rejected=num_dropped)
    dropped = found.lazy().filter(pl.col("kept_doc_id").is_not_null())
    return dg.MaterializeResult(
        metadata={
            "documents": len(found),
            "clusters": found["kept_doc_id"].drop_nulls().n_unique(),
            "partitions_changed": changed,
            "dropped": _told(dropped.group_by("reason").agg(pl.len().alias("count")), "reason"),
            "by_corpus": _told(dropped.group_by("corpus").agg(pl.len().alias("count")), "corpus"),
        }
    )


@dg.asset(
    deps=["l1_texts", "l1_contaminated", "l1_duplicates"],
    partitions_def=corpora,
    backfill_policy=backfill,
    group_name="l1_filtered",
    kinds={"delta"},
    metadata=described("l1_filtered"),
)
def l1_filtered(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], gate: dg.ResourceParam[Gate]) -> None:
    """L1: extracted, cleaned, de-duplicated text. Early broad pre-training."""
    for key in context.partition_keys:
        partition = partition_of(key)
        gate.require("l1", **partition)
        reads = reads_of(lake, filter_inputs(partition))
        with Step(lake, "l1", "l1_filtered", partition, context.run.run_id, FILTERED_VERSION, reads) as step:
            rows, rejected = step.stage("l1_filtered"), step.stage("verdicts", tier="l1")
            require_texts(lake, partition)
            found = verdicts_of(lake, partition)
            require_compared(lake, partition, found)
            num_changed, too_little = change_repeats(lake, partition, found, rows)
            found = pl.concat([found, too_little]).sort("doc_id")
            if is_carried(lake, partition, FILTERED_VERSION, reads, found):
                step.carry()
            else:
                rejected.write(found)
                step.commit(rejected)
                step.commit(rows)
            total = sum(s.num_rows for s in lake.slices("l1_texts", partition))
            came, kept = tokens_of(lake, partition, found)
            step.counts(
                rows_in=total,
                rows_kept=total - len(found),
                rows_rejected=len(found),
                tokens_in=came,
                tokens_kept=kept,
                tokens_rejected=came - kept,
            )
        shown = lake.scan("l1_filtered", partition).select("title", "language", "num_tokens", "text").head(4)
        reasons = found.group_by("reason").agg(pl.len().alias("count"))
        context.add_asset_metadata(
            # In tokens only what is kept is known: what the rules reject is not counted.
            materialisation(
                step.all_counts() | {"tokens_in": 0, "tokens_rejected": 0},
                reasons,
                shown.collect(),
                without_repeated_paragraphs=num_changed,
            ),
            asset_key="l1_filtered",
            partition_key=key,
        )


def _told(counts: pl.LazyFrame, name: str) -> str:
    """`a 12, b 3`: the counts by name, most first."""
    rows = counts.sort("count", name, descending=[True, False]).collect().select(name, "count").iter_rows()
    return ", ".join(f"{value or 'none'} {number:,}" for value, number in rows) or "none"


assets = [l1_texts, l1_contaminated, l1_duplicates, l1_filtered]

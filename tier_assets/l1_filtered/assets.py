"""L1 in Dagster: raw records become extracted, cleaned, judged, de-duplicated text."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

import dagster as dg
import polars as pl

from resources.dagster_resources import Gate
from resources.delta import Stage
from resources.lake import Lake
from resources.progress import bar
from resources.report import described, materialisation
from resources.step import Step, code_version, reads_of
from tier_assets.l1_filtered import filter as filtering
from tier_assets.l1_filtered.deduplicate import exact_duplicates
from tier_assets.partitions import backfill, corpora, partition_of

STEP_VERSION = 1
RAW_COLUMNS = ("doc_id", "corpus", "snapshot", "uri", "content_type", "raw")


def filter_settings(lake: Lake) -> filtering.FilterSettings:
    """The lake's settings of L1."""
    return filtering.SMOKE if lake.settings == "smoke" else filtering.DEFAULT


def filter_inputs(partition: dict[str, str]) -> dict[str, dict[str, str]]:
    """What filtering a partition reads."""
    return {"l0_raw": partition}


def filter_version(lake: Lake) -> str:
    """Version of L1; bounds of time and memory do not shape rows that stay within them."""
    return code_version("l1_filtered", STEP_VERSION)


def filter_partition(
    raw: Iterable[pl.DataFrame], settings: filtering.FilterSettings, rows: Stage, verdicts: Stage, key: str, total: int
) -> int:
    """Filter a partition's batches into two stages; returns the tokens of the duplicates.

    Texts wait in a scratch file until the whole partition's hashes are known: memory holds a batch and the hashes.
    """
    hashes: list[pl.DataFrame] = []
    with tempfile.TemporaryDirectory(prefix="l1-") as scratch, filtering.open_workers(settings) as pool:
        files = []
        with bar(f"filtering {key}", total) as move:
            done = 0
            for number, batch in enumerate(raw):
                filtered = filtering.filter_batch(batch, pool, settings)
                verdicts.write(filtered.verdicts)
                if len(filtered.rows):
                    files.append(Path(scratch, f"{number}.parquet"))
                    filtered.rows.drop("text_hash").write_parquet(files[-1])
                    hashes.append(filtered.rows.select("doc_id", "corpus", "snapshot", "num_tokens", "text_hash"))
                move(done := done + len(batch))
        if not files:
            return 0
        # By doc_id: the same rows are kept however the files lie.
        whole = pl.concat(hashes).sort("doc_id")
        dropped = exact_duplicates(whole).join(whole.select("doc_id", "corpus", "snapshot", "num_tokens"), on="doc_id")
        verdicts.write(filtering.verdicts(dropped))
        rows.write(pl.scan_parquet(files).join(dropped.lazy().select("doc_id"), on="doc_id", how="anti"))
        return int(dropped["num_tokens"].sum())


@dg.asset(
    deps=["l0_raw"],
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
        settings = filter_settings(lake)
        reads = reads_of(lake, filter_inputs(partition))
        total = sum(s.num_rows for s in lake.slices("l0_raw", partition))
        with Step(lake, "l1", "l1_filtered", partition, context.run.run_id, filter_version(lake), reads) as step:
            rows, verdicts = step.stage("l1_filtered"), step.stage("verdicts", tier="l1")
            raw = lake.batches("l0_raw", partition, RAW_COLUMNS, settings.batch_rows)
            tokens_rejected = filter_partition(raw, settings, rows, verdicts, key, total)
            step.commit(verdicts)
            written = step.commit(rows)
            files = [f"{lake.path('l1_filtered')}/{path}" for path, _, _ in rows.files]
            tokens = 0
            if files:
                tokens = pl.scan_parquet(files).select(pl.col("num_tokens").sum()).collect().item()
            step.counts(
                rows_in=total,
                rows_kept=written.num_rows,
                rows_rejected=verdicts.num_rows,
                tokens_in=tokens + tokens_rejected,
                tokens_kept=tokens,
                tokens_rejected=tokens_rejected,
            )
        found = lake.scan("verdicts", {"tier": "l1", **partition}).group_by("reason").agg(pl.len().alias("count"))
        shown = lake.scan("l1_filtered", partition).select("title", "language", "num_tokens", "text").head(4)
        context.add_asset_metadata(
            # In tokens only what is kept is known: what the rules reject is not counted.
            materialisation(
                step.all_counts() | {"tokens_in": 0, "tokens_rejected": 0}, found.collect(), shown.collect()
            ),
            asset_key="l1_filtered",
            partition_key=key,
        )


assets = [l1_filtered]

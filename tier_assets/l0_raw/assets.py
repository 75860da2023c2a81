"""L0 in Dagster: registered sources become rows of raw bytes; nothing is ever removed."""

from collections import Counter
from pathlib import Path

import dagster as dg
import polars as pl

from resources.lake import Lake
from resources.progress import bar, note
from resources.report import described, materialisation
from resources.step import Step, code_version, reads_of
from tier_assets.l0_raw.batches import read_batches
from tier_assets.partitions import backfill, corpora, partition_of

STEP_VERSION = code_version("l0_raw", 1)
# Verdicts on a whole file that stand only as long as the file is as it was.
ON_THE_FILE = ("source_missing", "source_unreadable", "source_changed")


def raw_inputs(partition: dict[str, str]) -> dict[str, dict[str, str]]:
    """What reading a partition reads."""
    return {"sources": partition}


def sources_to_read(lake: Lake, partition: dict[str, str]) -> pl.DataFrame:
    """Sources without a row yet, in order of registration; all that are still there after a change of the readers.

    Paths below the lake's root are stored relative to it, so that a lake can be moved.

    Raises:
        ValueError: nothing is registered in the partition: its key was mistyped, on the page for one.
    """
    sources = lake.scan("sources", partition).sort("registered_at", "uri", "source_id").collect()
    if sources.is_empty():
        known = sorted(f"{s.partition['corpus']}@{s.partition['snapshot']}" for s in lake.slices("sources"))
        raise ValueError(f"no sources in {'@'.join(partition.values())!r}; known: {', '.join(known) or 'none'}")
    sources = sources.with_columns(
        pl.col("path").map_elements(lambda path: str(Path(lake.root, path)), return_dtype=pl.String)
    )
    done = lake.scan("l0_raw", partition).select("source_id").unique().collect()["source_id"]
    last = lake.last_step("l0_raw", partition)
    if last is not None and last["code_version"] != STEP_VERSION:
        # Of a file that was replaced only the last registration can be read again.
        there = pl.Series([Path(path).exists() for path in sources["path"]], dtype=pl.Boolean)
        again = there & pl.col("uri").is_last_distinct()
        return sources.filter(again | ~pl.col("source_id").is_in(done.implode()))
    return sources.filter(~pl.col("source_id").is_in(done.implode()))


@dg.asset(
    partitions_def=corpora,
    backfill_policy=backfill,
    group_name="l0_raw",
    kinds={"delta"},
    metadata=described("l0_raw"),
)
def l0_raw(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> None:
    """L0: raw bytes, traceable. No role in training."""
    for key in context.partition_keys:
        partition = partition_of(key)
        reads = reads_of(lake, raw_inputs(partition))
        skipped: Counter[str] = Counter()
        found: list[pl.DataFrame] = []
        with Step(lake, "l0", "l0_raw", partition, context.run.run_id, STEP_VERSION, reads) as step:
            # Begun before anything is read: a run that finishes in between makes this one fail, not add twice.
            rows, verdicts = step.stage("l0_raw"), step.stage("verdicts", tier="l0")
            sources = sources_to_read(lake, partition)
            seen = set(lake.scan("l0_raw", partition).select("doc_id").collect()["doc_id"])
            standing = lake.scan("verdicts", {"tier": "l0", **partition})
            old = standing.filter(~pl.col("reason").is_in(ON_THE_FILE)).collect()
            with bar(f"reading {key}", None) as move:
                for batch in read_batches(sources, seen=seen):
                    rows.write(batch.rows)
                    found.append(batch.verdicts)
                    skipped.update(batch.skipped)
                    move(rows.num_rows)
            verdicts.write(pl.concat([*found, old]).unique("doc_id", keep="first", maintain_order=True))
            step.commit(verdicts)
            step.commit(rows, "extend")
            kept = len(seen) + rows.num_rows
            step.counts(rows_in=kept + verdicts.num_rows, rows_kept=kept, rows_rejected=verdicts.num_rows)
        passed_over = ", ".join(f"{kind} {number:,}" for kind, number in sorted(skipped.items()))
        if passed_over:
            note(f"{key}: records passed over: {passed_over}")
        reasons = lake.scan("verdicts", {"tier": "l0", **partition}).group_by("reason").agg(pl.len().alias("count"))
        shown = lake.scan("l0_raw", partition).select("uri", "content_type", "num_bytes").head(4)
        context.add_asset_metadata(
            materialisation(
                step.all_counts(),
                reasons.collect(),
                shown.collect(),
                sources_read=len(sources),
                passed_over=passed_over or "nothing",
            ),
            asset_key="l0_raw",
            partition_key=key,
        )


assets = [l0_raw]

"""Ours over a folder of WARC files, from registration to kept rows of `l1_filtered` in Delta: a process of its own.

The steps are those of the assets `l0_raw`, `l1_texts` and `l1_filtered`, with their settings, tables and commits;
fingerprints of duplicates are made, since they belong to `l1_texts`, but no duplicate is looked for. Imports and
compiled functions are loaded by a run over the folder WARM before the clock starts.

    python -m benchmarks.archive_to_rows WARM_FOLDER WARC_FOLDER OUT_FOLDER
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Final

import polars as pl

from resources.lake import Lake
from resources.step import Step, cpu_seconds, reads_of
from tier_assets.l0_raw.batches import read_batches
from tier_assets.l0_raw.ingest import ingest
from tier_assets.l1_filtered import filter as filtering
from tier_assets.l1_filtered.exclude import verdicts
from tier_tables import L1_FILTERED

PARTITION: Final = {"corpus": "pages", "snapshot": "1"}


def read_archives(lake: Lake, folder: Path) -> int:
    """L0: the archives' records; how many."""
    sources = ingest(lake, folder, **PARTITION, licence=None, format="auto", link=True)
    with Step(lake, "l0", "l0_raw", PARTITION, "bench", "1", reads_of(lake, {"sources": PARTITION})) as step:
        rows, rejected = step.stage("l0_raw"), step.stage("verdicts", tier="l0")
        for batch in read_batches(sources, seen=frozenset()):
            rows.write(batch.rows)
            rejected.write(batch.verdicts)
        step.commit(rejected)
        step.commit(rows)
    return rows.num_rows


def extract_texts(lake: Lake) -> None:
    """L1, record by record."""
    settings = filtering.DEFAULT
    with Step(lake, "l1", "l1_texts", PARTITION, "bench", "1", reads_of(lake, {"l0_raw": PARTITION})) as step:
        rows = step.stage("l1_texts")
        with filtering.open_workers(settings) as pool:
            for batch in lake.batches("l0_raw", PARTITION, filtering.NEEDED, settings.batch_rows):
                rows.write(filtering.filter_batch(batch, pool, settings))
        step.commit(rows)


def keep_texts(lake: Lake) -> int:
    """L1, the partition: verdicts and kept rows; how many."""
    with Step(lake, "l1", "l1_filtered", PARTITION, "bench", "1", reads_of(lake, {"l1_texts": PARTITION})) as step:
        rows, rejected = step.stage("l1_filtered"), step.stage("verdicts", tier="l1")
        texts = lake.scan("l1_texts", PARTITION)
        judged = texts.select("doc_id", "corpus", "snapshot", "reason", "detail")
        rejected.write(verdicts(judged.filter(pl.col("reason").is_not_null()).collect()))
        kept = texts.filter(pl.col("reason").is_null()).with_columns(domain=pl.col("corpus"))
        rows.write(kept.select(L1_FILTERED.schema.names()))
        step.commit(rejected)
        step.commit(rows)
    return rows.num_rows


def run(source: Path, target: Path) -> dict[str, float]:
    """A lake made of the archives; CPU seconds by step, children's too, and rows in and kept."""
    lake = Lake(str(target))
    lake.create()
    start = cpu_seconds()
    num_read = read_archives(lake, source)
    read = cpu_seconds()
    extract_texts(lake)
    extracted = cpu_seconds()
    num_kept = keep_texts(lake)
    end = cpu_seconds()
    return {
        "cpu_s": end - start,
        "read_s": read - start,
        "texts_s": extracted - read,
        "keep_s": end - extracted,
        "pages": num_read,
        "kept": num_kept,
    }


def main(warm: str, source: str, target: str) -> None:
    """Warm up, run, and print what it cost and left as JSON."""
    run(Path(warm), Path(target, "warm"))
    found = run(Path(source), Path(target, "lake"))
    peaks = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(json.dumps(found | {"peak_mb": peaks[0], "worker_peak_mb": peaks[1]}))


if __name__ == "__main__":
    main(*sys.argv[1:4])

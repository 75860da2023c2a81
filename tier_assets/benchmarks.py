"""Benchmarks in the lake: what they hold must not train. L1 compares every document with their items."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from resources.lake import Lake
from tier_assets.l0_raw.register import check_name
from tier_assets.l1_filtered.benchmark_items import benchmark_items
from tier_tables import BENCHMARKS


def add_benchmark(lake: Lake, name: str, path: Path) -> int:
    """Add the items of a file that the benchmark lacks; returns how many.

    Raises:
        ValueError: the name is not allowed, or the file holds no items; the message says what is expected.
        OSError: the file cannot be read.
    """
    check_name("benchmark", name)
    items = benchmark_items(path).select(pl.lit(name).alias("benchmark"), "item", "text")
    known = lake.scan("benchmarks").filter(pl.col("benchmark") == name).select("text").collect()
    fresh = items.unique("text", keep="first", maintain_order=True).join(known, on="text", how="anti")
    if len(fresh):
        now = pl.lit(datetime.now(UTC), pl.Datetime("us", "UTC")).alias("added_at")
        lake.append("benchmarks", fresh.with_columns(now).select(BENCHMARKS.schema.names()))
    return len(fresh)

"""Writing one partition: the lake's writer against eager `write_deltalake`, side by side in one run.

    python benchmarks/delta_writer.py [ROWS]

Each way runs in a process of its own on the same Parquet file of made-up documents (some 2 kB of text each), and
prints rows, their size in memory, CPU seconds, and the peak of its resident memory above what imports take.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
from deltalake import write_deltalake

from resources.lake import Lake
from tier_tables import table

PARTITION = {"corpus": "made-up", "snapshot": "1"}
WAYS = ("Lake.replace, lazy frame", "Lake.stage, batches", "write_deltalake, eager")
POOL = 5_000  # distinct texts: 10 MB, more than a page that zstd sees at once


def documents(first: int, num_rows: int, texts: pl.Series) -> pl.DataFrame:
    """Rows of l1_filtered numbered from `first`; texts repeat after `POOL`."""
    number = pl.int_range(first, first + num_rows, eager=True)
    made = pl.DataFrame({"doc_id": number.cast(pl.String), "text": texts.gather(number % POOL)})
    filled = {
        "title": None,
        "language": "en",
        "language_score": 0.9,
        "domain": "made-up",
        "extractor": "none",
        **PARTITION,
    }
    return made.with_columns(
        pl.lit(value, pl.Float64 if name == "language_score" else pl.String).alias(name)
        for name, value in filled.items()
    ).with_columns(
        num_chars=pl.col("text").str.len_chars(),
        num_words=pl.lit(300),
        num_tokens=pl.lit(400),
        rule_margin=pl.lit(0.5),
        edits=pl.lit([], table("l1_filtered").schema["edits"]),
    )


def make_source(path: Path, num_rows: int) -> int:
    """Write the documents to a Parquet file, a hundredth at a time; returns their size in memory in bytes."""
    drawn = np.random.default_rng(0)
    words = np.array(["".join(drawn.choice(list("etaoinshrdlu"), size)) for size in drawn.integers(2, 10, 20_000)])
    texts = pl.Series([" ".join(words[drawn.zipf(1.3, 330) % 20_000]) for _ in range(POOL)])
    step = max(1, num_rows // 100)
    in_memory = 0
    for first in range(0, num_rows, step):
        rows = documents(first, min(step, num_rows - first), texts)
        in_memory += int(rows.estimated_size())
        rows.write_parquet(path / f"{first:09d}.parquet")
    return in_memory


def write(way: str, source: str, target: str) -> dict[str, float]:
    """Write the source to a new table by one way; CPU seconds and MB of resident memory above the start's."""
    rows = pl.scan_parquet(f"{source}/*.parquet")
    before = resource.getrusage(resource.RUSAGE_SELF)
    if way == WAYS[0]:
        Lake(target).replace("l1_filtered", PARTITION, rows)
    elif way == WAYS[1]:
        lake = Lake(target)
        stage = lake.stage("l1_filtered", PARTITION)
        for file in sorted(Path(source).iterdir()):
            stage.write(pl.read_parquet(file))
        lake.commit(stage)
    else:
        arrow = rows.collect().to_arrow(compat_level=pl.CompatLevel.oldest())
        write_deltalake(target, arrow, mode="overwrite", partition_by=list(PARTITION))
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "peak_mb": (after.ru_maxrss - before.ru_maxrss) / 1024,
    }


def measure(way: str, source: Path, target: Path) -> dict[str, float]:
    """`write` in a process of its own."""
    command = [sys.executable, __file__, "--write", way, str(source), str(target)]
    return json.loads(subprocess.check_output(command, text=True))


def main(num_rows: int) -> None:
    """Print one line a way."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "source")
        source.mkdir()
        in_memory_mb = make_source(source, num_rows) / 1e6
        print(f"{'one partition of l1_filtered':28} {'rows':>9} {'MB':>7} {'CPU s':>7} {'peak MB':>8}")
        for way in WAYS:
            found = measure(way, source, Path(folder, "target", str(WAYS.index(way))))
            print(f"{way:28} {num_rows:>9,} {in_memory_mb:>7,.0f} {found['cpu_s']:>7.1f} {found['peak_mb']:>8,.0f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--write"]:
        print(json.dumps(write(*sys.argv[2:5])))
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 300_000)

"""`python -m benchmarks.scoring [--million]`: what the linear scorer costs.

Documents a CPU second of `scores` on real texts, by length. With `--million`, a million documents made of real texts (a
text drawn again begins at another sentence, so that no two are alike) are streamed in batches through two threads: the
interpreter's lock is not held while texts are read, and memory holds a batch a thread. Goals: 5,000 documents a second
a core, a million in 240 s on two cores.
"""

from __future__ import annotations

import argparse
import random
import resource
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

import polars as pl

from benchmarks.quality_sets import EDUCATION, READABILITY, gold_folder, records
from tier_assets.l2_selected import scorer
from tier_tables import L2_PAGE_LABELS

BATCH: Final = 8_192
MILLION: Final = 1_000_000
THREADS: Final = 2
REPEATS: Final = 5
DIMENSIONS: Final = 7
LENGTHS: Final = ((0, 1_000), (1_000, 2_500), (2_500, 6_000), (6_000, 10**9))


def real_texts(folder: Path) -> pl.Series:
    """Texts of English excerpts and Danish web pages.

    Raises:
        FileNotFoundError: neither is there.
    """
    sets = ((folder / READABILITY, "Excerpt"), (folder / EDUCATION, "text"))
    found = [record[field] for path, field in sets if path.exists() for record in records(path)]
    if not found:
        raise FileNotFoundError(f"no texts to score: neither {READABILITY} nor {EDUCATION} in {folder}")
    return pl.Series("text", found)


def some_scorer(texts: pl.Series) -> scorer.Scorer:
    """A scorer of quality and DIMENSIONS dimensions; what it has learnt does not matter here."""
    head = texts.head(1_000)
    rating = (head.str.count_matches(r"[,.]") % 6).cast(pl.Float64)
    named = {f"dimension_{number}": ((rating + number) % 6) for number in range(DIMENSIONS)}
    ids = pl.int_range(len(head), eager=True).cast(pl.String)
    windows = pl.DataFrame({"doc_id": ids, "text": head.str.slice(0, 1_200), "quality": rating, **named})
    return scorer.fit(windows.with_columns(corpus=pl.lit("texts")), L2_PAGE_LABELS.empty(), scorer.SMOKE)


def documents(texts: pl.Series, number: int) -> Iterator[pl.Series]:
    """Batches of `number` documents in all: real texts, each time from another place on."""
    draw = random.Random(0)
    held = texts.to_list()
    for start in range(0, number, BATCH):
        batch = []
        for _ in range(min(BATCH, number - start)):
            text = draw.choice(held)
            cut = text.find(". ", draw.randrange(len(text) // 2 + 1)) + 2
            batch.append(text[cut:] + " " + text[:cut])
        yield pl.Series("text", batch)


def speed(found: scorer.Scorer, texts: pl.Series) -> None:
    """Prints documents a CPU second by length, median of REPEATS."""
    scorer.scores(found, texts.head(10))
    for low, high in LENGTHS:
        part = texts.filter(texts.str.len_bytes().is_between(low, high, closed="left"))
        if part.is_empty():
            continue
        batch = pl.concat([part] * (1 + 4_000 // len(part))).head(4_000)
        spent = []
        for _ in range(REPEATS):
            start = time.process_time()
            scorer.scores(found, batch)
            spent.append(time.process_time() - start)
        each_s = statistics.median(spent) / len(batch)
        mean_bytes = batch.str.len_bytes().mean()
        print(f"documents of {mean_bytes:>7,.0f} bytes: {1 / each_s:>8,.0f} a CPU second, {each_s * 1e6:.0f} us each")


def million(found: scorer.Scorer, texts: pl.Series) -> None:
    """Prints wall and CPU seconds and peak memory of a million documents."""
    before = peak_mb()
    making_s = scored = num_bytes = 0.0
    waiting: list[Future[pl.DataFrame]] = []
    start, cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(THREADS) as pool:
        batches = documents(texts, MILLION)
        while True:
            mark = time.thread_time()
            batch = next(batches, None)
            making_s += time.thread_time() - mark
            if batch is None:
                break
            num_bytes += float(batch.str.len_bytes().sum())
            waiting.append(pool.submit(scorer.scores, found, batch))
            if len(waiting) > THREADS:  # what is not yet scored is bounded
                scored += len(waiting.pop(0).result())
        scored += sum(len(each.result()) for each in waiting)
    wall_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu - making_s
    print(
        f"{scored:,.0f} documents ({num_bytes / 1e9:.2f} GB) on {THREADS} threads: {wall_s:.0f} s, of it "
        f"{making_s:.0f} CPU s to make the texts; {cpu_s:.0f} CPU s to score, {scored / cpu_s:,.0f} documents a CPU "
        f"second; peak memory {peak_mb():,.0f} MB ({before:,.0f} MB before)"
    )


def peak_mb() -> float:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--million", action="store_true", help="stream a million documents too (some minutes)")
    options.add_argument("--texts", type=Path, default=gold_folder(), help="folder of the texts")
    chosen = options.parse_args()
    texts = real_texts(chosen.texts)
    found = some_scorer(texts)
    speed(found, texts)
    if chosen.million:
        million(found, texts)


if __name__ == "__main__":
    main()

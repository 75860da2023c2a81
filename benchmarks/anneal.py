"""`python -m benchmarks.anneal LAKE`: does the verification see what is planted, and how often is a refusal chance?

Cases, each over L1 of the lake: the base half shuffled words and the candidate clean (a gain is expected); the
candidate all shuffled words (a refusal is expected); and REPEATS random halves of the pool as candidates, which are
no better and no worse. The held-out "best rated" documents are random ones: no model is asked. What is planted takes
the settings of SMOKE, 24 CPU seconds a pair of anneals; the halves smaller ones, four CPU seconds a pair.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace

import duckdb
import numpy as np
import polars as pl

from resources.catalog import catalog_path
from resources.lake import Lake
from resources.trainer import ModelSettings
from tier_assets.l2_selected.verify import SMOKE, Data, Settings, assemble, verify

REPEATS = 20
PLANTED = replace(SMOKE, gates=True, seeds=4)
SMALL = Settings(
    "small",
    gates=True,
    seeds=5,
    warmup=20,
    stable=80,
    anneal=50,
    model=ModelSettings(vocab=1024, context=64, width=48, layers=1),
    evaluations=1,
    passages=128,
)


def cases(documents: pl.DataFrame) -> Iterator[tuple[str, Data, Settings]]:
    """Name, data and settings of each case; the documents are [doc_id, domain, text]."""
    ratings = documents.select("doc_id", quality=pl.int_range(pl.len()).shuffle(0).cast(pl.Float64))

    def half(seed: int, settings: Settings) -> Data:
        return assemble(documents, documents["doc_id"].sample(fraction=0.5, seed=seed), ratings, settings)

    data = half(0, PLANTED)
    noise = shuffled(data.base.gather_every(2))
    base = pl.concat([noise, data.base.gather_every(2, offset=1)])
    clean = data.candidate.join(noise, on=["doc_id", "char_start"], how="anti")
    yield "clean on half noise", replace(data, base=base, candidate=clean), PLANTED
    apart = shuffled(data.candidate).with_columns(doc_id="shuffled-" + pl.col("doc_id"))
    yield "noise on clean", replace(data, candidate=apart), PLANTED
    for seed in range(REPEATS):
        yield f"random half {seed}", half(seed, SMALL), SMALL


def shuffled(windows: pl.DataFrame) -> pl.DataFrame:
    """The windows with the words of each in a random order."""
    random = np.random.default_rng(0)
    texts = [" ".join(random.permutation(text.split(" "))) for text in windows["text"]]
    return windows.with_columns(text=pl.Series(texts, dtype=pl.String))


def main(root: str) -> None:
    with duckdb.connect(str(catalog_path(Lake(root))), read_only=True) as connection:
        documents = connection.sql("SELECT doc_id, domain, text FROM l1_filtered ORDER BY doc_id").pl()
    refused = 0
    for name, data, settings in cases(documents):
        found = verify(data, settings, lambda done: None)
        refused += name.startswith("random") and not found.passed
        print(f"{name:<22} {found.detail}", flush=True)
    print(f"refused of {REPEATS} random halves: {refused}")


if __name__ == "__main__":
    main(sys.argv[1])

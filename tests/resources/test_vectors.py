"""Embeddings come back in the order asked for, with NaN where there is none."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import polars as pl

from resources.lake import Lake
from resources.vectors import open_vectors
from tier_tables import EMBEDDINGS

NEWS = {"corpus": "news", "snapshot": "s1"}


def embeddings(lake: Lake, ids: list[str]) -> np.ndarray:
    """Random vectors of `ids`, finished in the lake."""
    vectors = np.random.default_rng(0).normal(size=(len(ids), 4)).astype(np.float32)
    rows = pl.DataFrame(
        [("e-1", i, "news", "s1", "h", v.tolist()) for i, v in zip(ids, vectors)],
        schema=EMBEDDINGS.schema,
        orient="row",
    )
    written = lake.replace("embeddings", {"encoder": "e-1", **NEWS}, rows)
    named = {"table": "embeddings", "slice": written.slice, "version": written.version, "token": written.token}
    lake.finish({"tier": "l2", "step": "l2_embeddings", **NEWS, "output_versions": [named], "started_at": now()})
    return vectors


def now() -> datetime:
    return datetime.now(UTC)


def test_vectors_are_in_the_order_asked_for(lake: Lake) -> None:
    vectors = embeddings(lake, ["a", "b", "c"])
    with open_vectors(lake, "e-1", NEWS, pl.Series(["c", "x", "a"])) as found:
        assert found is not None
        assert np.array_equal(found[[0, 2]], vectors[[2, 0]])
        assert np.isnan(found[1]).all()


def test_vectors_of_another_encoder_are_none(lake: Lake) -> None:
    embeddings(lake, ["a"])
    with open_vectors(lake, "other-1", NEWS, pl.Series(["a"])) as found:
        assert found is None

"""One fit: everything that is learnt to score documents, from the ratings and the lake's own labels, as artefacts.

In: rated windows, page labels, texts of the pool. Out: rows of `scorers`. The linear scorer learns first; the encoder
head and the clusters only where there is an encoder; the n-gram model from a sample of the pool.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import polars as pl

from algorithms import spherical_kmeans
from resources.encoder import Encoder
from tier_assets.l2_selected import annotate, clusters, encoder_head, perplexity, scorer
from tier_assets.l2_selected.in_force import CLUSTERS, HEAD, PERPLEXITY, QUALITY
from tier_assets.l2_selected.reports import Report, worse_than
from tier_tables import SCORERS

CLUSTER_ROUNDS: Final = 25


@dataclass(frozen=True)
class Settings:
    """How the parts of a fit are learnt; `pool_documents` is the sample that the n-gram model reads."""

    linear: scorer.Settings
    head: encoder_head.Settings
    perplexity: perplexity.Settings
    pool_documents: int
    windows_per_cluster: int = 12
    seed: int = 0


SMOKE: Final = Settings(scorer.SMOKE, encoder_head.SMOKE, perplexity.SMOKE, pool_documents=2_000)
DEFAULT: Final = Settings(scorer.DEFAULT, encoder_head.DEFAULT, perplexity.DEFAULT, pool_documents=50_000)


def windows_of(annotations: pl.DataFrame, texts: pl.LazyFrame) -> pl.DataFrame:
    """The rated windows [doc_id, corpus, text, quality, a column a dimension]: `texts` [doc_id, corpus, text] are the
    documents, of which only the rated ones are read. A window whose document has left L1 is left out."""
    ratings = annotate.ratings_of(annotations)
    rated = texts.join(ratings.lazy().select("doc_id").unique(), on="doc_id", how="semi").collect(engine="streaming")
    part = pl.col("text").str.slice(pl.col("char_start"), pl.col("char_end") - pl.col("char_start"))
    return (
        ratings.join(rated, on="doc_id", how="inner")
        .with_columns(text=part)
        .sort("doc_id", "part")
        .drop("part", "char_start", "char_end")
    )


def fit(
    windows: pl.DataFrame,
    pages: pl.DataFrame,
    pool: Iterator[pl.Series],
    encoder: Encoder | None,
    annotation_version: int,
    settings: Settings,
) -> pl.DataFrame:
    """Rows of `scorers` of a new fit.

    Raises:
        ValueError: too few windows to learn from.
    """
    linear = scorer.fit(windows, pages, settings.linear)
    artefacts: list[tuple[str, str, bytes, Report | None]] = [
        (QUALITY, "linear", scorer.dump(linear), linear.report),
        (PERPLEXITY, "ngrams", perplexity.dump(perplexity.fit(pool, settings.perplexity)), None),
    ]
    if encoder is not None:
        vectors = encoder.encode(windows["text"].to_list())
        page_vectors = encoder.encode(pages["text"].to_list())
        head = encoder_head.fit(windows, pages, vectors, page_vectors, settings.head)
        number = max(2, len(windows) // settings.windows_per_cluster)
        centroids = spherical_kmeans.fit(vectors, number, settings.seed, CLUSTER_ROUNDS)
        artefacts += [
            (HEAD, "encoder", encoder_head.dump(head), head.report),
            (CLUSTERS, "clusters", clusters.dump(centroids, encoder.name), None),
        ]
    name = hashlib.sha256(b"".join(hashlib.sha256(artefact).digest() for _, _, artefact, _ in artefacts))
    rows = [
        _row(scorer_name, kind, artefact, report)
        | {"fit": name.hexdigest()[:16], "annotation_version": annotation_version}
        for scorer_name, kind, artefact, report in artefacts
    ]
    return pl.DataFrame(rows, schema=SCORERS.schema)


def _row(name: str, kind: str, artefact: bytes, report: Report | None) -> dict[str, object]:
    row: dict[str, object] = {
        "scorer": name,
        "scorer_version": hashlib.sha256(artefact).hexdigest()[:16],
        "kind": kind,
        "artefact": artefact,
        "num_labels": 0,
        "num_page_labels": 0,
    }
    if report is not None:
        row |= {
            "num_labels": report.num_labels,
            "num_page_labels": report.num_page_labels,
            "spearman": report.spearman,
            "spearman_low": report.spearman_low,
            "spearman_high": report.spearman_high,
            "spearman_across": report.spearman_across,
            "by_corpus": [dict(zip(("corpus", "num_labels", "spearman"), each)) for each in report.by_corpus],
            "calibration_error": report.calibration_error,
        }
    return row


def refused(new: pl.DataFrame, standing: scorer.Scorer | None) -> pl.DataFrame:
    """The rows of a new fit with `refused` filled where its linear scorer is worse than the standing one's."""
    if standing is None:
        return new
    fresh = scorer.load(new.filter(scorer=QUALITY)["artefact"].item())
    why = worse_than(fresh.report, standing.report)
    return new.with_columns(refused=pl.lit(why, pl.String))

"""All scores of a batch: one column a scorer, as `l2_scores` keeps them in long form.

In: texts, the embeddings where there are any, a fit. Out: `quality` and the rated dimensions (linear), `perplexity`,
and from embeddings `quality_encoder` and the topics; a document without an embedding has no score of these (null).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
import polars as pl

from resources.encoder import Encoder
from tier_assets.l2_selected import encoder_head, perplexity, scorer, topics
from tier_assets.l2_selected.in_force import HEAD, PERPLEXITY, Fit

TOPIC_NAMES = tuple(f"topic_{topic.name}" for topic in topics.TOPICS)
RULE_MARGIN = "rule_margin"  # L1's own, copied so that a policy can bound it like any other score


def scorers_of(fit: Fit, has_vectors: bool) -> tuple[str, ...]:
    """Names of the scorers that `score_batch` gives, in order."""
    of_vectors = (HEAD, *TOPIC_NAMES) if has_vectors and fit.head is not None else ()
    return (*fit.linear.names, PERPLEXITY, *of_vectors)


def score_batch(fit: Fit, texts: pl.Series, vectors: np.ndarray | None, encoder: Encoder | None) -> pl.DataFrame:
    """The scores of `texts` [N]; `vectors` [N, size] has rows of NaN for texts without an embedding."""
    found = scorer.scores(fit.linear, texts).with_columns(perplexity.score(fit.perplexity, texts).alias(PERPLEXITY))
    if vectors is None or encoder is None or fit.head is None:
        return found
    missing = np.isnan(vectors[:, 0])
    filled = np.where(missing[:, None], np.float32(0), vectors)
    of_vectors = topics.topic_shares(filled, encoder).with_columns(
        encoder_head.scores(fit.head, filled, texts).alias(HEAD)
    )
    absent = pl.Series(missing)
    return found.hstack(of_vectors.select(pl.when(~absent).then(pl.col(n)).alias(n) for n in (HEAD, *TOPIC_NAMES)))


def in_long_form(
    batch: pl.DataFrame, scores: pl.DataFrame, names: Sequence[str], versions: dict[str, str]
) -> dict[str, pl.DataFrame]:
    """Rows of `l2_scores` by scorer, for documents [doc_id, corpus, snapshot]; none where a score is null."""
    keys = batch.select("doc_id", "corpus", "snapshot")
    return {
        name: keys.with_columns(
            scorer=pl.lit(name), scorer_version=pl.lit(versions[name]), score=scores[name].cast(pl.Float64)
        ).drop_nulls("score")
        for name in names
    }


def try_scorer(
    lines: Iterable[dict[str, object]], fit: Fit, name: str, encoder: Encoder | None, batch: int = 1_024
) -> Iterator[dict[str, object]]:
    """For each {id, text} one {id, score}, by the fit's scorer called `name`; `error` says why there is none.

    Raises:
        ValueError: the fit has no such scorer; the message lists those it has.
    """
    known = scorers_of(fit, encoder is not None)
    if name not in known:
        raise ValueError(f"unknown scorer {name!r}; known: {', '.join(known)}")
    of_vectors = name not in scorers_of(fit, False)
    waiting = iter(lines)
    while held := list(islice(waiting, batch)):
        texts = pl.Series(
            [line["text"] if isinstance(line.get("text"), str) else None for line in held], dtype=pl.String
        )
        filled = texts.fill_null("")
        vectors = encoder.encode(filled.to_list()) if of_vectors and encoder is not None else None
        values = score_batch(fit, filled, vectors, encoder)[name]
        for line, text, value in zip(held, texts, values, strict=True):
            yield {"id": line.get("id")} | ({"score": None, "error": "no_text"} if text is None else {"score": value})

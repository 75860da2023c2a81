"""What L2 learns from and is judged by, drawn from the lake: pages, texts of the pool, what a verification trains on.

Ids are hashes: the documents with the smallest are a sample in which any document is as likely, and a grown pool keeps
most of it. Ids come first; texts are read of what was drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from resources.encoder import Encoder
from resources.lake import Lake
from tier_assets.l2_selected import annotate, page_labels, scorer
from tier_assets.l2_selected.in_force import HEAD, QUALITY, InForce, in_force, load_fit
from tier_assets.l2_selected.policy import Policy
from tier_assets.l2_selected.scoring import RULE_MARGIN, TOPIC_NAMES, score_batch
from tier_assets.l2_selected.select import MEMBERSHIP, select
from tier_tables import L1_FILTERED, L2_SELECTED

Partition = dict[str, str]
COLUMNS = ("doc_id", "corpus", "snapshot", "domain", "language", "num_tokens", RULE_MARGIN, "text")
PAGE_TYPE = r"^\s*(text/html|application/xhtml\+xml)"
TEXTS_ROWS = 1_024


def draw_documents(lake: Lake, partitions: Sequence[Partition], size: int) -> pl.Series:
    """Ids of about `size` documents of L1."""
    ids = [lake.scan("l1_filtered", partition).select("doc_id") for partition in partitions]
    if not ids:
        return L1_FILTERED.empty()["doc_id"]
    return pl.concat(ids).bottom_k(size, by="doc_id").collect(engine="streaming")["doc_id"].sort()


def pages(lake: Lake, partitions: Sequence[Partition], settings: page_labels.Settings) -> pl.DataFrame:
    """Web pages that L1 kept, with their bytes and text [doc_id, corpus, snapshot, raw, content_type, text]."""
    schema = ("doc_id", "corpus", "snapshot", "content_type")
    found = [pl.DataFrame(schema=dict.fromkeys(schema, pl.String))]
    for partition in partitions:
        raw = lake.scan("l0_raw", partition).select(schema).filter(pl.col("content_type").str.contains(PAGE_TYPE))
        kept = lake.scan("l1_filtered", partition).select("doc_id")
        found.append(raw.join(kept, on="doc_id", how="semi").collect(engine="streaming"))
    drawn = page_labels.draw_pages(pl.concat(found), settings.size, settings.seed)
    wanted = drawn.select("doc_id").lazy()
    raws, texts = (
        pl.concat(
            [lake.scan(table).head(0).select("doc_id", column)]
            + [
                lake.scan(table, partition).select("doc_id", column).join(wanted, on="doc_id", how="semi")
                for partition in partitions
            ]
        ).collect(engine="streaming")
        for table, column in (("l0_raw", "raw"), ("l1_filtered", "text"))
    )
    return drawn.join(raws, on="doc_id").join(texts, on="doc_id").sort("doc_id")


def pool_texts(lake: Lake, partitions: Sequence[Partition], size: int) -> Iterator[pl.Series]:
    """Texts of about `size` documents of L1, a batch at a time."""
    wanted = draw_documents(lake, partitions, size)
    for partition in partitions:
        for batch in lake.batches("l1_filtered", partition, ["doc_id", "text"], TEXTS_ROWS):
            held = batch.filter(pl.col("doc_id").is_in(wanted.implode()))
            if len(held):
                yield held["text"]


def standing_scorer(lake: Lake) -> scorer.Scorer | None:
    """The linear scorer in force, where a new one can be compared with it: rated by the same model and prompts."""
    if lake.scan("verifications").head(1).collect().is_empty():
        return None
    is_standing = (pl.col("fit") == in_force(lake).fit) & (pl.col("scorer") == QUALITY)
    rows = lake.scan("scorers").filter(is_standing).select("annotation_version", "artefact").collect()
    version, artefact = rows.row(0)
    try:
        then = rated_by(lake.scan("l2_annotations", version=version))
        standing = scorer.load(artefact)
    except ValueError:  # its ratings were vacuumed away, or it is of older code: nobody can say whether they compare
        return None
    return standing if then.equals(rated_by(lake.scan("l2_annotations"))) else None


def rated_by(annotations: pl.LazyFrame) -> pl.DataFrame:
    """Who rated, by which prompts [model, prompt_version]."""
    return annotations.select("model", "prompt_version").unique().sort("model", "prompt_version").collect()


def trial_pool(lake: Lake, partitions: Sequence[Partition], size: int) -> pl.DataFrame:
    """About `size` documents of L1 and all that were rated, in order of doc_id [COLUMNS]."""
    rated = lake.scan("l2_annotations").select("doc_id").unique().collect()["doc_id"]
    wanted = pl.concat([draw_documents(lake, partitions, size), rated]).unique().to_frame().lazy()
    texts = [
        lake.scan("l1_filtered", partition).select(COLUMNS).join(wanted, on="doc_id", how="semi")
        for partition in partitions
    ]
    return pl.concat([lake.scan("l1_filtered").head(0).select(COLUMNS), *texts]).collect().sort("doc_id")


def document_ratings(lake: Lake) -> pl.DataFrame:
    """The language model's quality of each rated document, the mean over its windows [doc_id, quality]."""
    windows = annotate.ratings_of(lake.scan("l2_annotations").collect())
    return windows.group_by("doc_id").agg(pl.col("quality").mean()).drop_nulls().sort("doc_id")


def needs_vectors(policy: Policy) -> bool:
    """Whether the policy selects by embeddings."""
    named = {policy.scorer, *policy.bound_scorers}
    return policy.diversity is not None or bool(named & {HEAD, *TOPIC_NAMES})


def trial_selection(lake: Lake, pool: pl.DataFrame, pair: InForce, encoder: Encoder | None) -> pl.Series:
    """Ids of the pool's documents that the pair selects: the real selection, as if the pool were all there is."""
    fit = load_fit(lake, pair.fit)
    vectors = encoder.encode(pool["text"].to_list()) if encoder is not None and needs_vectors(pair.policy) else None
    scores = score_batch(fit, pool["text"], vectors, encoder)
    bound = [name for name in pair.policy.bound_scorers if name != RULE_MARGIN]
    columns = scores.select(pl.col(pair.policy.scorer).alias("quality"), *bound)
    candidates = pool.drop("text").hstack(columns).with_columns(influence=pl.lit(None, pl.Float64)).with_row_index("at")
    found = [L1_FILTERED.empty()["doc_id"]]
    for part in candidates.partition_by("corpus", "snapshot", maintain_order=True):
        held = None if vectors is None else vectors[part["at"].to_numpy().astype(np.int64)]
        chosen = select(part.drop("at"), L2_SELECTED.empty().select(MEMBERSHIP), pair.policy, 1, held, fit.centroids)
        found.append(chosen.rows["doc_id"])
    return pl.concat(found)

"""What becomes of every task's candidates on a lake's own documents: the acceptance funnel, and what the gate caught.

    python -m benchmarks.funnel --lake DIR [--documents 20] [--examples 10]

The best documents of each partition of L2, one passage each, every task in one style; the model is the lake's
(`LAKE_LLM`), its replies are kept in the lake's cache. Nothing else of the lake is written.
"""

from __future__ import annotations

import argparse
import hashlib

import polars as pl

from resources.encoder import open_encoder
from resources.lake import Lake
from resources.language_models import Replayed, open_model
from resources.progress import bar, shown
from tier_assets.l3_refined.audit import words_lost
from tier_assets.l3_refined.diversity import diversity
from tier_assets.l3_refined.flight import Limits
from tier_assets.l3_refined.refine import Models, Refined, Settings, choose, refine_all

SHOWN_REASONS = 4


def documents(lake: Lake, settings: Settings) -> pl.DataFrame:
    """The best documents of each partition of L2."""
    columns = ("doc_id", "corpus", "snapshot")
    ranked = lake.scan("l2_selected").select(*columns, "quality").collect()
    chosen = pl.concat([choose(part, settings) for part in ranked.partition_by("corpus", "snapshot")])
    texts = lake.scan("l1_filtered").select(*columns, "text")
    return texts.join(chosen.lazy().select("doc_id"), on="doc_id").sort("corpus", "snapshot", "doc_id").collect()


def funnel(found: list[Refined]) -> pl.DataFrame:
    """A row a task: candidates, kept, the share at each level, and the commonest reasons against."""
    kept = pl.concat([f.rows for f in found])
    lost = pl.concat([f.verdicts for f in found]).drop_nulls("task")
    levels = kept.group_by("task").agg(
        pl.len().alias("kept"),
        *(pl.col("levels").list.contains(level).sum().alias(f"level {level}") for level in (1, 2, 3, 4)),
    )
    reasons = lost.group_by("task", "reason").len("count").sort("count", "reason", descending=[True, False])
    named = reasons.group_by("task", maintain_order=True).agg(
        pl.col("count").sum().alias("rejected"),
        pl.format("{} {}", "reason", "count").head(SHOWN_REASONS).str.join(", ").alias("commonest reasons"),
    )
    both = levels.join(named, on="task", how="full", coalesce=True).with_columns(pl.col(pl.UInt32).fill_null(0))
    return both.select("task", (pl.col("kept") + pl.col("rejected")).alias("candidates"), pl.exclude("task")).sort(
        "task"
    )


def examples(found: list[Refined], number: int) -> pl.DataFrame:
    """Replies that the gate refused, spread over tasks and reasons."""
    lost = pl.concat([f.verdicts for f in found]).drop_nulls(["task", "reply"])
    hashed = [hashlib.blake2b(record_id.encode()).hexdigest() for record_id in lost["record_id"]]
    one_each = (
        lost.with_columns(order=pl.Series(hashed, dtype=pl.String))
        .sort("order")
        .unique(["task", "reason"], keep="first", maintain_order=True)
    )
    return one_each.head(number).select("task", "detail", "reply")


def words(found: list[Refined]) -> str:
    """Rare words of the passages that no record has, beside as many of the passages taken at random."""
    kept = pl.concat([f.rows["text"] for f in found])
    sources = pl.concat([f.passages for f in found])
    lost = words_lost([sources], [kept])
    at_random = words_lost([sources], [sources.sample(min(len(kept), len(sources)), seed=0)])
    return (
        f"of {lost.num_words} rare words of {len(sources)} passages {len(kept)} records have "
        f"{lost.num_words - lost.num_lost}; as many passages at random {at_random.num_words - at_random.num_lost}"
    )


def main() -> None:
    """Refine, count, print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--lake", required=True)
    arguments.add_argument("--documents", type=int, default=20)
    arguments.add_argument("--examples", type=int, default=10)
    given = arguments.parse_args()
    lake = Lake(given.lake)
    settings = Settings(given.documents, 1, passage_tokens=128, min_passage_words=20, limits=Limits(None, 1))
    model, encoder = Replayed(open_model(), lake, "l3_refined"), open_encoder("")
    docs = documents(lake, settings)
    with shown(), bar("refining", len(docs)) as move:
        found = list(refine_all([docs], Models(model, encoder=encoder), settings, progress=move))
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=200, fmt_str_lengths=120, tbl_hide_dataframe_shape=True):
        print(funnel(found))
        batches = (f.rows.with_columns(source=f.sources, corpus=pl.lit("all"), snapshot=pl.lit("all")) for f in found)
        print(diversity(batches, encoder).drop("corpus", "snapshot"))
    print(words(found))
    for task, detail, reply in examples(found, given.examples).iter_rows():
        print(f"\n{task}: {detail[:200]}\n    {' '.join(reply.split())[:300]}")
    usage = model.usage
    print(f"\n{usage.num_asked} requests asked, {usage.num_replayed} replayed, {usage.output_tokens} tokens written")


if __name__ == "__main__":
    main()

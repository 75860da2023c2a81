"""`python -m benchmarks.quality [--lake LAKE] [--llm]`: the gold table: how well ours order what people judged.

A row is a gold set, a column a way to score: the linear scorer published in the lake, the same learnt again without
page labels, and cheap baselines; then, on a sample of each set, the encoder head and with `--llm` the language model
beside them. Figures are AUC or Spearman. Below, of each scorer the difference to the best cheap baseline and to length,
and of the encoder to the linear one, with paired bootstrap intervals (95%).

White space is collapsed for all, and article and boilerplate are equally long: what remains are the words. Mean line
length is then length itself. The baselines are taken the way round in which they speak for a text: longer, fewer
capitals, more stop words, more punctuation, less surprising. No scorer learns from any of this.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from algorithms.word_lists import STOPWORDS
from benchmarks.quality_measures import Measured, measured
from benchmarks.quality_sets import GoldSet, gold_folder, gold_sets
from resources.encoder import open_encoder
from resources.lake import Lake
from resources.language_models import LanguageModel, Replayed, open_model
from resources.packages import cache_folder
from tier_assets.l2_selected import annotate, encoder_head, in_force, learn, perplexity, scorer

LENGTH: Final = "length"
BASELINES: Final = (LENGTH, "few capitals", "stop words", "punctuation", "perplexity")
LINEAR: Final = "linear"
WITHOUT: Final = "linear, no page labels"
DIMENSION: Final = "linear, dimension"
ENCODER: Final = "encoder"
LLM: Final = "LLM"
OF_ALL: Final = (LINEAR, WITHOUT, DIMENSION)
OF_SAMPLE: Final = (LLM, ENCODER, *OF_ALL)
# Texts of a set that the encoder and the language model read: minutes for all sets on two cores.
SAMPLE: Final = 400
SEED: Final = 11


def baselines(texts: pl.Series, model: perplexity.Model | None) -> dict[str, np.ndarray]:
    """The cheap baselines [N each]; perplexity only where there is a model."""
    frame = pl.DataFrame({"text": texts})
    chars, words = pl.col("text").str.len_chars().clip(1), pl.col("text").str.to_lowercase().str.extract_all(r"\w+")
    found = frame.select(
        pl.col("text").str.len_chars().alias(LENGTH),
        (-pl.col("text").str.count_matches(r"\p{Lu}").cast(pl.Int64) / chars).alias("few capitals"),
        (words.list.eval(pl.element().is_in(sorted(STOPWORDS))).list.sum() / words.list.len().clip(1)).alias(
            "stop words"
        ),
        (pl.col("text").str.count_matches(r"[^\w\s]") / chars).alias("punctuation"),
    )
    columns = {name: found[name].to_numpy().astype(np.float64) for name in found.columns}
    if model is not None:
        surprise = perplexity.score(model, texts)
        columns["perplexity"] = -surprise.fill_null(surprise.max()).to_numpy()  # type: ignore[arg-type]
    return columns


class Published:
    """The scorers of the lake's last fit that is not refused, and the linear one without page labels."""

    def __init__(self, lake: Lake) -> None:
        found = in_force.candidates(lake)
        if found is None:
            raise ValueError(in_force.NOTHING)
        self.fit = in_force.load_fit(lake, found.fit)
        texts = lake.scan("l1_filtered").select("doc_id", "corpus", "text")
        windows = learn.windows_of(lake.scan("l2_annotations").collect(), texts)
        settings = replace(self.fit.linear.settings, page_labels=False)
        self.without = scorer.fit(windows, lake.scan("l2_page_labels").collect(), settings)
        self.encoder = open_encoder() if self.fit.head is not None else None

    def columns(self, gold: GoldSet) -> dict[str, np.ndarray]:
        """The linear scores of a set's texts [N each]."""
        own = scorer.scores(self.fit.linear, gold.texts)
        columns = {LINEAR: own["quality"], WITHOUT: scorer.scores(self.without, gold.texts)["quality"]}
        if gold.dimension != "quality" and gold.dimension in own.columns:
            columns[DIMENSION] = own[gold.dimension]
        return {name: column.to_numpy() for name, column in columns.items()}

    def encoded(self, texts: pl.Series) -> dict[str, np.ndarray]:
        """The encoder head's scores [N]; nothing where the fit has no head."""
        if self.encoder is None or self.fit.head is None:
            return {}
        return {ENCODER: encoder_head.scores(self.fit.head, self.encoder.encode(texts.to_list()), texts).to_numpy()}


def sampled(gold: GoldSet, size: int) -> tuple[GoldSet, np.ndarray]:
    """At most about `size` texts of a set, whole groups, and their rows."""
    order = np.random.default_rng(SEED).permutation(gold.group.n_unique())
    codes = gold.group.rank("dense").to_numpy().astype(np.int64) - 1
    turn = np.empty(len(order), dtype=np.int64)
    turn[order] = np.arange(len(order))
    sizes = np.bincount(codes)
    taken = order[: max(1, int(np.searchsorted(np.cumsum(sizes[order]), size, side="right")))]
    rows = np.flatnonzero(np.isin(codes, taken))
    return replace(gold, texts=gold.texts[rows], truth=gold.truth[rows], group=gold.group[rows]), rows


def rated(gold: GoldSet, model: LanguageModel) -> np.ndarray:
    """The language model's rating of the set's dimension, of one window of each text [N]; nan where it gave none."""
    wanted = annotate.QUALITY_DIMENSIONS if gold.dimension == "quality" else (gold.dimension,)
    settings = annotate.Settings(dimensions=tuple(wanted), max_windows=1)
    ids = [f"{row:06d}" for row in range(len(gold.texts))]
    documents = pl.DataFrame({"doc_id": ids, "corpus": "gold", "snapshot": "gold", "text": gold.texts})
    found = annotate.rate(documents, model, settings, lambda done: None).annotations
    means = found.group_by("doc_id").agg(pl.col("rating").mean())
    return documents.join(means, on="doc_id", how="left", maintain_order="left")["rating"].fill_null(np.nan).to_numpy()


def figures(gold: GoldSet, columns: Mapping[str, np.ndarray]) -> Measured:
    """Each column's figure on the set."""
    return measured(columns, gold.truth.to_numpy(), gold.group, gold.binary)


def best_baseline(found: Measured) -> str:
    """The cheap baseline that does best on the set."""
    return max((name for name in BASELINES if name in found.figures), key=lambda name: found.figures[name])


def show(rows: list[tuple[GoldSet, Measured]], names: tuple[str, ...]) -> None:
    """Prints the table of figures."""
    heads = [name for name in names if any(name in found.figures for _, found in rows)]
    print("\n" + f"{'set':<22}{'measures':<23}{'texts':>7} " + " ".join(f"{head:>14.14}" for head in heads))
    for gold, found in rows:
        cells = [f"{found.figures[head]:>14.3f}" if head in found.figures else f"{'':>14}" for head in heads]
        kind = "AUC" if gold.binary else "rho"
        print(f"{gold.name:<22}{gold.measures:<23}{len(gold.texts):>7} " + " ".join(cells) + f"  {kind}")


def show_differences(rows: list[tuple[GoldSet, Measured]], names: tuple[str, ...]) -> None:
    """Prints what each scorer has over the best cheap baseline and over length, and the encoder over the linear one."""
    for gold, found in rows:
        for name in (name for name in names if name in found.figures):
            others = [best_baseline(found), LENGTH, *([LINEAR] if name == ENCODER else [])]
            low, high = found.interval(name)
            print(f"{gold.name:<22}{name:<23}{found.figures[name]:>7.3f} [{low:.3f} {high:.3f}]", end="")
            for other in dict.fromkeys(others):
                print("   over {} {:+.3f} [{:+.3f} {:+.3f}]".format(other, *found.difference(name, other)), end="")
            print()


def on_sample(
    gold: GoldSet, columns: Mapping[str, np.ndarray], published: Published | None, model: LanguageModel | None
) -> tuple[GoldSet, Measured]:
    """The set's sample with what only a sample is asked of; texts that the language model did not rate are left out."""
    sample, rows = sampled(gold, SAMPLE)
    held = {name: values[rows] for name, values in columns.items()}
    held |= published.encoded(sample.texts) if published else {}
    held |= {LLM: rated(sample, model)} if model else {}
    told = np.flatnonzero(~np.isnan(held[LLM])) if model else np.arange(len(rows))
    sample = replace(sample, texts=sample.texts[told], truth=sample.truth[told], group=sample.group[told])
    return sample, figures(sample, {name: values[told] for name, values in held.items()})


def main() -> None:
    """Measure every set and print the tables."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--lake", help="folder of the lake whose scorers are measured")
    options.add_argument("--llm", action="store_true", help="ask the language model too, on a sample of each set")
    options.add_argument("--gold", type=Path, default=gold_folder(), help="folder of the gold sets")
    chosen = options.parse_args()
    published = Published(Lake(chosen.lake)) if chosen.lake else None
    model = None
    if chosen.llm:
        model = Replayed(open_model(), Lake(str(cache_folder() / "quality_gold")), "quality_gold")
    rows, samples = [], []
    for gold in gold_sets(chosen.gold):
        columns = baselines(gold.texts, published.fit.perplexity if published else None)
        columns |= published.columns(gold) if published else {}
        rows.append((gold, figures(gold, columns)))
        # Of the lines, all languages together are sampled; each by itself would be few.
        if (published or model) and (not gold.name.startswith("lines, ") or gold.name == "lines, all"):
            samples.append(on_sample(gold, columns, published, model))
    show(rows, (*OF_ALL, *BASELINES))
    show_differences(rows, OF_ALL)
    if samples:
        print(f"\nOn a sample of about {SAMPLE} texts of each set")
        show(samples, (*OF_SAMPLE, *BASELINES))
        show_differences(samples, OF_SAMPLE)


if __name__ == "__main__":
    main()

"""`python -m benchmarks.influence_models --data FOLDER` (or `--lake LAKE`): how well influence models
rank documents that were not probed.

The miniature (`benchmarks/miniature.py`) after its warm-up; 6,000 first-order probes to learn from (or the first 1,000
of them), 2,000 more and 200 true ones of these to be judged by. Spearman with both over all, and its mean within
domains; means and standard deviations over seeds. Pool, reference and initial weights are drawn anew by each seed.

    domain mean           the mean label of a document's domain
    words and pairs       a ridge on the hashed words and pairs that are present, as L2's scorer reads them
    ngram_ridge, learnt   tokens and pairs of a vocabulary learnt from the labels' texts
    ngram_ridge, own      the same with the training model's own tokens: the default
    hidden alone          a ridge on the training model's mean hidden states
    hidden_ridge          the default's columns and these
    encoder               the fine-tuned sentence encoder, as published (with --encoder: half an hour a seed)

Settings were chosen on seed 100 (and the kind of columns on another miniature of the same corpora), the report is on
seeds 0 and above. Some five CPU minutes a seed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from scipy import sparse

from algorithms import hashed_ngrams
from benchmarks import miniature
from benchmarks.miniature import Sources
from tier_assets.m2_influence.cross_validation import spearman, within
from tier_assets.m2_influence.influence_model import Settings, fit, load, predict_flops
from tier_assets.m2_influence.probe import probe

LABELS: Final = (1_000, 6_000)
JUDGED: Final = 2_000
TRUE: Final = 200
REFERENCE_CHUNKS: Final = 64
MINIATURE: Final = miniature.Settings()
RIDGE: Final = 0.3  # the best of .03 to 3 for words and pairs; of hidden states .01 to 1 are alike
FULL: Final = 1_200  # bytes: no window of 128 tokens has more

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Judged:
    """Predictions [JUDGED], and costs by name."""

    score_N: np.ndarray
    costs: Figures


@dataclass(frozen=True, slots=True)
class Probes:
    """Probed documents [doc_id, domain, text, score] with their hidden states [N, width]; the last JUDGED are not
    learnt from, and the first TRUE of these have a true score too. `pool`: documents and tokens of the whole pool."""

    rows: pl.DataFrame
    hidden_ND: np.ndarray
    true_T: np.ndarray
    tokenizer: str
    stage_flops: float
    probe_flops: float
    pool: tuple[int, int]
    parameters: int

    @property
    def judged(self) -> slice:
        """Where the documents stand that are not learnt from."""
        return slice(len(self.rows) - JUDGED, None)


def probed(sources: Sources, seed: int) -> Probes:
    """The miniature of a seed, trained for its warm-up and probed."""
    made = miniature.make(sources, seed, MINIATURE)
    trainer = miniature.warmed_up(made, seed, MINIATURE)
    rows_N = np.random.default_rng([seed, 3]).permutation(len(made.chunks_NC))[: LABELS[-1] + JUDGED]
    chunks_NC, reference_RC = made.chunks_NC[rows_N], made.target_RC[:REFERENCE_CHUNKS]
    cheap = probe(trainer, chunks_NC, reference_RC, MINIATURE.lr, "first_order")
    true = probe(trainer, chunks_NC[-JUDGED:][:TRUE], reference_RC, MINIATURE.lr, "true")
    score = (cheap.effect_N.mean() - cheap.effect_N) / cheap.effect_N.std()
    rows = made.documents[rows_N].select("doc_id", "domain", "text").with_columns(score=pl.Series(score))
    return Probes(
        rows,
        trainer.hidden_means(chunks_NC),
        -true.effect_N,
        made.tokenizer.to_str(),
        miniature.stage_flops(trainer, MINIATURE),
        cheap.flops / len(rows),
        (len(made.documents), int(made.documents["num_tokens"].sum())),
        trainer.num_parameters,
    )


def domain_mean(known: Probes, num: int) -> np.ndarray:
    """The mean label of each judged document's domain; of all where it has none."""
    learnt = known.rows[:num]
    means = learnt.group_by("domain").agg(mean=pl.col("score").mean())
    joined = known.rows[known.judged].select("domain").join(means, on="domain", how="left", maintain_order="left")
    return joined["mean"].fill_null(learnt["score"].mean()).to_numpy()


def words_and_pairs(known: Probes, num: int) -> np.ndarray:
    """A ridge on hashed words and pairs that are present, their shapes, and the domain."""
    found = hashed_ngrams.features(known.rows["text"], FULL)
    design = hashed_ngrams.design_of(found, hashed_ngrams.standard_of(found))
    return _ridge(sparse.hstack([design, sparse.csr_matrix(_own(known))], format="csr"), known, num)


def hidden_alone(known: Probes, num: int) -> np.ndarray:
    """A ridge on standardised hidden states, and the domain."""
    states = (known.hidden_ND - known.hidden_ND.mean(axis=0)) / known.hidden_ND.std(axis=0)
    return _ridge(sparse.csr_matrix(np.hstack([states, _own(known)])), known, num)


def _ridge(design: sparse.csr_matrix, known: Probes, num: int) -> np.ndarray:
    target = known.rows["score"][:num].to_numpy()
    return np.asarray(design[known.judged] @ hashed_ngrams.solve(design[:num], target - target.mean(), RIDGE))


def _own(known: Probes) -> np.ndarray:
    """A column a domain [N, K]."""
    domains = known.rows["domain"].to_numpy()
    return (domains[:, None] == np.unique(domains)[None, :]).astype(np.float64)


def model(known: Probes, num: int, settings: Settings, own: bool, encoder: Path | None = None) -> Judged:
    """An influence model's predictions of the judged documents and what they cost; `own`: it reads the training
    model's tokens."""
    hidden = known.hidden_ND if settings.kind == "hidden_ridge" else None
    tokenizer = known.tokenizer if own else None
    fitted = fit(known.rows[:num], settings, None if hidden is None else hidden[:num], encoder, tokenizer)
    loaded, judged = load(fitted.artefact), known.rows[known.judged]
    loaded.predict(
        judged["text"][:1], judged["domain"][:1], None if hidden is None else hidden[:1], encoder
    )  # compiles
    started = time.process_time()
    states = None if hidden is None else hidden[known.judged]
    score_N, uncertainty_N = loaded.predict(judged["text"], judged["domain"], states, encoder)
    spent = time.process_time() - started
    true = judged["score"].to_numpy()
    costs = {
        "slope": float(np.polyfit(score_N, true, 1)[0]),
        "covered": float(np.mean(np.abs(true - score_N) <= 1.96 * uncertainty_N)),
        "FLOPs": (num * known.probe_flops + fitted.flops + predict_flops(settings.kind, *known.pool, known.parameters))
        / known.stage_flops,
        "fit CPU s": fitted.cpu_s,
        "docs/s": JUDGED / spent,
    }
    return Judged(score_N, costs)


def arms(encoder: Path | None) -> dict[str, Callable[[Probes, int], Judged]]:
    """What is compared, by name."""
    found: dict[str, Callable[[Probes, int], Judged]] = {
        "domain mean": lambda known, num: Judged(domain_mean(known, num), {}),
        "words and pairs": lambda known, num: Judged(words_and_pairs(known, num), {}),
        "ngram_ridge, learnt": lambda known, num: model(known, num, Settings(), False),
        "ngram_ridge, own": lambda known, num: model(known, num, Settings(), True),
        "hidden alone": lambda known, num: Judged(hidden_alone(known, num), {}),
        "hidden_ridge": lambda known, num: model(known, num, Settings(kind="hidden_ridge"), True),
    }
    if encoder is not None:
        found["encoder"] = lambda known, num: model(known, num, Settings(kind="encoder"), False, encoder)
    return found


def figures(known: Probes, judged: Judged) -> Figures:
    """Rank correlations with first-order and true probes, overall and within domains, and the costs."""
    rows = known.rows[known.judged]
    domains, score_N = rows["domain"].to_numpy(), rows["score"].to_numpy()
    return {
        "first": spearman(judged.score_N, score_N) or 0.0,
        "within": within(judged.score_N, score_N, domains).spearman or 0.0,
        "true": spearman(judged.score_N[:TRUE], known.true_T) or 0.0,
        "true within": within(judged.score_N[:TRUE], known.true_T, domains[:TRUE]).spearman or 0.0,
    } | judged.costs


def show(found: Mapping[tuple[str, int], list[Figures]]) -> None:
    """A line an arm and number of labels: means over seeds, of the rank correlations with their deviations."""
    print(f"{'':<20} {'labels':>6}  {'first-order':>18} {'within':>11} {'true':>11} {'within':>11}  costs")
    for (name, num), seeds in found.items():
        ranks = [[each[key] for each in seeds] for key in ("first", "within", "true", "true within")]
        told = [f"{statistics.mean(r):.3f}±{statistics.stdev(r) if len(r) > 1 else 0.0:.3f}" for r in ranks]
        keys = [key for key in seeds[0] if key not in ("first", "within", "true", "true within")]
        costs = "  ".join(f"{key} {statistics.mean(each[key] for each in seeds):.3g}" for key in keys)
        print(f"{name:<20} {num:>6}  {told[0]:>18} {told[1]:>11} {told[2]:>11} {told[3]:>11}  {costs}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    miniature.add_arguments(parser)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--encoder", type=Path, help="folder of a sentence encoder, to be fine-tuned as well")
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    sources = miniature.sources_of(arguments)
    found: defaultdict[tuple[str, int], list[Figures]] = defaultdict(list)
    for seed in arguments.seeds:
        known = probed(sources, seed)
        for name, arm in arms(arguments.encoder).items():
            for num in LABELS:
                found[name, num].append(figures(known, arm(known, num)))
        print(f"after seed {seed}")
        show(found)


if __name__ == "__main__":
    main()

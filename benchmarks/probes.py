"""`python -m benchmarks.probes --data FOLDER` (or `--lake ROOT`): first-order probes against true ones, five seeds.

On the miniature (`benchmarks.miniature`: 400 warm-up steps, reference of 64 chunks, a rate of 4e-3): CPU seconds a
probe, in turns in one run and on one thread, and Spearman's correlation of the two kinds' effects on chunks drawn from
the pool. First-order probes are LABELS a seed, the gradient of the reference counted with them; NUM_TRUE of the same
chunks are probed truly. Wanted: at least 40 times cheaper, at a mean correlation of .85 and .78 on the worst seed.

Then what the parts of the first-order probe are worth, each left out in turn, and the correlation by learning rate
(the first RATE_SEEDS seeds). FLOOR, LENGTH and READ were chosen on seeds from 100 on. Two minutes a seed on a core.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable

import numpy as np
from scipy.stats import spearmanr

from algorithms.influence_probes import FLOOR, direction, read, slopes
from algorithms.packing import Tokens
from benchmarks import miniature
from resources.trainer import Trainer
from tier_assets.m2_influence.probe import Effects, probe

LABELS = 1_000
NUM_TRUE = 120
TURNS = 3
REFERENCE = 64
LR = 4e-3
RATES = (1e-3, 2.5e-4)
RATE_SEEDS = 2


def variant(
    trainer: Trainer, chunks_NC: Tokens, reference_RC: Tokens, floor: float, coasts: bool, moments: bool, share: bool
) -> Effects:
    """First-order effects but for their scale: with the floor's quantile, and whether the gradient is taken where
    momentum leads, divided by the moments, and only a `share` of each chunk is read."""
    before, seconds = trainer.state(), trainer.second_moments() if moments else None
    if coasts:
        trainer.coast(LR)
    along = direction(trainer.gradient(reference_RC), seconds, floor)
    trainer.restore(before)
    taken_NC = chunks_NC[:, : read(chunks_NC.shape[1])] if share else chunks_NC
    return -slopes(lambda: trainer.chunk_losses(taken_NC), trainer.weights, along)


# Floor, coasts, moments, share.
VARIANTS: dict[str, tuple[float, bool, bool, bool]] = {
    "whole chunks": (FLOOR, True, True, False),
    "no floor": (0.0, True, True, True),
    "gradient where the model is": (FLOOR, False, True, True),
    "the same on whole chunks": (FLOOR, False, True, False),
    "the same, no floor": (0.0, False, True, False),
    "plain gradient": (FLOOR, False, False, False),
}


def agreement(true_N: Effects, first_N: Effects) -> float:
    """Spearman of the true effects with the first-order ones of the same chunks, the first of `first_N`."""
    return float(spearmanr(true_N, first_N[: len(true_N)]).statistic)


def measure(trainer: Trainer, chunks_NC: Tokens, reference_RC: Tokens) -> tuple[dict[str, float], Effects]:
    """CPU seconds a probe of both kinds and their agreement; and the true effects."""
    true_N, true_s, first_s = [], [], []
    for part in np.split(chunks_NC[:NUM_TRUE], TURNS):
        true = probe(trainer, part, reference_RC, LR, "true")
        first = probe(trainer, chunks_NC, reference_RC, LR, "first_order")
        true_N.append(true.effect_N)
        true_s.append(true.cpu_s / len(part))
        first_s.append(first.cpu_s / len(chunks_NC))
    effect_N = np.concatenate(true_N)
    both = {"true": statistics.median(true_s), "first": statistics.median(first_s)}
    return both | {"ratio": both["true"] / both["first"], "rho": agreement(effect_N, first.effect_N)}, effect_N


def by_rate(trainer: Trainer, chunks_NC: Tokens, reference_RC: Tokens) -> dict[str, float]:
    """Agreement at other learning rates."""
    found = {}
    for rate in RATES:
        kinds = (probe(trainer, chunks_NC, reference_RC, rate, kind).effect_N for kind in ("true", "first_order"))
        found[f"rate {rate:g}"] = agreement(*kinds)
    return found


def run(sources: miniature.Sources, seed: int, rates: bool) -> dict[str, float]:
    """All figures of a seed."""
    made = miniature.make(sources, seed)
    trainer = miniature.warmed_up(made, seed)
    drawn = np.random.default_rng([seed, 2]).permutation(len(made.chunks_NC))[:LABELS]
    chunks_NC, reference_RC = made.chunks_NC[drawn], made.target_RC[:REFERENCE]
    before = trainer.fingerprint()
    found, true_N = measure(trainer, chunks_NC, reference_RC)
    for name, parts in VARIANTS.items():
        found[name] = agreement(true_N, variant(trainer, chunks_NC[:NUM_TRUE], reference_RC, *parts))
    if rates:
        found |= by_rate(trainer, chunks_NC[:NUM_TRUE], reference_RC)
    if trainer.fingerprint() != before:
        raise RuntimeError(f"seed {seed}: probes left the model changed")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    miniature.add_arguments(parser)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    sources = miniature.sources_of(arguments)
    rows = []
    for number in range(arguments.seeds):
        rows.append(run(sources, arguments.first_seed + number, number < RATE_SEEDS))
        told = ", ".join(f"{name} {value:.4g}" for name, value in rows[-1].items())
        print(f"seed {arguments.first_seed + number}: {told}", flush=True)
    show(rows)


def show(rows: list[dict[str, float]]) -> None:
    """The table: mean, deviation and worst of each figure over the seeds."""
    print(f"\n{'over the seeds':<40} {'mean':>8} {'±':>7} {'least':>8} {'most':>8} {'seeds':>6}")
    names: dict[str, Callable[[float], float]] = {
        "true": lambda value: 1e3 * value,
        "first": lambda value: 1e3 * value,
    }
    titles = {"true": "true probe, CPU ms", "first": "first-order probe, CPU ms", "ratio": "times cheaper"}
    titles |= {"rho": f"Spearman, {NUM_TRUE} probes a seed"}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [names.get(name, float)(row[name]) for row in rows if name in row]
        spread = statistics.stdev(values) if len(values) > 1 else math.nan
        figures = (statistics.mean(values), spread, min(values), max(values))
        title = titles.get(name, f"Spearman, {name}")
        print(
            f"{title:<40} {figures[0]:>8.3f} {figures[1]:>7.3f} {figures[2]:>8.3f} {figures[3]:>8.3f} {len(values):>6}"
        )


if __name__ == "__main__":
    main()

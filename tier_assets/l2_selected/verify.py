"""Verification by a short anneal: does what a candidate selects train a small model better than what it selects from?

In: documents by part (`verify_data.Data`) and settings. Out: gains with their errors, curves, and whether the candidate
is refused. After "Ultra-FineWeb: Efficient Data Filtering and Verification", arXiv 2505.05427: a model is
trained on base data to the end of a WSD schedule's stable phase; from the same state (weights and optimizer) its decay
runs on base data, and once more with 30% of the chunks replaced by the candidate's. Both see the same other chunks in
the same order, so a pair differs by the replaced chunks alone; chunks not seen before are taken first, in both arms.

Measured at the end, paired by seed (initialisation, order and draw of chunks): the loss on held-out documents that the
language model rated best, the loss on held-out documents of all domains weighed alike, and the share of held-out
passages whose true continuation has the highest mean log-likelihood among four of one domain.

**The gate.** A candidate is refused where it is *clearly* worse, never for lack of a gain: where the whole two-sided
95% t-interval of a gain lies below minus what is tolerated. That is .005 nats of reference loss, .05 nats of general
loss (a selection shifts the mixture and always pays there), and nothing of accuracy. So chance refuses a candidate that
is no different from base data in less than 5% of cases (2.5% by the accuracy, less by the reference); of 20 random
halves of a pool none was refused (`benchmarks/anneal.py`). The interval holds for other seeds and draws of chunks, not
for other documents: the tolerances are for these. Two anneals that tell the same number of passages twice do not make
the accuracy certain: its error is at least that of one passage a seed.

Cost: 6 x parameters x tokens of training, 2 x parameters x tokens of evaluation, in FLOPs. A pair of DEFAULT took 107
and 128 CPU seconds where a dozen processes shared two cores, so all eight take 8 minutes on two; one of SMOKE 24.
"""

from __future__ import annotations

import functools
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from algorithms.learning_rates import wsd
from resources.torch_environment import set_environment
from resources.trainer import ModelSettings, OptimizerSettings, Trainer, device
from resources.workers import Died, Workers
from tier_assets.l2_selected.verify_data import Data, Sample, Settings, TooLittle, assemble, tokenise

CONFIDENCE: Final = 0.95
TOO_SMALL: Final = "too small to gate: no gain is claimed"
ARMS: Final = ("base", "candidate")
CURVE_SCHEMA: Final = {
    "arm": pl.String,
    "seed": pl.Int64,
    "step": pl.Int64,
    "measure": pl.String,
    "value": pl.Float64,
}
# A pair of anneals; a machine ten times as slow as ours still ends in time.
WORKER_CPU_S: Final = 86_400.0
WORKER_BYTES: Final = 16 << 30

SMOKE: Final = Settings("smoke", gates=False, seeds=3, warmup=20, stable=100, anneal=60, passages=128)
DEFAULT: Final = Settings("default", gates=True, seeds=8, warmup=50, stable=650, anneal=350)
# 30 million parameters, 105 million tokens a seed: minutes on one GPU.
LARGE: Final = Settings(
    "larger",
    gates=True,
    seeds=5,
    warmup=100,
    stable=1900,
    anneal=600,
    batch=64,
    peak_lr=1e-3,
    model=ModelSettings(vocab=8192, context=512, width=512, layers=8, heads=8),
    reference_chunks=512,
    general_chunks=1024,
    passages=2048,
)

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Verified:
    """`summary` holds the numeric columns of `verifications`, `curves` the columns of `verification_curves` but for the
    verification. `passed` is whether nothing refuses the candidate: always true where the settings do not gate."""

    summary: dict[str, int | float]
    curves: pl.DataFrame
    detail: str
    passed: bool


@dataclass(frozen=True, slots=True)
class Order:
    """Chunks in order of training, [steps, batch] each: the phase that both arms share, and each arm's anneal."""

    stable: Indices
    base: Indices
    candidate: Indices


@dataclass(frozen=True, slots=True)
class Pair:
    """One seed's two anneals: rows of the curves, and the size of what ran."""

    rows: list[tuple[str, int, int, str, float]]
    num_parameters: int
    trained_tokens: int
    evaluated_tokens: int


@dataclass(frozen=True, slots=True)
class Difference:
    """A gain paired by seed: its mean, standard error and t-interval; above 0 the candidate is better."""

    gain: float
    error: float
    low: float
    high: float


def verify(data: Data, settings: Settings, move: Callable[[int], None], cores: int | None = None) -> Verified:
    """Train the pairs and judge them. `move` is told how many of `settings.steps` are done.

    On a GPU, or with one core, in this process; else a process a core (default: those that this one may use), one
    thread each, which is twice as fast as two threads at these sizes.

    Raises:
        TooLittle: too little text for these settings.
        FloatingPointError: the training diverged (a RuntimeError, WorkerError, where a worker found it).
        RuntimeError: a worker died.
    """
    began = time.process_time()
    sample = tokenise(data, settings)
    cores = min(cores or len(os.sched_getaffinity(0)), settings.seeds)
    pairs, workers_s = _run(sample, settings, move, 1 if device() == "cuda" else cores)
    curves = pl.DataFrame([row for pair in pairs for row in pair.rows], schema=CURVE_SCHEMA, orient="row")
    found = {name: _paired(curves, name, 1 / len(sample.passages_PKL)) for name in ("reference", "general", "accuracy")}
    trained, evaluated = sum(pair.trained_tokens for pair in pairs), sum(pair.evaluated_tokens for pair in pairs)
    summary: dict[str, int | float] = {
        "num_seeds": settings.seeds,
        "num_parameters": pairs[0].num_parameters,
        "num_tokens": trained,
        **{f"{name}_gain": round(difference.gain, 4) for name, difference in found.items()},
        **{f"{name}_error": round(difference.error, 4) for name, difference in found.items()},
        "flops": float(pairs[0].num_parameters) * (6 * trained + 2 * evaluated),
        "cpu_s": round(time.process_time() - began + workers_s, 2),
    }
    reasons = refusals(found["reference"], found["general"], found["accuracy"], settings)
    passed = not (settings.gates and reasons)
    return Verified(summary, curves, _describe(found, reasons, settings), passed)


def refusals(reference: Difference, general: Difference, accuracy: Difference, settings: Settings) -> list[str]:
    """Why the candidate is clearly worse; empty where it is not."""
    judged = (
        ("reference loss", " nats", reference, settings.reference_tolerance),
        ("general loss", " nats", general, settings.general_tolerance),
        ("accuracy", "", accuracy, 0.0),
    )
    return [
        f"the {name} is worse by at least {-gain.high:.4f}{unit} ({tolerance:g} tolerated)"
        for name, unit, gain, tolerance in judged
        if gain.high < -tolerance
    ]


def difference(gains: npt.NDArray[np.float64], least_deviation: float = 0.0) -> Difference:
    """Mean, error and interval of gains, one a seed; their deviation is taken as `least_deviation` or more.

    >>> difference(np.array([0.1, 0.2, 0.3]))
    Difference(gain=0.2, error=0.0577, low=-0.0484, high=0.4484)
    """
    from scipy.special import stdtrit

    error = max(float(gains.std(ddof=1)), least_deviation) / math.sqrt(len(gains))
    half = float(stdtrit(len(gains) - 1, (1 + CONFIDENCE) / 2)) * error
    mean = float(gains.mean())
    return Difference(round(mean, 4), round(error, 4), round(mean - half, 4), round(mean + half, 4))


def loss_curves(curves: pl.DataFrame) -> pl.DataFrame:
    """[series, x, y]: the reference loss of each arm by step of the anneal, mean over the seeds."""
    return (
        curves.filter(pl.col("arm").is_in(ARMS) & (pl.col("measure") == "reference"))
        .group_by(series="arm", x="step")
        .agg(y=pl.col("value").mean())
        .sort("series", "x")
    )


def draw_order(sample: Sample, settings: Settings, seed: int) -> Order:
    """Which chunks train, in order: base data in a random order, begun again where it ends; the candidate's chunks
    stand in randomly drawn places of the anneal. Those come first that train nowhere else in this pair, then those of
    the seed's own share: were the same chunks drawn for several seeds, the spread would not tell what the draw does."""
    random = np.random.default_rng([seed, 1])
    base_N = np.resize(random.permutation(np.flatnonzero(sample.in_base_N)), settings.base_chunks)
    stable, anneal = np.split(base_N, [settings.base_chunks - settings.anneal_chunks])
    places = random.permutation(settings.anneal_chunks)[: settings.candidate_chunks]
    kept = np.delete(anneal, places)
    candidates = random.permutation(np.flatnonzero(sample.in_candidate_N))
    seen = np.isin(candidates, np.concatenate([stable, kept]))
    others = candidates % settings.seeds != seed % settings.seeds
    mixed = anneal.copy()
    mixed[places] = np.resize(candidates[np.lexsort((others, seen))], len(places))
    return Order(*(chunks.reshape(-1, settings.batch) for chunks in (stable, anneal, mixed)))


def train_pair(sample: Sample, settings: Settings, seed: int) -> Pair:
    """The stable phase, then both anneals from its end."""
    trainer = Trainer(settings.model, OptimizerSettings(), seed)
    order = draw_order(sample, settings, seed)
    rows = _train(trainer, sample, settings, seed, "stable", order.stable)
    branch = trainer.state()
    num_evaluated = 0
    for arm, batches in zip(ARMS, (order.base, order.candidate)):
        trainer.restore(branch)
        rows += _train(trainer, sample, settings, seed, arm, batches)
        final = _measure(trainer, sample)
        rows += [(arm, seed, trainer.num_steps, measure, value) for measure, value in final.items()]
        points = sum(measure == "reference" and at == arm for at, _, _, measure, _ in rows)
        num_evaluated += points * sample.reference_RC.size + sample.passages_PKL.size
        num_evaluated += sum(chunks.size for _, chunks in sample.general)
    num_chunks = sum(batches.size for batches in (order.stable, order.base, order.candidate))
    return Pair(rows, trainer.num_parameters, num_chunks * settings.model.context, num_evaluated)


def _run(sample: Sample, settings: Settings, move: Callable[[int], None], processes: int) -> tuple[list[Pair], float]:
    """The pairs of all seeds, and the CPU seconds of other processes."""
    seeds = range(settings.seeds)
    each = settings.steps // settings.seeds
    pairs: list[Pair] = []
    if processes == 1:
        for seed in seeds:
            pairs.append(train_pair(sample, settings, seed))
            move(each * len(pairs))
        return pairs, 0.0
    with Workers(processes, cpu_s=WORKER_CPU_S, memory_bytes=WORKER_BYTES, chunk_items=1) as workers:
        for pair in workers.map(functools.partial(_train_pair_in_worker, sample, settings), seeds):
            if isinstance(pair, Died):
                raise RuntimeError(f"verification {settings.name}: a worker {pair.reason} ({pair.detail})")
            pairs.append(pair)
            move(each * len(pairs))
        return pairs, workers.cpu_s


def _train_pair_in_worker(sample: Sample, settings: Settings, seed: int) -> Pair:
    # Torch starts threads when imported, after which nothing can be forked: so here, in each worker.
    set_environment()
    import torch

    torch.set_num_threads(1)
    return train_pair(sample, settings, seed)


def _train(
    trainer: Trainer, sample: Sample, settings: Settings, seed: int, arm: str, batches: Indices
) -> list[tuple[str, int, int, str, float]]:
    """Train on the batches, and note the mean training loss and, in an anneal, the reference loss on the way."""
    rows: list[tuple[str, int, int, str, float]] = []
    losses: list[float] = []
    every = max(1, len(batches) // settings.evaluations)

    def note(measure: str, value: float) -> None:
        rows.append((arm, seed, trainer.num_steps, measure, round(value, 4)))

    for done, batch in enumerate(batches):
        if arm in ARMS and done % every == 0 and len(batches) - done >= every:
            note("reference", float(trainer.token_losses(sample.reference_RC).mean()))
        rate = wsd(trainer.num_steps, settings.warmup, settings.stable, settings.anneal, settings.peak_lr)
        losses.append(trainer.step(sample.chunks_NC[batch], rate))
        if len(losses) == every or done == len(batches) - 1:
            note("train", float(np.mean(losses)))
            losses = []
    return rows


def _measure(trainer: Trainer, sample: Sample) -> dict[str, float]:
    """The measures at the end of an anneal, by their names in `verification_curves`."""
    by_domain = {domain: float(trainer.token_losses(chunks).mean()) for domain, chunks in sample.general}
    num_passages, num_options, length = sample.passages_PKL.shape
    losses = trainer.token_losses(sample.passages_PKL.reshape(-1, length))[:, -(length - length // 2) :].mean(axis=1)
    losses_PK = losses.reshape(num_passages, num_options)
    measures = {
        "reference": float(trainer.token_losses(sample.reference_RC).mean()),
        "general": float(np.mean(list(by_domain.values()))),
        "accuracy": float((losses_PK[:, 0] < losses_PK[:, 1:].min(axis=1)).mean()),
        **{f"domain:{domain}": loss for domain, loss in by_domain.items()},
    }
    return {name: round(value, 4) for name, value in measures.items()}


def _paired(curves: pl.DataFrame, measure: str, one_passage: float) -> Difference:
    """The gain of the candidate at the end of the anneal."""
    last = curves.filter((pl.col("measure") == measure) & (pl.col("step") == pl.col("step").max()))
    base, candidate = (last.filter(pl.col("arm") == arm).sort("seed")["value"].to_numpy() for arm in ARMS)
    if measure == "accuracy":
        return difference(candidate - base, one_passage)
    return difference(base - candidate)


def _describe(found: dict[str, Difference], reasons: list[str], settings: Settings) -> str:
    parts = [f"{name} gain {gain.gain:+.4f} ± {gain.error:.4f}" for name, gain in found.items()]
    measured = f"{', '.join(parts)} ({settings.seeds} seeds)"
    if not settings.gates:
        return f"{TOO_SMALL}; {measured}"
    if reasons:
        return f"refused: {'; '.join(reasons)}; {measured}"
    return f"not clearly worse; {measured}"


__all__ = [
    "DEFAULT",
    "LARGE",
    "SMOKE",
    "Data",
    "Settings",
    "TooLittle",
    "Verified",
    "assemble",
    "loss_curves",
    "verify",
]

"""One small training run under a mixture policy, for `benchmarks.ado`: the texts as bytes, a model of 0.12 million
parameters, and what it has learnt of each domain in the end.

Domains: the largest of the texts' own, one nobody can learn (random bytes) and one that is learnt late (random bytes,
again and again: nothing falls before the model has found out how to copy). Every seed has its
own initial weights, draws and split of the documents; arms of one seed differ by the policy alone.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import numpy as np
import polars as pl

from algorithms.learning_rates import wsd
from algorithms.mixture_policy import MixturePolicy
from algorithms.packing import Tokens, pack
from algorithms.variable_projection import Floats
from resources.trainer import ModelSettings, OptimizerSettings, Trainer

UNLEARNABLE: Final = "random bytes"
LATE: Final = "repeats"
HELD_OUT: Final = "held out"
# Natural shares of the two made domains; the texts share the rest by their size.
MADE: Final = {UNLEARNABLE: 0.10, LATE: 0.05}
TEXT_DOMAINS: Final = 4
MAX_DOMAIN_CHARS: Final = 8_000_000
CONTEXT: Final = 128
REPEATED: Final = 32
BATCH: Final = 16
SEPARATOR: Final = 256
PEAK_RATE: Final = 4e-3
WARMUP_SHARE: Final = 1 / 16
DECAY_SHARE: Final = 0.2
MEASURED_CHUNKS: Final = 96


@dataclass(frozen=True)
class Texts:
    """What is trained on, by domain, and a domain that is not."""

    domains: Mapping[str, pl.Series]
    held_out: pl.Series

    @property
    def prior(self) -> dict[str, float]:
        """Natural shares: of characters, a large domain's cut, beside the made domains'."""
        sizes = {name: min(int(own.str.len_chars().sum()), MAX_DOMAIN_CHARS) for name, own in self.domains.items()}
        left = 1 - sum(MADE.values())
        return {name: left * size / sum(sizes.values()) for name, size in sizes.items()} | MADE


@dataclass(frozen=True)
class Arm:
    """A policy and its target; `pilot` names the arm whose shares, of another seed, are replayed."""

    name: str
    policy: str
    target: str = "mean"
    pilot: str | None = None


@dataclass
class Run:
    """What came of a run: losses of held-out chunks by domain, costs, and the way there."""

    arm: str
    seed: int
    losses: dict[str, float]
    average_shares: dict[str, float]
    policy_cpu_s: float
    cpu_s: float
    flops: float
    weights: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    curve: dict[str, list[tuple[int, float]]] = field(default_factory=dict)  # tokens, loss of the batch's share


@lru_cache(maxsize=2)
def _chunks(key: int, seed: int, num_chunks: int) -> tuple[dict[str, Tokens], dict[str, Tokens]]:
    """Chunks to train on and to measure by, by domain; no document gives to both."""
    texts = _TEXTS[key]
    random = np.random.default_rng([seed, 1])
    train, measured = {}, {}
    for name, own in [*texts.domains.items(), (HELD_OUT, texts.held_out)]:
        order = random.permutation(len(own))
        apart = max(1, len(own) // 10)
        measured[name] = _packed(own.gather(order[:apart]), MEASURED_CHUNKS, random)
        train[name] = _packed(own.gather(order[apart:]), num_chunks, random)
    del train[HELD_OUT]
    for number, made in ((num_chunks, train), (MEASURED_CHUNKS, measured)):
        made[UNLEARNABLE] = random.integers(0, 256, (number, CONTEXT + 1)).astype(np.int32)
        once = random.integers(0, 256, (number, REPEATED)).astype(np.int32)
        made[LATE] = np.tile(once, CONTEXT // REPEATED + 1)[:, : CONTEXT + 1]
    return train, measured


_TEXTS: dict[int, Texts] = {}


def use(texts: Texts) -> None:
    """The texts of this process's runs."""
    _TEXTS[0] = texts
    _chunks.cache_clear()


def _packed(texts: pl.Series, number: int, random: np.random.Generator) -> Tokens:
    """At most so many chunks of the texts' bytes, in a random order."""
    documents = [np.frombuffer(text.encode(), np.uint8).astype(np.int32) for text in texts.head(20 * number)]
    chunks = pack(documents, CONTEXT + 1, SEPARATOR)
    return chunks[random.permutation(len(chunks))[:number]]


def policy_of(arm: Arm, prior: Mapping[str, float], steps: int, shares: Mapping[str, float] | None) -> MixturePolicy:
    """The arm's policy: it learns from a sixth of the run on, ten times until the rate decays."""
    decay_from = round(steps * (1 - DECAY_SHARE))
    warmup = steps // 6
    return MixturePolicy(
        list(prior),
        prior,
        arm.policy,
        arm.target,
        warmup_steps=warmup,
        fit_every=max(1, (decay_from - warmup) // 10),
        decay_from=decay_from,
        shares=shares,
    )


def train(arm: Arm, seed: int, steps: int, shares: Mapping[str, float] | None = None) -> Run:
    """Train a new model for so many steps; the domains of each batch are drawn by the policy's weights."""
    import torch

    torch.set_num_threads(1)
    prior = _TEXTS[0].prior
    train_chunks, measured = _chunks(0, seed, steps * BATCH)
    mixing = policy_of(arm, prior, steps, shares)
    trainer = Trainer(ModelSettings(vocab=257, context=CONTEXT, width=64), OptimizerSettings(), seed)
    random = np.random.default_rng([seed, 2])
    places = dict.fromkeys(prior, 0)
    run = Run(arm.name, seed, {}, {}, 0.0, 0.0, 6.0 * trainer.num_parameters * steps * BATCH * CONTEXT)
    weights, start = mixing.weights, time.process_time()
    warmup, decay = round(steps * WARMUP_SHARE), round(steps * DECAY_SHARE)
    run.curve = {name: [] for name in prior}
    for step in range(steps):
        counts = _draw(weights, random)
        batch = []
        for name, count in counts.items():
            own = train_chunks[name]
            batch.append(own[(places[name] + np.arange(count)) % len(own)])
            places[name] += count
        rate = wsd(step, warmup, steps - warmup - decay, decay, PEAK_RATE)
        losses = trainer.step_losses(np.concatenate(batch), rate)
        ends = np.cumsum([0, *counts.values()])
        means = {name: float(losses[a:b].mean()) for name, a, b in zip(counts, ends, ends[1:])}
        before = time.process_time()
        weights = mixing.update(means, {name: count * CONTEXT for name, count in counts.items()})
        run.policy_cpu_s += time.process_time() - before
        for name, loss in means.items():
            run.curve[name].append(((step + 1) * BATCH * CONTEXT, loss))
        if step % max(1, steps // 50) == 0:
            run.weights.append((step, weights))
    run.cpu_s = time.process_time() - start
    run.average_shares = mixing.average_shares
    run.losses = {name: float(trainer.chunk_losses(chunks).mean()) for name, chunks in measured.items()}
    return run


def _draw(weights: Mapping[str, float], random: np.random.Generator) -> dict[str, int]:
    """Chunks of a batch by domain; those with none are left out."""
    share_K: Floats = np.array(list(weights.values()))
    drawn_K = random.multinomial(BATCH, share_K / share_K.sum())
    return {name: int(count) for name, count in zip(weights, drawn_K) if count}

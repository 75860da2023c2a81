"""A stage of the reference training: the drawn documents as chunks by domain, and the steps that train on them.

In: texts of the stage's draw, in order, by domain. Out: a report of every step, with the loss of each domain and the
mixture where it changed. Documents train once, in the order of their draw. Which domain a chunk is taken from follows
the mixture's weights by largest deficit: after n chunks each domain has had n times its weight, to within one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
import polars as pl

from algorithms.learning_rates import wsd
from algorithms.packing import Tokens, pack
from resources.trainer import ModelSettings, Trainer
from resources.training_data import END_ID, encode

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# A weight that moved less since the last row of `mixtures` is not worth a row.
WEIGHT_CHANGE: Final = 0.01
# Steps of one run: a rate that has warmed up stays, since nobody knows how many stages there will be.
FOREVER: Final = 1 << 60


@dataclass(frozen=True, slots=True)
class Settings:
    """One stage of the reference run: at most `steps` steps of `batch` chunks, over all stages `warmup` of them."""

    name: str
    steps: int
    warmup: int
    batch: int = 16
    peak_lr: float = 4e-3
    # Steps between two looks of the mixture policy at the losses.
    fit_every: int = 200
    seed: int = 0
    model: ModelSettings = field(default_factory=lambda: ModelSettings(vocab=2048, context=128))

    @property
    def tokens(self) -> int:
        """Tokens of the stage."""
        return self.steps * self.batch * self.model.context


SMOKE: Final = Settings("smoke", steps=150, warmup=20, fit_every=50)
DEFAULT: Final = Settings("default", steps=2_000, warmup=100)


class Mixture(Protocol):
    """What sets the domains' weights as the losses come (algorithms/mixture_policy.py)."""

    def update(self, losses: Mapping[str, float], counts: Mapping[str, int]) -> dict[str, float]:
        """The weights from here on, by the losses of this step and the tokens seen of each domain in it."""


@dataclass(frozen=True, slots=True)
class Report:
    """A step: losses [nats a token] and tokens of the domains in its batch, and the weights where they changed."""

    step: int
    lr: float
    losses: dict[str, tuple[int, float]]
    weights: dict[str, float] | None


class TooLittle(ValueError):  # noqa: N818 - it is what the lake has, not what went wrong
    """The draw holds less text than one batch."""


def chunks_of(texts: pl.DataFrame, tokenizer: Tokenizer, settings: Settings) -> dict[str, Tokens]:
    """Chunks [num_chunks, context + 1] by domain; `texts` [domain, text] in the order of the draw."""
    length = settings.model.context + 1
    found = {
        str(domain): pack(encode(tokenizer, rows["text"]), length, END_ID)
        for (domain,), rows in texts.group_by("domain", maintain_order=True)
    }
    return {domain: chunks for domain, chunks in sorted(found.items()) if len(chunks)}


def shares(chunks: Mapping[str, Tokens]) -> dict[str, float]:
    """Each domain's share of the chunks: the draw's own mixture."""
    total = sum(len(found) for found in chunks.values())
    return {domain: len(found) / total for domain, found in chunks.items()}


def steps_of(chunks: Mapping[str, Tokens], settings: Settings) -> int:
    """Steps that the stage will take: until no full batch is left, at most `settings.steps`."""
    return min(settings.steps, sum(len(found) for found in chunks.values()) // settings.batch)


def train_stage(
    trainer: Trainer, chunks: Mapping[str, Tokens], settings: Settings, mixture: Mixture
) -> Iterator[Report]:
    """Train on the chunks, a report a step, until `settings.steps` or until no full batch is left.

    Raises:
        TooLittle: less than one batch of chunks.
        FloatingPointError: the training diverged.
    """
    total = sum(len(found) for found in chunks.values())
    if total < settings.batch:
        raise TooLittle(
            f"the draw makes {total} chunks of {settings.model.context} tokens; a batch has {settings.batch}"
        )
    weights = told = shares(chunks)
    taken = dict.fromkeys(chunks, 0)
    owed = dict.fromkeys(chunks, 0.0)
    for number in range(steps_of(chunks, settings)):
        domains = []
        for _ in range(settings.batch):
            left = [domain for domain in chunks if taken[domain] < len(chunks[domain])]
            scale = sum(weights[domain] for domain in left) or 1.0
            for domain in left:
                owed[domain] += weights[domain] / scale
            chosen = max(left, key=lambda domain: owed[domain])
            owed[chosen] -= 1.0
            domains.append((chosen, taken[chosen]))
            taken[chosen] += 1
        batch_BC = np.stack([chunks[domain][at] for domain, at in domains])
        lr = wsd(trainer.num_steps, settings.warmup, FOREVER, 0, settings.peak_lr)
        losses_B = trainer.step_losses(batch_BC, lr)
        losses = by_domain([domain for domain, _ in domains], losses_B, settings.model.context)
        weights = mixture.update(
            {domain: loss for domain, (_, loss) in losses.items()},
            {domain: tokens for domain, (tokens, _) in losses.items()},
        )
        moved = number == 0 or max(abs(weights[domain] - told[domain]) for domain in weights) > WEIGHT_CHANGE
        told = weights if moved else told
        yield Report(trainer.num_steps, lr, losses, dict(weights) if moved else None)


def by_domain(domains: list[str], losses_B: np.ndarray, tokens: int) -> dict[str, tuple[int, float]]:
    """Tokens and mean loss of each domain in a batch, domains sorted; a chunk has `tokens` of them.

    >>> by_domain(["b", "a", "b"], np.array([1.0, 2.0, 3.0]), 10)
    {'a': (10, 2.0), 'b': (20, 2.0)}
    """
    return {
        name: (
            tokens * domains.count(name),
            float(np.mean([loss for domain, loss in zip(domains, losses_B, strict=True) if domain == name])),
        )
        for name in sorted(set(domains))
    }

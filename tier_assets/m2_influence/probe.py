"""Probes chunks on a training model's state: how the mean loss of a reference changes if the model trains on one more.

In: a trainer at a checkpoint, chunks of token ids, a reference, the learning rate of the step. Out: an effect a chunk,
in nats a token; below 0 the chunk helps. `algorithms/influence_probes.py` has the equations and sources. Weights,
optimizer state and step are as before afterwards, also after an error; memory is bounded by a batch and copies of the
weights.

Cost, in forward passes of a chunk, for a reference of R chunks: a true probe R + 3 and an optimizer step; a first-order
one 1.7 (two over 85% of the tokens), and once 3R for the reference's gradient.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from algorithms.influence_probes import LENGTH, direction, norm, read, slopes
from algorithms.packing import Tokens
from resources.trainer import State, Trainer

Kind = Literal["first_order", "true"]
KINDS: Final = get_args(Kind)
Effects = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Probed:
    """`effect_N`: change of the mean reference loss, nats a token, below 0 helps; `step_length`: how far the weights
    were moved, their Euclidean distance (of true probes the mean)."""

    effect_N: Effects
    step_length: float
    flops: float
    cpu_s: float


def probe(trainer: Trainer, chunks_NC: Tokens, reference_RC: Tokens, lr: float, kind: Kind) -> Probed:
    """Probe each chunk by `kind`: `true` takes the step, `first_order` estimates what it would do.

    A first-order probe of a trainer without moments (a checkpoint without optimizer state) takes the plain gradient's
    direction, as plain gradient descent would; a true one makes AdamW's first step.

    Raises:
        ValueError: no reference, a learning rate that is not above 0, an unknown kind, tokens outside the model's
            vocabulary or more than its context, or a reference without a gradient.
        FloatingPointError: a probe is not a number; it names the chunk's place.
    """
    _check(trainer, chunks_NC, reference_RC, lr, kind)
    began = time.process_time()
    before = trainer.state()
    try:
        run = _true if kind == "true" else _first_order
        effect_N, length = run(trainer, before, chunks_NC, reference_RC, lr)
    finally:
        trainer.restore(before)
    flops = _flops(trainer.num_parameters, chunks_NC, reference_RC, kind)
    return Probed(effect_N, length, flops, time.process_time() - began)


def _true(trainer: Trainer, before: State, chunks_NC: Tokens, reference_RC: Tokens, lr: float) -> tuple[Effects, float]:
    old = [weights.detach().clone() for weights in trainer.weights]
    loss = float(trainer.chunk_losses(reference_RC).mean())
    effect_N, length_N = np.empty(len(chunks_NC)), np.empty(len(chunks_NC))
    for place, chunk in enumerate(chunks_NC):
        try:
            trainer.step(chunk[None], lr)
        except FloatingPointError as error:
            raise FloatingPointError(f"the true probe of chunk {place} diverges: {error}") from error
        effect_N[place] = trainer.chunk_losses(reference_RC).mean() - loss
        length_N[place] = norm([new.detach() - weights for new, weights in zip(trainer.weights, old, strict=True)])
        trainer.restore(before)
    _finite(effect_N, "true")
    return effect_N, float(length_N.mean()) if len(length_N) else 0.0


def _first_order(
    trainer: Trainer, before: State, chunks_NC: Tokens, reference_RC: Tokens, lr: float
) -> tuple[Effects, float]:
    size = norm(trainer.weights)
    if not np.isfinite(size):
        raise FloatingPointError("a weight is not a number; the checkpoint has diverged")
    moments, share = None, trainer.momentum
    if trainer.has_moments:
        moments = trainer.second_moments()
        trainer.coast(lr)
    along = direction(trainer.gradient(reference_RC), moments)
    trainer.restore(before)
    if not np.isfinite(norm(along)):
        raise FloatingPointError("the gradient of the reference is not a number; the checkpoint has diverged")
    read_NC = chunks_NC[:, : read(chunks_NC.shape[1])]
    slope_N = slopes(lambda: trainer.chunk_losses(read_NC), trainer.weights, along)
    effect_N = -lr * share * slope_N
    _finite(effect_N, "first-order")
    return effect_N, LENGTH * size


def _check(trainer: Trainer, chunks_NC: Tokens, reference_RC: Tokens, lr: float, kind: str) -> None:
    if kind not in KINDS:
        raise ValueError(f"unknown kind of probe {kind!r}; known: {KINDS}")
    if not len(reference_RC):
        raise ValueError("a probe needs at least one chunk of reference")
    if not lr > 0:
        raise ValueError(f"a probe's learning rate is above 0, not {lr:g}")
    config = trainer.model.config
    longest = getattr(config, "max_position_embeddings", None) or chunks_NC.shape[1]
    for name, tokens in (("chunks", chunks_NC), ("chunks of the reference", reference_RC)):
        if not 2 <= tokens.shape[1] <= longest + 1:
            raise ValueError(f"the {name} have {tokens.shape[1]} tokens each; from 2 to {longest + 1} fit the model")
        if tokens.size and not 0 <= int(tokens.min()) <= int(tokens.max()) < config.vocab_size:
            raise ValueError(
                f"the {name} hold token {int(tokens.max())}, the model has {config.vocab_size}: "
                "another tokenizer made them"
            )


def _finite(effect_N: Effects, kind: str) -> None:
    wrong = np.flatnonzero(~np.isfinite(effect_N))
    if len(wrong):
        raise FloatingPointError(f"the {kind} probe of chunk {wrong[0]} diverges: {effect_N[wrong[0]]}")


def _flops(num_parameters: int, chunks_NC: Tokens, reference_RC: Tokens, kind: Kind) -> float:
    """2 a parameter and token forward, 6 with its gradient."""
    length = chunks_NC.shape[1]
    reference = float(num_parameters) * reference_RC[:, 1:].size
    if kind == "true":
        return 6.0 * num_parameters * len(chunks_NC) * (length - 1) + 2 * reference * (len(chunks_NC) + 1)
    return 4.0 * num_parameters * len(chunks_NC) * (read(length) - 1) + 6 * reference


__all__ = ["KINDS", "Kind", "Probed", "probe"]

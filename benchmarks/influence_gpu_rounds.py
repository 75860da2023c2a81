"""The rounds of `benchmarks/influence_gpu.py`: what an arm draws, what that costs, and how it trains on it.

In: chunks of token ids (`Data`), a checkpoint. Out: `Piece`, losses along the way and FLOPs by purpose. The selection
algorithms are the project's (`algorithms/`), over counts of tokens and token pairs; the influence model is its linear
one, on the same counts and the domain. Needs numpy, scipy and torch: no text is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.stats import spearmanr

from algorithms import cynical_selection, importance_resampling
from algorithms.gumbel_top_k import gumbel_top_k
from algorithms.packing import Tokens
from resources.trainer import ModelSettings, Trainer
from tier_assets.m2_influence.probe import probe

Values = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]
# Training FLOPs of the piece so far, losses by kind/name.
Point = tuple[float, dict[str, float]]
# Seed, arm, round.
Place = tuple[int, str, int]

START: Final = "warm-up"
RANDOM: Final = "random"
ARMS: Final = (
    RANDOM,
    "domain_matched",
    "dsir",
    "cynical",
    "influence",
    "influence_hidden",
    "cynical_influence",
)
INFLUENCE: Final = ("influence", "influence_hidden", "cynical_influence")
HIDDEN: Final = "influence_hidden"
ROUNDS: Final = 3
BUCKETS: Final = 1 << 16
# A draw's own: temperatures of DSIR as published and of influence, weight of influence beside gains, a domain's quota.
TEMPERATURE: Final = 1.0
INFLUENCE_TEMPERATURE: Final = 0.5
INFLUENCE_WEIGHT: Final = 0.5
QUOTA: Final = 0.5
RIDGES: Final = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
# As in the project's hidden ridge: squared length of the states beside that of the n-grams.
STATES_WEIGHT: Final = 10.0
# A token and its pair, a multiplication and an addition each.
COUNT_FLOPS: Final = 4.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Chunks asked for, shares of the pool that the warm-up and each round draw, passes over what was drawn; `labels`
    and `audited` a round, `reference` chunks that a probe measures on, `points` measured a piece."""

    model: ModelSettings
    pool: int
    share: float
    passes: int
    batch: int
    lr: float
    ramp_steps: int
    labels: int
    audited: int
    reference: int
    points: int


# 35.6 million parameters. Up to four passes repeated text is worth nearly what new text is (arXiv 2305.16264).
GPU: Final = Settings(ModelSettings(8192, 512, 512, 10, 8), 24_000, 1 / 8, 4, 32, 1e-3, 100, 2_000, 100, 64, 6)
TOY: Final = Settings(ModelSettings(300, 8, 16, 1, 2), 1_400, 1 / 8, 2, 16, 4e-3, 4, 60, 4, 8, 2)
SIZES: Final = {"gpu": GPU, "toy": TOY}


@dataclass(frozen=True)
class Data:
    """Chunks of the pool with their domains, of the target that selection reads, and of what measures (kind/name)."""

    version: str
    chunks_NC: Tokens
    groups_N: Positions
    domains: list[str]
    target_RC: Tokens
    measured: Mapping[str, Tokens]

    @cached_property
    def counts(self) -> sparse.csr_matrix:
        """Of the pool's chunks."""
        return counted(self.chunks_NC)

    @cached_property
    def target_H(self) -> Values:  # noqa: N802 - the axis
        """Of the target."""
        return importance_resampling.totals([counted(self.target_RC)])


@dataclass(frozen=True, slots=True)
class Piece:
    """What one (arm, round) drew, took and measured: `flops` of choosing by purpose, `curve` by training FLOPs of the
    piece, `seconds` of the whole work."""

    seed: int
    arm: str
    round: int
    drawn: list[int]
    flops: dict[str, float]
    curve: list[Point]
    parameters: int
    device: str
    figures: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0


def load(file: Path) -> Data:
    """What `prepare` wrote."""
    with np.load(file, allow_pickle=False) as found:
        arrays = {name: found[name] for name in found.files}
    groups, domains = arrays.pop("groups").astype(np.int64), arrays.pop("domains").tolist()
    chunks = {name: array.astype(np.int32) for name, array in arrays.items()}
    version = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    return Data(version, chunks.pop("pool"), groups, domains, chunks.pop("target"), chunks)


def counted(chunks_NC: Tokens) -> sparse.csr_matrix:
    """Counts of tokens and pairs, hashed [N, BUCKETS]. `algorithms.ngram_counts` reads texts too, for which it needs
    polars."""
    ids = chunks_NC.astype(np.uint64) + np.uint64(1)
    pairs = ids[:, :-1] * np.uint64(0x9E3779B97F4A7C15) + ids[:, 1:]
    hashed = np.concatenate([ids, pairs], axis=1) * np.uint64(0xD6E8FEB86659FD93)
    buckets = ((hashed ^ (hashed >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)) >> np.uint64(48)
    starts = np.arange(len(ids) + 1) * hashed.shape[1]
    values = np.ones(hashed.size, np.float32)
    matrix = sparse.csr_matrix((values, buckets.astype(np.int32).ravel(), starts), shape=(len(ids), BUCKETS))
    matrix.sum_duplicates()
    return matrix


def ridge(rows: sparse.csr_matrix, labels_N: Values) -> tuple[Values, Values]:
    """Weights [columns] of a ridge regression, and what it says of each row without that row [N]; of RIDGES the one
    whose errors there are least. By the kernel's eigenvectors: labels are few, columns many."""
    values, vectors = np.linalg.eigh((rows @ rows.T).toarray().astype(np.float64))
    values, along = np.maximum(values, 0.0), vectors.T @ labels_N
    best: tuple[float, Values, Values] | None = None
    for strength in RIDGES:
        shrunk = values / (values + strength)
        left_N = (labels_N - vectors @ (shrunk * along)) / (1 - np.square(vectors) @ shrunk)
        error = float(np.square(left_N).mean())
        if best is None or error < best[0]:
            best = error, rows.T @ (vectors @ (along / (values + strength))), labels_N - left_N
    assert best is not None
    return best[1], best[2]


def influence(
    trainer: Trainer, data: Data, left: Positions, settings: Settings, hidden: bool, random: np.random.Generator
) -> tuple[Values, dict[str, float], dict[str, float]]:
    """The predicted influence of every chunk, 0 of those not `left`, standardised; FLOPs and figures."""
    rows = random.permutation(left)[: settings.labels]
    reference = data.target_RC[: settings.reference]
    cheap = probe(trainer, data.chunks_NC[rows], reference, settings.lr, "first_order")
    true = probe(trainer, data.chunks_NC[rows[: settings.audited]], reference, settings.lr, "true")
    design = _design(data, left, trainer.hidden_means(data.chunks_NC[left]) if hidden else None)
    place_N = np.zeros(len(data.chunks_NC), np.int64)
    place_N[left] = np.arange(len(left))
    labels_N = -(cheap.effect_N - cheap.effect_N.mean()) / max(float(cheap.effect_N.std()), 1e-300)
    # Far labels drawn in, as the project's influence models do.
    weights, unseen_N = ridge(design[place_N[rows]], np.arcsinh(labels_N))
    predicted_N = np.zeros(len(data.chunks_NC))
    predicted_N[left] = _standardised(design @ weights)
    forward = 2.0 * trainer.num_parameters * data.chunks_NC[left][:, 1:].size if hidden else 0.0
    flops = {
        "probes": cheap.flops,
        # Eigenvectors of a symmetric matrix take some 9 n^3.
        "fit": 9.0 * len(rows) ** 3,
        "predict": 2.0 * design.nnz + forward,
        "audit": true.flops,
    }
    figures = {
        "Spearman of audit": float(spearmanr(cheap.effect_N[: len(true.effect_N)], true.effect_N)[0]),
        "Spearman of model, left out": float(spearmanr(unseen_N, labels_N)[0]),
        "step length of audit": true.step_length,
    }
    return predicted_N, flops, figures


def _design(data: Data, left: Positions, hidden_ND: npt.NDArray[np.float32] | None) -> sparse.csr_matrix:
    """N-grams, domain and states of the chunks, each block with rows of a mean squared length of its weight."""
    counts = data.counts[left].astype(np.float64)
    counts = counts * float(1 / np.sqrt(counts.multiply(counts).sum() / len(left)))
    own = sparse.csr_matrix(data.groups_N[left][:, None] == np.arange(len(data.domains))[None, :], dtype=np.float64)
    blocks = [counts, own]
    if hidden_ND is not None:
        states = hidden_ND.astype(np.float64)
        scale = np.sqrt(STATES_WEIGHT / states.shape[1]) / np.maximum(states.std(axis=0), 1e-9)
        blocks.append(sparse.csr_matrix((states - states.mean(axis=0)) * scale))
    return sparse.hstack(blocks, format="csr")


def _standardised(values: Values) -> Values:
    centred: Values = values - values.mean()
    return centred / max(float(centred.std()), 1e-300)


def draw(
    arm: str, data: Data, seen: Positions, num: int, influence_N: Values | None, random: np.random.Generator
) -> Positions:
    """`num` chunks that were not seen, by the arm's rule."""
    open_N = np.ones(len(data.chunks_NC), dtype=bool)
    open_N[seen] = False
    left = np.flatnonzero(open_N)
    if arm == RANDOM:
        return random.permutation(left)[:num]
    if arm == "dsir":
        ratios_H = importance_resampling.log_ratios(data.target_H, importance_resampling.totals([data.counts[left]]))
        weight_N = importance_resampling.log_weights([data.counts[left]], ratios_H)
        return left[gumbel_top_k(weight_N, num, TEMPERATURE, random)]
    if arm in ("influence", HIDDEN):
        assert influence_N is not None
        return left[gumbel_top_k(influence_N[left], num, INFLUENCE_TEMPERATURE, random)]
    tokens_N = np.full(len(open_N), data.chunks_NC.shape[1] - 1)
    pool = cynical_selection.Pool([data.counts], np.arange(len(open_N)), tokens_N, data.groups_N, open_N)
    seen_H = cynical_selection.counts_of(pool, seen)
    target_H = cynical_selection.mixed_target([data.target_H], [1.0])
    how, correction_N = cynical_selection.Settings(), None
    if arm == "cynical_influence":
        assert influence_N is not None
        how = cynical_selection.Settings(quota=QUOTA)
        gain_N = _standardised(cynical_selection.gains(pool, target_H / (seen_H + how.floor))[left])
        correction_N = np.zeros(len(open_N))
        # What of the influence is no linear function of the gain.
        rest_N = influence_N[left] - float(gain_N @ influence_N[left]) / len(left) * gain_N
        correction_N[left] = INFLUENCE_WEIGHT * _standardised(rest_N)
    chosen = cynical_selection.select(pool, float(num * tokens_N[0]), target_H, seen_H, how, correction_N).positions
    if arm != "domain_matched":
        return chosen
    order, wanted = random.permutation(left), np.bincount(data.groups_N[chosen], minlength=len(data.domains))
    parts = [order[data.groups_N[order] == group][:size] for group, size in enumerate(wanted)]
    return random.permutation(np.concatenate(parts))


def train(
    trainer: Trainer, data: Data, drawn: Positions, settings: Settings, random: np.random.Generator
) -> list[Point]:
    """Train on the chunks, `passes` times in new orders; the curve."""
    order = np.concatenate([random.permutation(drawn) for _ in range(settings.passes)])
    steps = len(order) // settings.batch
    marks = {round(steps * (number + 1) / settings.points) for number in range(settings.points)}
    flops = 6.0 * trainer.num_parameters * settings.batch * settings.model.context
    curve = []
    for step in range(1, steps + 1):
        rate = settings.lr * min(1.0, (trainer.num_steps + 1) / settings.ramp_steps)
        trainer.step(data.chunks_NC[order[(step - 1) * settings.batch : step * settings.batch]], rate)
        if step in marks:
            losses = {name: round(float(trainer.chunk_losses(sets).mean()), 5) for name, sets in data.measured.items()}
            curve.append((step * flops, losses))
    return curve


def begun(data: Data, settings: Settings, seed: int, trainer: Trainer) -> Piece:
    """Train `trainer` on a random share of the pool: where all arms of the seed start."""
    random = np.random.default_rng([seed, 0])
    drawn = random.permutation(len(data.chunks_NC))[: drawn_chunks(data, settings)]
    curve = train(trainer, data, drawn, settings, random)
    tokens = float(data.chunks_NC[:, 1:].size)
    figures = {"context": settings.model.context, "passes": settings.passes, "pool tokens": tokens}
    return _piece(trainer, (seed, START, 0), drawn, {}, curve, figures)


def gone_on(data: Data, settings: Settings, place: Place, trainer: Trainer, seen: Positions) -> Piece:
    """The next round of an arm: draw, and train on it. `seen` was drawn before."""
    seed, arm, number = place
    # The same generator for all arms: they label the same chunks where they can.
    random = np.random.default_rng([seed, number])
    left = np.setdiff1d(np.arange(len(data.chunks_NC)), seen)
    influence_N: Values | None = None
    flops: dict[str, float] = {}
    figures: dict[str, float] = {}
    if arm in INFLUENCE:
        influence_N, flops, figures = influence(trainer, data, left, settings, arm == HIDDEN, random)
    if arm not in (RANDOM, "influence", HIDDEN):
        passes = 1 if arm == "dsir" else cynical_selection.ROUNDS
        flops["select"] = COUNT_FLOPS * passes * data.chunks_NC[:, 1:].size
    drawn = draw(arm, data, seen, drawn_chunks(data, settings), influence_N, random)
    figures |= {f"share of {name}": share for name, share in _mix(data, drawn).items()}
    curve = train(trainer, data, drawn, settings, random)
    return _piece(trainer, place, drawn, flops, curve, figures)


def drawn_chunks(data: Data, settings: Settings) -> int:
    """Chunks that the warm-up and each round draw.

    Raises:
        ValueError: the pool has too few for all of them.
    """
    num = round(settings.share * len(data.chunks_NC))
    if not settings.batch <= num * settings.passes or (ROUNDS + 1) * num > len(data.chunks_NC):
        raise ValueError(f"{len(data.chunks_NC)} chunks are too few for {ROUNDS + 1} draws of {settings.share:.1%}")
    return num


def _mix(data: Data, drawn: Positions) -> dict[str, float]:
    counts = np.bincount(data.groups_N[drawn], minlength=len(data.domains))
    return {name: round(float(count / len(drawn)), 4) for name, count in zip(data.domains, counts, strict=True)}


def _piece(
    trainer: Trainer,
    place: Place,
    drawn: Positions,
    flops: dict[str, float],
    curve: list[Point],
    figures: dict[str, float],
) -> Piece:
    import torch

    device = torch.cuda.get_device_name() if trainer.device.type == "cuda" else "CPU"
    return Piece(*place, drawn.tolist(), flops, curve, trainer.num_parameters, device, figures)

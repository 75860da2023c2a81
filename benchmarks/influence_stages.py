"""One seed of `benchmarks/influence.py`: the arms, and what a worker does: a start, labels, and a stage for every arm.

In: sources as a pickled file, a seed. Out: losses and costs. One thread; 14 arms take 220 CPU seconds.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from algorithms import token_residual
from benchmarks import miniature
from benchmarks.miniature import Miniature, Sources
from resources.trainer import Trainer
from tier_assets.m1_training.draw import Settings, draw
from tier_assets.m2_influence import influence_model
from tier_assets.m2_influence.influence_model import Kind
from tier_assets.m2_influence.probe import probe

LABELS: Final = 1_000
AUDITED: Final = 100
REFERENCE_CHUNKS: Final = 64
MINIATURE: Final = miniature.Settings()
NONE: Final = pl.Series("doc_id", [], dtype=pl.String)
Group = Literal["reference", "general", "evaluation"]
GROUPS: Final[tuple[Group, ...]] = ("reference", "general", "evaluation")


@dataclass(frozen=True, slots=True)
class Arm:
    """A draw, the influence model whose predictions it sees, and whether its target is what the model lacks of the
    reference. `mix_of` is another arm: random documents of its domain mix."""

    name: str
    settings: Settings
    influence: Kind | None = None
    mix_of: str | None = None
    residual: bool = False


def _arm(
    name: str,
    influence: Kind | None = None,
    mix_of: str | None = None,
    residual: bool = False,
    **settings: float | str,
) -> Arm:
    return Arm(name, Settings(**settings, control_share=0.0), influence, mix_of, residual)  # type: ignore[arg-type]


RANDOM: Final = "random"
CYNICAL: Final = "cynical, words"
INFLUENCE: Final = "influence, n-gram ridge"
QUOTA: Final = "cynical, quota"
ARMS: Final = (
    _arm(RANDOM, arm="random"),
    _arm(INFLUENCE, "ngram_ridge", arm="influence", temperature=0.0),
    _arm("influence, hidden ridge", "hidden_ridge", arm="influence", temperature=0.0),
    _arm("DSIR, words", arm="dsir", units="words"),
    _arm(CYNICAL, arm="cynical", units="words"),
    _arm("cynical", arm="cynical"),
    _arm("cynical, guard target", arm="cynical_guarded", guard_share=0.3, quota=0.0),
    _arm(QUOTA, arm="cynical_guarded"),
    _arm("cynical, quota + influence", "ngram_ridge", arm="cynical_influence"),
    _arm("cynical of the residual, quota", residual=True, arm="cynical_guarded"),
    _arm("cynical of the residual, quota + influence", "ngram_ridge", residual=True, arm="cynical_influence"),
    _arm("random, mix of influence", mix_of=INFLUENCE, arm="random"),
    _arm("random, mix of cynical, words", mix_of=CYNICAL, arm="random"),
    _arm("random, mix of cynical, quota", mix_of=QUOTA, arm="random"),
)


@dataclass(frozen=True, slots=True)
class Task:
    """A seed, the file of the pickled sources, and the names of the arms to train."""

    seed: int
    sources: Path
    arms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """Of a seed: losses after each arm's stage as `kind/name`, and `figures`: what the probes, models and draws cost
    and are worth."""

    seed: int
    losses: dict[str, dict[str, float]]
    figures: dict[str, float]


def measure(task: Task) -> Measured:
    """Make the miniature, train the common start, label, fit, predict, and draw and train every arm."""
    _one_thread()
    sources: Sources = pickle.loads(task.sources.read_bytes())
    made = miniature.make(sources, task.seed)
    trainer = miniature.warmed_up(made, task.seed)
    arms = [arm for arm in ARMS if arm.name in task.arms]
    kinds = {arm.influence for arm in ARMS if arm.influence and arm.name in needed(task.arms)}
    predicted, figures = _influence(trainer, made, sorted(kinds), task.seed)
    residual_H = token_residual.target(made.target_RC, trainer.token_losses(made.target_RC))
    figures["residual"] = 2.0 * trainer.num_parameters * made.target_RC[:, 1:].size / miniature.stage_flops(trainer)
    start = trainer.state()
    losses: dict[str, dict[str, float]] = {}
    spent = []
    for arm in arms:
        began = time.process_time()
        drawn_N = _drawn(arm, made, predicted, residual_H, task.seed)
        figures[f"select {arm.name}, CPU s"] = time.process_time() - began
        trainer.restore(start)
        began = time.process_time()
        miniature.run_stage(trainer, made.chunks_NC[drawn_N])
        spent.append(time.process_time() - began)
        losses[arm.name] = {f"{kind}/{name}": loss for (kind, name), loss in miniature.losses(trainer, made).items()}
    figures["stage CPU s"] = float(np.mean(spent))
    return Measured(task.seed, losses, figures)


def needed(names: Collection[str]) -> set[str]:
    """The named arms, and those whose mix they take."""
    return set(names) | {arm.mix_of for arm in ARMS if arm.name in names and arm.mix_of is not None}


def _drawn(
    arm: Arm, made: Miniature, predicted: dict[str, pl.Series], residual_H: npt.NDArray[np.float64], seed: int
) -> npt.NDArray[np.int64]:
    """Positions in the pool, in order."""
    if arm.mix_of is None:
        return _draw(arm, made, predicted, residual_H, seed)
    of = next(other for other in ARMS if other.name == arm.mix_of)
    return _same_mix(made.documents, _draw(of, made, predicted, residual_H, seed), seed)


def _influence(
    trainer: Trainer, made: Miniature, kinds: list[Kind], seed: int
) -> tuple[dict[str, pl.Series], dict[str, float]]:
    """Predicted influence of every document by each kind of model, and the costs as shares of the stage's FLOPs."""
    stage = miniature.stage_flops(trainer)
    rows_N = np.random.default_rng([seed, 3]).permutation(len(made.chunks_NC))[:LABELS]
    reference = made.target_RC[:REFERENCE_CHUNKS]
    cheap = probe(trainer, made.chunks_NC[rows_N], reference, MINIATURE.lr, "first_order")
    true = probe(trainer, made.chunks_NC[rows_N[:AUDITED]], reference, MINIATURE.lr, "true")
    score = -(cheap.effect_N - cheap.effect_N.mean()) / cheap.effect_N.std()
    labels = made.documents[rows_N].select("doc_id", "domain", "text").with_columns(score=pl.Series(score))
    figures = {
        "probes": cheap.flops / stage,
        "probes CPU s": cheap.cpu_s,
        "audit": true.flops / stage,
        "audit CPU s": true.cpu_s,
        "audit Spearman": _spearman(cheap.effect_N[:AUDITED], true.effect_N),
    }
    predicted: dict[str, pl.Series] = {}
    tokens = int(made.documents["num_tokens"].sum())
    figures["pool tokens / stage FLOPs"] = tokens / stage
    for kind in kinds:
        started = time.process_time()
        hidden = trainer.hidden_means(made.chunks_NC) if kind == "hidden_ridge" else None
        settings = influence_model.Settings(kind=kind)
        states = None if hidden is None else hidden[rows_N]
        fitted = influence_model.fit(labels, settings, states, tokenizer=made.tokenizer.to_str())
        texts, domains = made.documents["text"], made.documents["domain"]
        predicted[kind] = pl.Series(influence_model.load(fitted.artefact).predict(texts, domains, hidden)[0])
        asked = influence_model.predict_flops(kind, len(texts), tokens, trainer.num_parameters)
        figures |= {
            f"{kind} fit": fitted.flops / stage,
            f"{kind} predict": asked / stage,
            f"{kind} CPU s": time.process_time() - started,
            f"{kind} Spearman": fitted.spearman or 0.0,
            f"{kind} within": fitted.spearman_within or 0.0,
        }
    return predicted, figures


def _draw(
    arm: Arm, made: Miniature, predicted: dict[str, pl.Series], residual_H: npt.NDArray[np.float64], seed: int
) -> npt.NDArray[np.int64]:
    known = predicted[arm.influence] if arm.influence else pl.Series([None] * made.documents.height, dtype=pl.Float64)
    rows = draw(
        made.documents.drop("text").with_columns(influence=known),
        [made.documents.select("doc_id", "text"), made.warmup.select("doc_id", "text")],
        arm.settings,
        made.target,
        made.guard["text"],
        MINIATURE.stage * MINIATURE.model.context,
        seed,
        made.warmup["doc_id"],
        made.tokenizer,
        residual_H if arm.residual else None,
    )
    places = made.documents.select("doc_id", row=pl.int_range(pl.len()))
    return rows.join(places, on="doc_id", maintain_order="left")["row"].to_numpy()


def _same_mix(documents: pl.DataFrame, drawn_N: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.int64]:
    """Random documents, as many of each domain."""
    random = np.random.default_rng([seed, 4])
    domains = documents["domain"].to_numpy()
    names, counts = np.unique(domains[drawn_N], return_counts=True)
    parts = [random.permutation(np.flatnonzero(domains == name))[:num] for name, num in zip(names, counts, strict=True)]
    return random.permutation(np.concatenate(parts))


def _one_thread() -> None:
    from resources.torch_environment import set_environment

    set_environment()
    import torch

    torch.set_num_threads(1)


def _spearman(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    return float(np.corrcoef(one.argsort().argsort(), other.argsort().argsort())[0, 1])

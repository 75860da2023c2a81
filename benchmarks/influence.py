"""`python -m benchmarks.influence --data FOLDER` (or `--lake LAKE`): how a stage's documents are chosen, arm by arm.

One stage of the miniature (`benchmarks/miniature.py`) after a common warm-up, an arm at a time: the same model, the
same budget, other documents. Pool, reference, guards and initial weights are drawn anew by each seed; differences are
paired by seed, with their standard deviation over seeds. Lower is better. Losses are measured on chunks that no
selection read: other articles of the reference, every domain of the pool, and sets that are neither.

Arms count the model's own tokens; those marked "words" count words as published, without case and white space.

**Within domains**: an arm's reference loss against random documents of the very domain mix that the arm drew.
**Overhead**, as a share of the stage's FLOPs: probes, fitting and prediction over the pool; the audit (true probes) has
a column of its own. Of the n-gram arms it is the passes over their counts.

All settings were chosen on seeds 100 and above, the report is on 0 and above. Two worker processes of one thread each;
five seeds take 12 minutes on two free cores. Nothing is written but the picture (`--picture FILE.svg`) and `--json`.
"""

from __future__ import annotations

import argparse
import json
import pickle
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from algorithms import token_residual
from benchmarks import miniature
from benchmarks.miniature import Miniature, Sources
from resources.trainer import OptimizerSettings, State, Trainer
from resources.workers import Died, Workers
from tier_assets.m1_training.draw import Settings, draw
from tier_assets.m2_influence import influence_model
from tier_assets.m2_influence.influence_model import Kind
from tier_assets.m2_influence.probe import probe

LABELS: Final = 1_000
AUDITED: Final = 100
REFERENCE_CHUNKS: Final = 64
WORKER_CPU_S: Final = 3_600.0
WORKER_BYTES: Final = 32 << 30
MINIATURE: Final = miniature.Settings()
KINDS: Final[tuple[Kind, ...]] = ("ngram_ridge", "hidden_ridge")
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
BEST: Final = "cynical of the residual, quota + influence"
ARMS: Final = (
    _arm(RANDOM, arm="random"),
    _arm("influence, n-gram ridge", "ngram_ridge", arm="influence", temperature=0.0),
    _arm("influence, hidden ridge", "hidden_ridge", arm="influence", temperature=0.0),
    _arm("DSIR, words", arm="dsir", units="words"),
    _arm(CYNICAL, arm="cynical", units="words"),
    _arm("cynical", arm="cynical"),
    _arm("cynical, guard target", arm="cynical_guarded", guard_share=0.3, quota=0.0),
    _arm("cynical, quota", arm="cynical_guarded"),
    _arm("cynical, quota + influence", "ngram_ridge", arm="cynical_influence"),
    _arm("cynical of the residual, quota", residual=True, arm="cynical_guarded"),
    _arm(BEST, "ngram_ridge", residual=True, arm="cynical_influence"),
    _arm("random, mix of influence", mix_of="influence, n-gram ridge", arm="random"),
    _arm("random, mix of cynical, words", mix_of=CYNICAL, arm="random"),
    _arm("random, mix of the residual's", mix_of=BEST, arm="random"),
)


@dataclass(frozen=True, slots=True)
class Seed:
    """One seed's work: where its files are, and what of."""

    seed: int
    sources: Path
    folder: Path


@dataclass(frozen=True, slots=True)
class Prepared:
    """A seed's draws (positions in the pool, in order, by arm) and what the probes and models cost and are worth."""

    drawn: dict[str, npt.NDArray[np.int64]]
    figures: dict[str, float]


def prepare(seed: Seed) -> Prepared:
    """Make the miniature, train the common start, label, fit, predict, and draw every arm."""
    sources: Sources = pickle.loads(seed.sources.read_bytes())
    made = miniature.make(sources, seed.seed)
    _one_thread()
    trainer = miniature.warmed_up(made, seed.seed)
    seed.folder.mkdir(parents=True, exist_ok=True)
    (seed.folder / "start").write_bytes(pickle.dumps((made, trainer.state())))
    predicted, figures = _influence(trainer, made, seed.seed)
    residual_H = token_residual.target(made.target_RC, trainer.token_losses(made.target_RC))
    figures["residual"] = 2.0 * trainer.num_parameters * made.target_RC[:, 1:].size / miniature.stage_flops(trainer)
    drawn: dict[str, npt.NDArray[np.int64]] = {}
    for arm in ARMS:
        started = time.process_time()
        if arm.mix_of is None:
            drawn[arm.name] = _draw(arm, made, predicted, residual_H, seed.seed)
        else:
            drawn[arm.name] = _same_mix(made.documents, drawn[arm.mix_of], seed.seed)
        figures[f"select {arm.name}"] = time.process_time() - started
    return Prepared(drawn, figures)


def train(task: tuple[Seed, str, npt.NDArray[np.int64]]) -> dict[str, float]:
    """The losses after one arm's stage, as `kind/name`, and its CPU seconds."""
    seed, _, drawn_N = task
    made, state = _start(seed)
    _one_thread()
    trainer = Trainer(MINIATURE.model, OptimizerSettings(), seed.seed)
    trainer.step(made.warmup_WC[: MINIATURE.batch], 0.0)  # AdamW has a state from its first step on
    trainer.restore(state)
    started = time.process_time()
    miniature.run_stage(trainer, made.chunks_NC[drawn_N])
    spent = time.process_time() - started
    found = miniature.losses(trainer, made)
    return {f"{kind}/{name}": loss for (kind, name), loss in found.items()} | {"cpu_s": spent}


def _influence(trainer: Trainer, made: Miniature, seed: int) -> tuple[dict[str, pl.Series], dict[str, float]]:
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
    for kind in KINDS:
        started = time.process_time()
        hidden = trainer.hidden_means(made.chunks_NC) if kind == "hidden_ridge" else None
        settings = influence_model.Settings(kind=kind)
        fitted = influence_model.fit(labels, settings, None if hidden is None else hidden[rows_N])
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


def _start(seed: Seed) -> tuple[Miniature, State]:
    found: tuple[Miniature, State] = pickle.loads((seed.folder / "start").read_bytes())
    return found


def _one_thread() -> None:
    from resources.torch_environment import set_environment

    set_environment()
    import torch

    torch.set_num_threads(1)


def _spearman(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    return float(np.corrcoef(one.argsort().argsort(), other.argsort().argsort())[0, 1])


def measure(sources: Sources, seeds: list[int]) -> Iterator[tuple[int, str, dict[str, float]]]:
    """Seed, arm and losses of every stage as they come; the costs of a seed's labels and draws as arm `overhead`."""
    with tempfile.TemporaryDirectory(prefix="tierlake-") as scratch:
        file = Path(scratch) / "sources"
        file.write_bytes(pickle.dumps(sources))
        tasks = [Seed(seed, file, Path(scratch) / str(seed)) for seed in seeds]
        with Workers(2, cpu_s=WORKER_CPU_S, memory_bytes=WORKER_BYTES, chunk_items=1) as workers:
            stages = []
            for task, prepared in zip(tasks, workers.map(prepare, tasks), strict=True):
                found = _alive(prepared)
                yield task.seed, "overhead", found.figures
                stages += [(task, name, drawn_N) for name, drawn_N in found.drawn.items()]
            for (task, name, _), losses in zip(stages, workers.map(train, stages), strict=True):
                if isinstance(losses, Died):
                    raise RuntimeError(f"the stage of {name} on seed {task.seed} died: {losses}")
                yield task.seed, name, losses


def _alive(prepared: Prepared | Died) -> Prepared:
    if isinstance(prepared, Died):
        raise RuntimeError(f"the preparation of a seed died: {prepared}")
    return prepared


def main() -> None:
    from benchmarks.influence_report import picture, report

    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    miniature.add_arguments(parser)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--picture", type=Path, help="write an SVG here")
    parser.add_argument("--json", type=Path, help="write every measured loss here, one JSON line each")
    arguments = parser.parse_args()
    rows = []
    for seed, arm, found in measure(miniature.sources_of(arguments), arguments.seeds):
        rows.append({"seed": seed, "arm": arm, "found": found})
        print(f"seed {seed}: {arm}", file=sys.stderr, flush=True)
        if arguments.json:
            arguments.json.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    print(report(rows))
    if arguments.picture:
        picture(rows, arguments.picture)


if __name__ == "__main__":
    main()

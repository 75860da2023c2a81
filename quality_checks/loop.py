"""Invariants of the loop: what is held out stays out, influence is the model's in force and fresh, draws are sound.

In goes the lake, the tier (l2) and a partition; out comes a lazy frame of (key, found), a row for each failure. What
belongs to no partition (mixtures, the model in force) is judged with every one. What was made before the reference
sets, the scores or the round changed is not judged by what they are now: it is due again. No text is read.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from quality_checks.check_result import Partition
from quality_checks.rows import no_failures, own
from resources.lake import Lake
from tier_assets.rounds import round_in_force, rounds
from tier_assets.steering import last_step, steering_run

CONTROL: Final = "control"
REFERENCED: Final = ("doc_id", "reference_version")
DRAW: Final = "draw"  # policy of those rows of `mixtures` that a draw wrote
WEIGHT_ERROR: Final = 1e-6
# MATES learns a new model every 10,000 steps (arXiv 2406.06046).
MAX_STALE_STEPS: Final = 10_000
# Models of two checkpoints that rank documents less alike than this do not measure one thing.
MAX_DRIFT: Final = 0.5


def references_hold_their_ancestors_out(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """A document of l1 that a reference item descends from, and that is not held out."""
    parents = lake.scan("reference_items").select("item_id", doc_id="doc_ids").explode("doc_id").drop_nulls("doc_id")
    here = own(lake, "l1", partition).select("doc_id")
    return (
        parents.join(here, on="doc_id", how="semi")
        .join(_held_out(lake, partition), on="doc_id", how="anti")
        .select(pl.col("doc_id").alias("key"), pl.format("reference item {} is made from it", "item_id").alias("found"))
    )


def held_out_documents_are_not_probed(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """A probe of a document that is held out for the very reference that it was probed against, but for the probes of
    models that are not in force."""
    probes = lake.scan("influence_probes").filter(_is_in(partition))
    models = lake.scan("influence_models").select("model_version", "checkpoint")
    in_force = pl.col("model_version") == (round_in_force(lake).model_version or "")
    left = models.filter(~in_force).join(models.filter(in_force), on="checkpoint", how="anti")
    held = probes.join(left, on="checkpoint", how="anti").join(_held_out(lake, partition), on=REFERENCED)
    return _found(held, "its {} probe", "kind")


def held_out_documents_bear_no_influence(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """A prediction, by the model in force, for a document that is held out for the reference that the model learnt."""
    model = round_in_force(lake).model_version or "none"
    learnt = lake.scan("influence_models").filter(pl.col("model_version") == model)
    scores = lake.scan("influence_scores", {"model_version": model, **partition}).select("doc_id", "model_version")
    held = scores.join(learnt.select("model_version", "reference_version"), on="model_version")
    return _found(held.join(_held_out(lake, partition), on=REFERENCED), "its score by {}", "model_version")


def held_out_documents_are_not_drawn(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """A document drawn for a stage by whose draw it was held out; earlier draws knew other references."""
    version = max((piece.version for piece in lake.slices("held_out")), default=-1)
    named = pl.col("table_versions").str.json_path_match("$.held_out").cast(pl.Int64, strict=False)
    stages = lake.scan("mixtures").filter((pl.col("policy") == DRAW) & (named == version)).select("stage").unique()
    drawn = lake.scan("stage_draws").filter(_is_in(partition)).select("doc_id", "stage", "arm")
    both = drawn.join(stages, on="stage", how="semi").join(_held_out(lake, partition), on="doc_id")
    return _found(both, "the draw of {}, arm {}", "stage", "arm")


def influence_is_the_score_of_the_model_in_force(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """A row of l2 whose influence is not the document's score by the model of the round that selected it.

    Where the partition has other influence scores since its selection, nothing is compared: the selection is due again.
    """
    step = lake.last_step("l2_selected", partition)
    reads = step["input_versions"] if step else None
    states = [read["state"] for read in reads or () if read["table"] == "influence_scores"]  # type: ignore[attr-defined]
    if step is None or (states and states[-1] != lake.state("influence_scores", partition)):
        return no_failures()
    model = {known.number: known.model_version for known in rounds(lake)}.get(step["round"])  # type: ignore[call-overload]
    scores = lake.scan("influence_scores", {"model_version": model or "none", **partition}).select("doc_id", "score")
    return (
        own(lake, "l2", partition)
        .select("doc_id", "influence")
        .join(scores, on="doc_id", how="left")
        .filter(~pl.col("influence").eq_missing(pl.col("score")))
        .select(
            pl.col("doc_id").fill_null("null").alias("key"),
            pl.format(
                f"influence={{}}, but {model or 'no model'} scores {{}}",
                *(pl.col(c).cast(pl.String).fill_null("nothing") for c in ("influence", "score")),
            ).alias("found"),
        )
    )


def influence_is_fresh(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """The model in force was learnt on another run than the one that steers, or more than MAX_STALE_STEPS ago."""
    model, run = _model_in_force(lake), steering_run(lake)
    if model is None or run is None:
        return no_failures()
    if model["run"] != run:
        return _one(str(model["model_version"]), f"learnt on the run {model['run']!r}, but {run!r} steers")
    steps = last_step(lake, run) - int(str(model["step"]))
    if steps <= MAX_STALE_STEPS:
        return no_failures()
    return _one(str(model["model_version"]), f"learnt {steps} steps ago, more than {MAX_STALE_STEPS}")


def influence_drifts_slowly(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """The model in force ranks documents so differently from the one before that one of them is wrong."""
    model = _model_in_force(lake)
    if model is None or model["drift"] is None or float(str(model["drift"])) <= MAX_DRIFT:
        return no_failures()
    return _one(str(model["model_version"]), f"drift {model['drift']} from the model before, more than {MAX_DRIFT}")


def mixture_weights_sum_to_one(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """Weights of a stage's arm at a step that do not sum to 1, or of which one is no share."""
    weight = pl.col("weight")
    sets = _mixtures_in_force(lake).group_by("stage", "run", "arm", "step")
    wrong = sets.agg(total=weight.sum(), shares=(weight.is_between(0, 1)).fill_null(False).all()).filter(
        ~((pl.col("total") - 1).abs() <= WEIGHT_ERROR).fill_null(False) | ~pl.col("shares")
    )
    return wrong.select(
        pl.format("{} {} {}@{}", "run", "stage", "arm", "step").alias("key"),
        pl.format("weights sum to {}", pl.col("total").round(6)).alias("found"),
    )


def stages_keep_a_control_arm(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """A stage that was drawn without a random arm: its benefit cannot be measured."""
    drawn = _mixtures_in_force(lake).filter((pl.col("policy") == DRAW) & (pl.col("num_documents") > 0))
    return (
        drawn.group_by("run", "stage")
        .agg(arms=pl.col("arm").unique().sort())
        .filter(~pl.col("arms").list.contains(CONTROL))
        .select(
            pl.format("{} {}", "run", "stage").alias("key"),
            pl.format("arms {}, no control", pl.col("arms").list.join(", ")).alias("found"),
        )
    )


def documents_are_drawn_once(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """A document that one arm of a run draws twice, in one stage or in two."""
    runs = lake.scan("mixtures").filter(pl.col("policy") == DRAW).select("stage", "run").unique()
    return (
        lake.scan("stage_draws")
        .filter(_is_in(partition))
        .select("stage", "arm", "doc_id")
        .join(runs, on="stage", how="left")
        .group_by("run", "arm", "doc_id")
        .agg(stages=pl.col("stage").sort())
        .filter(pl.col("stages").list.len() > 1)
        .select(
            pl.col("doc_id").alias("key"),
            pl.format("drawn by {} for {}", "arm", pl.col("stages").list.join(", ")).alias("found"),
        )
    )


def _is_in(partition: Partition) -> pl.Expr:
    return pl.all_horizontal(pl.col(column) == value for column, value in partition.items())


def _held_out(lake: Lake, partition: Partition) -> pl.LazyFrame:
    """[doc_id, reference_version, item_id, reason] of the partition's documents that are held out."""
    columns = ("doc_id", "reference_version", "item_id", "reason")
    return lake.scan("held_out").filter(_is_in(partition)).select(columns)


def _found(rows: pl.LazyFrame, what: str, *columns: str) -> pl.LazyFrame:
    """Each held-out document beside what it should not have."""
    return rows.select(
        pl.col("doc_id").alias("key"),
        pl.format(f"{what}, though it is held out ({{}} of {{}})", *columns, "reason", "item_id").alias("found"),
    )


def _mixtures_in_force(lake: Lake) -> pl.LazyFrame:
    """The rows of `mixtures` that count. A draw is written at one moment, and the last one counts, whatever domains an
    earlier one had; of a weight that changed, the last row of its domain."""
    rows = lake.scan("mixtures")
    place = ["stage", "run", "arm", "step"]
    drawn = rows.filter(pl.col("policy") == DRAW)
    drawn = drawn.filter(pl.col("made_at") == pl.col("made_at").max().over("stage", "run"))
    changed = rows.filter(pl.col("policy") != DRAW).sort("made_at").unique([*place, "domain"], keep="last")
    return pl.concat([drawn, changed])


def _model_in_force(lake: Lake) -> dict[str, object] | None:
    """[model_version, run, step, drift] of the influence model in force."""
    version = round_in_force(lake).model_version
    rows = lake.scan("influence_models").filter(pl.col("model_version") == (version or ""))
    found = rows.select("model_version", "run", "step", "drift").collect()
    return found.row(0, named=True) if found.height else None


def _one(key: str, found: str) -> pl.LazyFrame:
    return pl.LazyFrame({"key": [key], "found": [found]})

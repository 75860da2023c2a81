"""Predicted influence in Dagster, partition by partition, by the model of the round in force."""

import math
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import numpy as np
import numpy.typing as npt
import polars as pl

from resources.dagster_resources import Gate
from resources.encoder import encoder_folder
from resources.lake import Lake
from resources.progress import bar
from resources.report import described
from resources.step import Step, code_version, reads_of
from tier_assets.m2_influence import influence_model, turn
from tier_assets.m2_influence.checkpoint import OpenedCheckpoint
from tier_assets.partitions import backfill, corpora, partition_of
from tier_assets.rounds import round_in_force

BATCH_ROWS = 2_048
COLUMNS = ["doc_id", "corpus", "snapshot", "domain", "text"]
Partition = dict[str, str]
Predictor = Callable[[pl.Series, pl.Series], tuple[np.ndarray, np.ndarray]]


def scores_inputs(partition: Partition) -> dict[str, Partition]:
    """What predicting a partition reads."""
    return {"l1_filtered": partition, "held_out": {}, "influence_rounds": {}}


def scores_version(lake: Lake) -> str:
    """Version of the predictions: the model of the round in force."""
    return code_version("influence_scores", 1, round_in_force(lake).model_version)


@dg.asset(
    deps=["l1_filtered", "influence_models"],
    partitions_def=corpora,
    backfill_policy=backfill,
    group_name="m2_influence",
    kinds={"delta"},
    metadata=described("influence_scores"),
    pool="gpu",
)
def influence_scores(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], gate: dg.ResourceParam[Gate]
) -> None:
    """Predicted influence of every document of the pool, by the model of the round in force; none before the first."""
    version = round_in_force(lake).model_version
    predict = predictor(lake, version) if version is not None else None
    for key in context.partition_keys:
        partition = partition_of(key)
        gate.require("l2", **partition)
        reads = reads_of(lake, scores_inputs(partition))
        with Step(lake, "l2", "influence_scores", partition, context.run.run_id, scores_version(lake), reads) as step:
            rows = 0
            if predict is not None and version is not None:
                rows = predict_partition(lake, step, partition, version, predict, key)
            step.counts(rows_in=rows, rows_kept=rows)
        context.add_asset_metadata(
            {"dagster/row_count": rows, "model_version": version or "none yet"},
            asset_key="influence_scores",
            partition_key=key,
        )


def predictor(lake: Lake, version: str) -> Predictor:
    """What predicts influence and its uncertainty from texts and their domains.

    Raises:
        ValueError: the lake has no such model.
    """
    rows = lake.scan("influence_models").filter(pl.col("model_version") == version).collect()
    if rows.is_empty():
        known = lake.scan("influence_models").select("model_version").collect()["model_version"].to_list()
        raise ValueError(f"no influence model {version!r} in this lake; known: {known}")
    model = influence_model.load(rows["artefact"][0])
    opened = None
    if model.kind == "hidden_ridge":
        opened = OpenedCheckpoint(Path(rows["checkpoint"][0]), turn.settings_of(lake.settings).max_context)

    def predict(texts: pl.Series, domains: pl.Series) -> tuple[np.ndarray, np.ndarray]:
        return model.predict(texts, domains, *read_by(model.kind, opened, texts))

    return predict


def read_by(
    kind: str, opened: OpenedCheckpoint | None, texts: pl.Series
) -> tuple[npt.NDArray[np.float32] | None, Path | None]:
    """What a kind of model reads beside the text: the training model's hidden states, or an encoder's folder."""
    hidden_ND = opened.hidden_states(texts) if kind == "hidden_ridge" and opened is not None else None
    return hidden_ND, encoder_folder() if kind == "encoder" else None


def parameters_read(kind: str, opened: OpenedCheckpoint) -> int:
    """Parameters of the network that a kind of model runs over the pool; of n-grams none."""
    if kind == "encoder":
        from safetensors import safe_open

        with safe_open(encoder_folder() / "model.safetensors", framework="np") as held:
            names = held.keys()
            return sum(math.prod(held.get_slice(name).get_shape()) for name in names)
    return opened.trainer.num_parameters if kind == "hidden_ridge" else 0


def predict_partition(lake: Lake, step: Step, partition: Partition, version: str, predict: Predictor, key: str) -> int:
    """Write the partition's predictions in one pass over its texts; returns the documents."""
    stage = step.stage("influence_scores", model_version=version)
    held = lake.scan("held_out").select("doc_id").collect()
    total = sum(piece.num_rows for piece in lake.slices("l1_filtered", partition))
    done = 0
    with bar(f"predicting influence {key}", total) as move:
        for batch in lake.batches(
            "l1_filtered", partition, ["doc_id", "corpus", "snapshot", "domain", "text"], BATCH_ROWS
        ):
            pool = batch.join(held, on="doc_id", how="anti", maintain_order="left")
            score_N, uncertainty_N = predict(pool["text"], pool["domain"])
            stage.write(
                pool.select("doc_id", "corpus", "snapshot").with_columns(
                    score=turn.as_floats(score_N), uncertainty=turn.as_floats(uncertainty_N)
                )
            )
            move(done := done + len(batch))
    step.commit(stage)
    return stage.num_rows


assets = [influence_scores]

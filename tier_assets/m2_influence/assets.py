"""Influence in Dagster: reference sets, probes of the steering run's checkpoint, the model learnt from them, and its
predictions partition by partition.

What trains outside reports to `training_telemetry`; the probes read that table, not the asset: so the loop is open in
the graph, and a sensor closes it.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import dagster as dg
import numpy as np
import polars as pl

from resources.dagster_resources import Gate
from resources.lake import Lake
from resources.report import described, histogram, table_of
from resources.step import Step, code_version, cpu_seconds, reads_of
from resources.texts import texts_of
from tier_assets.m2_influence import influence_model, reference_assets, score_assets, turn, windows
from tier_assets.m2_influence.checkpoint import OpenedCheckpoint
from tier_assets.m2_influence.probe import Kind, probe
from tier_assets.partitions import partition_of
from tier_assets.rounds import open_round, round_in_force
from tier_assets.steering import Checkpoint, last_checkpoint, steering_run, tokens_between
from tier_tables import INFLUENCE_MODELS, INFLUENCE_PROBES

Partition = dict[str, str]
KINDS: tuple[Kind, Kind] = ("first_order", "true")


@contextmanager
def refusing() -> Iterator[None]:
    """What cannot be probed or learnt from is a failure that is not tried again; the last model stays in force."""
    try:
        yield
    except (ValueError, FloatingPointError, FileNotFoundError) as error:
        raise dg.Failure(f"{error}; the last promoted model stays in force", allow_retries=False) from error


def probe_version(lake: Lake) -> str:
    """Version of the probes: their settings."""
    return code_version("influence_probes", 2, turn.settings_of(lake.settings))


def probe_inputs() -> dict[str, Partition]:
    """What probing reads."""
    return {"training_telemetry": {}, "reference_items": {}, "held_out": {}}


@dg.asset(
    deps=["reference_items"],
    group_name="m2_influence",
    kinds={"delta", "torch"},
    metadata=described("influence_probes"),
    pool="gpu",
)
def influence_probes(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], gate: dg.ResourceParam[Gate]
) -> dg.MaterializeResult:
    """Local probes of the steering run's last checkpoint: first-order ones to learn from, true ones to audit them."""
    settings = turn.settings_of(lake.settings)
    run, checkpoint = probed_checkpoint(lake)
    reads = reads_of(lake, probe_inputs())
    version = probe_version(lake)
    with refusing(), Step(lake, "l2", "influence_probes", None, context.run.run_id, version, reads) as step:
        stage = step.stage("influence_probes")
        new = probed(lake, gate.sound("l2").keys, run, checkpoint, settings)
        # A checkpoint that is probed again has the new probes alone.
        stage.write(lake.scan("influence_probes").filter(pl.col("checkpoint") != str(checkpoint.folder)))
        stage.write(new)
        step.commit(stage)
        first = new.filter(pl.col("kind") == "first_order")
        step.counts(rows_in=len(first), rows_kept=len(first))
    agreement, num_audited = turn.audit(new)
    by_domain = first.group_by("domain").agg(
        probes=pl.len(), mean=pl.col("score").mean().round(3), spread=pl.col("score").std().round(3)
    )
    return dg.MaterializeResult(
        metadata={
            "run": run,
            "step": checkpoint.step,
            "probes": len(first),
            "audited": num_audited,
            "audit_spearman": agreement if agreement is not None else "not measurable",
            "domains": table_of(by_domain.sort("mean", descending=True)),
            "scores": dg.MetadataValue.md(histogram(first["score"])),
        }
    )


def probed(lake: Lake, keys: Sequence[str], run: str, checkpoint: Checkpoint, settings: turn.Settings) -> pl.DataFrame:
    """Probes of the checkpoint on documents of the partitions `keys`, as in `influence_probes`; others each round.

    Raises:
        RuntimeError: the probes changed the model.
    """
    opened = OpenedCheckpoint(checkpoint.folder, settings.max_context)
    seed = settings.seed + checkpoint.step
    items = lake.scan("reference_items").filter(pl.col("role") == "reference").sort("item_id").collect()
    reference_RC = opened.reference_chunks(items["text"], settings.reference_chunks)
    documents, chunks_NC = opened.windows(
        with_texts(lake, windows.draw(pool_ids(lake, keys), settings.labels, seed)), seed
    )
    audited_N = np.isin(documents["doc_id"], windows.draw(documents, settings.audited, seed + 2)["doc_id"])
    before = opened.trainer.fingerprint()
    parts = [
        turn.probe_rows(
            documents.filter(chosen),
            probe(opened.trainer, chunks_NC[chosen], reference_RC, checkpoint.lr, kind),
            kind,
            run=run,
            checkpoint=str(checkpoint.folder),
            reference_version=items["reference_version"][0],
        )
        for kind, chosen in zip(KINDS, (np.ones(len(documents), bool), audited_N), strict=True)
    ]
    if opened.trainer.fingerprint() != before:
        raise RuntimeError("the probes did not restore the weights: nothing of them is kept")
    return pl.concat(parts).select(pl.col(n).cast(t) for n, t in INFLUENCE_PROBES.schema.items())


def probed_checkpoint(lake: Lake) -> tuple[str, Checkpoint]:
    """The steering run and its last checkpoint; a Dagster failure that is not tried again where there is none."""
    run = steering_run(lake)
    if run is None:
        raise dg.Failure(
            "no training run has reported yet: `lake loop` trains the reference model", allow_retries=False
        )
    found = last_checkpoint(lake, run)
    if found is None:
        raise dg.Failure(f"the run {run!r} has reported no checkpoint to probe", allow_retries=False)
    if not found.folder.is_dir():
        raise dg.Failure(
            f"the checkpoint of step {found.step} of {run!r} is gone ({found.folder}); the last model stays in force",
            allow_retries=False,
        )
    return run, found


def pool_ids(lake: Lake, keys: Sequence[str]) -> pl.DataFrame:
    """Documents of L1 that are not held out [doc_id, corpus, snapshot, domain]."""
    columns = ["doc_id", "corpus", "snapshot", "domain"]
    held = lake.scan("held_out").select("doc_id")
    found = [lake.scan("l1_filtered", partition_of(key)).select(columns) for key in keys]
    pool = pl.concat([lake.scan("l1_filtered").head(0).select(columns), *found])
    return pool.join(held, on="doc_id", how="anti").collect(engine="streaming")


def with_texts(lake: Lake, rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` with the documents' `text`, in order."""
    return rows.join(texts_of(lake, rows), on="doc_id", maintain_order="left")


def model_version(lake: Lake) -> str:
    """Version of the influence model: its settings."""
    return code_version("influence_models", 1, turn.settings_of(lake.settings))


@dg.asset(
    deps=["influence_probes"],
    group_name="m2_influence",
    kinds={"delta"},
    metadata=described("influence_models"),
    pool="gpu",
)
def influence_models(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
    """A model of influence learnt from the last probes; promoted, it opens the next selection round."""
    settings = turn.settings_of(lake.settings)
    reads = reads_of(lake, {"influence_probes": {}})
    version = model_version(lake)
    with refusing(), Step(lake, "l2", "influence_models", None, context.run.run_id, version, reads) as step:
        stage = step.stage("influence_models")
        started = cpu_seconds()
        run, checkpoint = probed_checkpoint(lake)
        probes = lake.scan("influence_probes").filter(pl.col("checkpoint") == str(checkpoint.folder)).collect()
        if probes.is_empty():
            raise dg.Failure(f"the checkpoint of step {checkpoint.step} is not probed yet", allow_retries=False)
        labels = labels_of(lake, probes)
        opened = OpenedCheckpoint(checkpoint.folder, settings.max_context)
        fitted = influence_model.fit(
            labels,
            settings.model,
            *score_assets.read_by(settings.model.kind, opened, labels["text"]),
            opened.tokenizer_text,
        )
        known = lake.scan("influence_models").filter(pl.col("model_version") != fitted.version)
        drift = drift_of(lake, labels, fitted.artefact)
        row = model_row(lake, run, checkpoint, opened, probes, fitted, reads, drift)
        row["cpu_s"] = round(cpu_seconds() - started + float(probes["cpu_s"].sum()), 3)
        new = pl.DataFrame([row], schema=INFLUENCE_MODELS.schema)
        stage.write(pl.concat([known.collect(), new]))
        step.commit(stage)
        step.counts(rows_in=len(labels), rows_kept=len(labels))
    round_ = open_round(lake, fitted.version).number if row["promoted"] else None
    told = {
        name: value
        for name, value in row.items()
        if isinstance(value, str | int | float) and name not in ("data_versions", "checkpoint")
    }
    return dg.MaterializeResult(metadata=told | ({} if round_ is None else {"round": round_}))


def labels_of(lake: Lake, probes: pl.DataFrame) -> pl.DataFrame:
    """First-order probes with the text of their windows [doc_id, domain, text, score], in order of doc_id."""
    first = probes.filter(pl.col("kind") == "first_order").sort("doc_id")
    window = pl.col("text").str.slice(pl.col("char_start"), pl.col("char_end") - pl.col("char_start"))
    return with_texts(lake, first).with_columns(text=window).select("doc_id", "domain", "text", "score")


def drift_of(lake: Lake, labels: pl.DataFrame, artefact: bytes) -> float | None:
    """How differently the new model and the one in force rank the probed documents; None before the first, and where
    one of them needs more than text."""
    standing = round_in_force(lake).model_version
    if standing is None:
        return None
    rows = lake.scan("influence_models").filter(pl.col("model_version") == standing).collect()
    if rows.is_empty():
        return None
    models = [influence_model.load(held) for held in (rows["artefact"][0], artefact)]
    if any(model.kind != influence_model.KINDS[0] for model in models):
        return None
    before, now = (model.predict(labels["text"], labels["domain"])[0] for model in models)
    return influence_model.drift(before, now)


def model_row(
    lake: Lake,
    run: str,
    checkpoint: Checkpoint,
    opened: OpenedCheckpoint,
    probes: pl.DataFrame,
    fitted: influence_model.Fitted,
    reads: list[dict[str, object]],
    drift: float | None,
) -> dict[str, object]:
    """The model's row, but for its CPU seconds."""
    agreement, num_audited = turn.audit(probes)
    refused = turn.refusal(fitted.spearman_within, fitted.beats_domain_mean, agreement)
    pool = lake.scan("l1_filtered").select(pl.len(), pl.col("num_tokens").sum()).collect()
    earlier = lake.scan("influence_models").filter((pl.col("run") == run) & (pl.col("step") < checkpoint.step))
    after = earlier.select(pl.col("step").max()).collect().item() or 0
    tokens = tokens_between(lake, run, after, checkpoint.step)
    by_kind = dict(probes.group_by("kind").agg(pl.col("flops").sum()).iter_rows())
    kind = turn.settings_of(lake.settings).model.kind
    parameters = score_assets.parameters_read(kind, opened)
    predicted = influence_model.predict_flops(kind, pool["len"][0], pool["num_tokens"][0] or 0, parameters)
    return {
        "model_version": fitted.version,
        "kind": kind,
        "run": run,
        "step": checkpoint.step,
        "checkpoint": str(checkpoint.folder),
        "reference_version": probes["reference_version"][0],
        "data_versions": json.dumps({str(read["table"]): read["version"] for read in reads}, sort_keys=True),
        "num_labels": int((probes["kind"] == "first_order").sum()),
        "spearman": fitted.spearman,
        "spearman_within": fitted.spearman_within,
        "spearman_domain_mean": fitted.spearman_domain_mean,
        "audit_spearman": agreement,
        "num_audited": num_audited,
        "drift": drift,
        "flops": by_kind.get("first_order", 0.0) + fitted.flops + predicted,
        "audit_flops": by_kind.get("true", 0.0),
        "stage_flops": 6.0 * opened.trainer.num_parameters * tokens if tokens else None,
        "promoted": refused is None,
        "refused": refused,
        "fitted_at": datetime.now(UTC),
        "artefact": fitted.artefact,
    }


assets = [*reference_assets.assets, influence_probes, influence_models, *score_assets.assets]

"""Training in Dagster: a stage's documents are drawn from L2, the reference run trains on them and reports, and the
mixture policy follows any steering run's telemetry.

These assets have no partitions: a stage draws from the whole lake.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import polars as pl
from tokenizers import Tokenizer

from resources.charts import lines
from resources.dagster_resources import Gate
from resources.lake import Lake
from resources.progress import bar
from resources.report import described, table_of
from resources.step import Step, code_version, reads_of
from resources.texts import texts_of
from resources.trainer import OptimizerSettings, Trainer
from resources.training_data import learn_tokenizer, load_tokenizer, save_tokenizer
from tier_assets.m1_training import draw, stage
from tier_assets.m1_training.mixing import natural_shares, policy_over, replayed, setting
from tier_assets.m1_training.stages import REFERENCE_RUN, Stage, checkpoint_folder, consumed, next_stage
from tier_assets.m1_training.telemetry import TelemetryWriter
from tier_assets.partitions import sound_partitions
from tier_assets.steering import last_checkpoint, steering_run
from tier_tables import MIXTURES

TEXTS_ROWS = 2_048
# A tokenizer is learnt from the beginnings of so many members of each partition, this many characters in all.
TOKENIZER_DOCUMENTS = 100
TOKENIZER_CHARS = 2_000_000
Partition = dict[str, str]


def stage_settings(lake: Lake) -> stage.Settings:
    """The lake's settings of a training stage."""
    return stage.SMOKE if lake.settings == "smoke" else stage.DEFAULT


def draw_settings(lake: Lake) -> draw.Settings:
    """The lake's settings of a draw."""
    return draw.Settings()


def draw_inputs(lake: Lake) -> dict[str, Partition]:
    """What a draw reads."""
    return {"l2_selected": {}, "reference_items": {}, "held_out": {}}


def draw_version(lake: Lake) -> str:
    """Version of the draw: its settings, and the stage that it is for."""
    now = next_stage(lake, steering_run(lake) or REFERENCE_RUN)
    return code_version("mixtures", 1, draw_settings(lake), stage_settings(lake), now)


@dg.asset(
    deps=["l2_selected", "reference_items"],
    group_name="m1_training",
    kinds={"delta"},
    metadata=described("stage_draws"),
)
def mixtures(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], gate: dg.ResourceParam[Gate]
) -> dg.MaterializeResult:
    """The next training stage's documents, drawn from L2's members; a stage that has begun stays as it was drawn."""
    partitions = sound_partitions(context, gate, "l3")
    reads = reads_of(lake, draw_inputs(lake))
    run = steering_run(lake) or REFERENCE_RUN
    now = next_stage(lake, run)
    with Step(lake, "l2", "mixtures", None, context.run.run_id, draw_version(lake), reads) as step:
        slot = step.stage("stage_draws", stage=now.name)
        members = members_of(lake, partitions)
        settings = stage_settings(lake)
        try:
            rows = draw.draw(
                members,
                member_texts(lake, partitions, members),
                draw_settings(lake),
                reference_texts(lake, "reference"),
                reference_texts(lake, "guard"),
                settings.tokens,
                settings.seed + now.number,
                consumed(lake, now),
                run_tokenizer(lake, run),
            )
        except draw.NothingToDraw as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        if next_stage(lake, run) != now:
            raise dg.Failure(f"{now.name} has begun meanwhile: it stays as it was drawn", allow_retries=False)
        slot.write(rows.with_columns(stage=pl.lit(now.name)))
        step.commit(slot)
        tokens = int(rows["num_tokens"].sum())
        step.counts(rows_in=len(members), rows_kept=len(rows), rows_rejected=len(members) - len(rows))
        step.counts(tokens_in=int(members["num_tokens"].sum()), tokens_kept=tokens)
    weights = weights_of(rows, now, run, reads, settings.seed + now.number)
    lake.append("mixtures", weights)
    return dg.MaterializeResult(
        metadata={
            "stage": now.name,
            "documents": len(rows),
            "tokens": tokens,
            "weights": table_of(weights.select("arm", "domain", "weight", "num_documents", "num_tokens")),
        }
    )


def members_of(lake: Lake, partitions: list[Partition]) -> pl.DataFrame:
    """L2's members that are not held out [doc_id, corpus, snapshot, domain, num_tokens, influence], in order."""
    held = lake.scan("held_out").select("doc_id")
    found = [
        pl.LazyFrame(schema={"doc_id": pl.String, "corpus": pl.String, "snapshot": pl.String, "influence": pl.Float64,
                             "domain": pl.String, "num_tokens": pl.Int64})
    ]  # fmt: skip
    for partition in partitions:
        members = lake.scan("l2_selected", partition).select("doc_id", "corpus", "snapshot", "influence")
        numbers = lake.scan("l1_filtered", partition).select("doc_id", "domain", "num_tokens")
        found.append(members.join(numbers, on="doc_id").join(held, on="doc_id", how="anti"))
    return pl.concat(found).collect(engine="streaming").sort("doc_id")


def member_texts(lake: Lake, partitions: list[Partition], documents: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Texts of the documents [doc_id, text], a batch at a time."""
    for partition in partitions:
        for batch in lake.batches("l1_filtered", partition, ["doc_id", "text"], TEXTS_ROWS):
            yield batch.join(documents, on="doc_id", how="semi", maintain_order="left")


def reference_texts(lake: Lake, role: str) -> pl.Series:
    """Texts of the reference set or of the guard."""
    return lake.scan("reference_items").filter(pl.col("role") == role).sort("item_id").collect()["text"]


def weights_of(rows: pl.DataFrame, now: Stage, run: str, reads: list[dict[str, object]], seed: int) -> pl.DataFrame:
    """Rows of `mixtures`: each arm's share of tokens by domain."""
    versions = json.dumps({str(read["table"]): read["version"] for read in reads}, sort_keys=True)
    found = rows.group_by("arm", "domain").agg(
        num_documents=pl.len().cast(pl.Int64), num_tokens=pl.col("num_tokens").sum()
    )
    return (
        found.with_columns(
            stage=pl.lit(now.name),
            run=pl.lit(run),
            step=pl.lit(now.first_step),
            weight=pl.col("num_tokens") / pl.col("num_tokens").sum().over("arm"),
            policy=pl.lit("draw"),
            table_versions=pl.lit(versions),
            seed=pl.lit(seed),
            made_at=pl.lit(datetime.now(UTC)),
        )
        .sort("arm", "domain")
        .select(pl.col(n).cast(t) for n, t in MIXTURES.schema.items())
    )


@dg.asset(
    deps=["mixtures"],
    group_name="m1_training",
    kinds={"delta", "torch"},
    metadata=described("training_telemetry"),
    pool="gpu",
)
def training_telemetry(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
    """The reference model trains on the stage that was drawn, reports every step, and leaves a checkpoint. Any other
    trainer reports to the same table (`lake telemetry`, or TelemetryWriter)."""
    run = steering_run(lake) or REFERENCE_RUN
    if run != REFERENCE_RUN:
        raise dg.Failure(f"the lake is steered by the run {run!r}, which trains elsewhere", allow_retries=False)
    now = next_stage(lake, run)
    rows = lake.scan("stage_draws", {"stage": now.name}).sort("place", "arm").collect()
    if rows.is_empty():
        raise dg.Failure(f"nothing is drawn for {now.name}: materialise `mixtures`", allow_retries=False)
    settings = stage_settings(lake)
    texts = drawn_texts(lake, rows)
    before = last_checkpoint(lake, run)
    tokenizer = run_tokenizer(lake, run)
    trainer = (
        Trainer(settings.model, OptimizerSettings(), settings.seed) if before is None else Trainer.load(before.folder)
    )
    chunks = stage.chunks_of(texts, tokenizer, settings)
    mixture = policy_over(stage.shares(chunks), settings.warmup, settings.fit_every)
    changes = []
    folder = checkpoint_folder(lake, run, trainer.num_steps + stage.steps_of(chunks, settings))
    points = []
    with TelemetryWriter(lake, run) as writer, bar(f"training {now.name}", settings.steps) as move:
        for report in stage.train_stage(trainer, chunks, settings, mixture):
            last = report.step == folder.step
            if last:
                trainer.save(folder.path)
                save_tokenizer(tokenizer, folder.path)
            writer.report(
                report.step,
                report.losses,
                report.lr,
                checkpoint=str(folder.path) if last else None,
                optimizer=str(folder.path / "optimizer.pt") if last else None,
            )
            if report.weights is not None:
                changes.append((report.step, report.weights))
            points += [(domain, report.step, loss) for domain, (_, loss) in report.losses.items()]
            move(report.step - now.first_step)
    lake.append("mixtures", changed_weights(changes, now, run, settings.seed))
    curve = pl.DataFrame(points, schema={"series": pl.String, "x": pl.Int64, "y": pl.Float64}, orient="row")
    return dg.MaterializeResult(
        metadata={
            "stage": now.name,
            "steps": stage.steps_of(chunks, settings),
            "checkpoint": folder.path.name,
            "loss": float(curve.filter(pl.col("x") > folder.step - 20)["y"].mean() or 0.0),  # type: ignore[arg-type]
            "losses": dg.MetadataValue.md(lines(smoothed(curve), "training loss by domain", "step", "nats a token")),
        }
    )


def drawn_texts(lake: Lake, rows: pl.DataFrame) -> pl.DataFrame:
    """Texts of the drawn documents [domain, text], in the order of the draw; both arms train."""
    joined = rows.select("doc_id", "domain").join(texts_of(lake, rows), on="doc_id", how="inner", maintain_order="left")
    return joined.select("domain", "text")


def run_tokenizer(lake: Lake, run: str) -> Tokenizer:
    """The tokenizer of the run's last checkpoint; before the first, one learnt from a sample of L2's members."""
    before = last_checkpoint(lake, run)
    if before is not None and (before.folder / "tokenizer.json").exists():
        return load_tokenizer(before.folder)
    texts: list[str] = []
    chars = 0
    keys = [piece.partition for piece in lake.slices("l2_selected") if piece.num_rows]
    for partition in keys:
        members = lake.scan("l2_selected", partition).select("doc_id").bottom_k(TOKENIZER_DOCUMENTS, by="doc_id")
        found = lake.scan("l1_filtered", partition).select("doc_id", "text").join(members, on="doc_id", how="semi")
        for text in found.sort("doc_id").collect(engine="streaming")["text"]:
            if chars >= TOKENIZER_CHARS:
                break
            texts.append(text[: TOKENIZER_CHARS // (TOKENIZER_DOCUMENTS * len(keys))])
            chars += len(texts[-1])
    return learn_tokenizer(texts, stage_settings(lake).model.vocab)


def smoothed(points: pl.DataFrame) -> pl.DataFrame:
    """[series, x, y]: each domain's loss as the mean over a twentieth of the steps."""
    steps = points["x"].n_unique()
    width = max(1, steps // 20)
    return (
        points.group_by("series", x=(pl.col("x") // width) * width)
        .agg(pl.col("y").mean())
        .sort("series", "x")
        .select("series", "x", "y")
    )


def changed_weights(changes: list[tuple[int, dict[str, float]]], now: Stage, run: str, seed: int) -> pl.DataFrame:
    """Rows of `mixtures`: every change of the weights that the trainer drew by."""
    made_at = datetime.now(UTC)
    rows = [
        {
            "stage": now.name, "run": run, "arm": "mixture", "step": step, "domain": domain, "weight": weight,
            "policy": ":".join(setting()), "num_documents": 0, "num_tokens": 0, "table_versions": "{}", "seed": seed,
            "made_at": made_at,
        }
        for step, weights in changes
        for domain, weight in sorted(weights.items())
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=MIXTURES.schema)


@dg.asset(group_name="m1_training", kinds={"delta"}, metadata=described("mixtures"))
def mixture_weights(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
    """What the mixture policy makes of the steering run's telemetry: weights for a trainer elsewhere to take up."""
    run = steering_run(lake)
    if run is None:
        raise dg.Failure("no training run has reported yet", allow_retries=False)
    settings = stage_settings(lake)
    telemetry = lake.scan("training_telemetry").filter(pl.col("run") == run).collect()
    mixing = replayed(telemetry, natural_shares(telemetry), settings.warmup, settings.fit_every)
    step = int(telemetry["step"].max())  # type: ignore[arg-type]
    rows = changed_weights([(step, mixing.weights)], next_stage(lake, run), run, settings.seed)
    lake.append("mixtures", rows)
    return dg.MaterializeResult(
        metadata={"run": run, "step": step, "weights": table_of(rows.select("domain", "weight"))}
    )


assets = [mixtures, training_telemetry, mixture_weights]

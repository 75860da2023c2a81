"""L2 in Dagster: the seed is rated, a scorer is learnt, every partition is scored and selected."""

import time

import dagster as dg
import polars as pl

from resources.dagster_resources import Gate
from resources.lake import Lake
from resources.language_models.resource import GpuLanguageModel
from resources.progress import bar
from resources.report import described, materialisation
from resources.step import Staged, Step, code_version, cpu_seconds, reads_of
from tier_assets.l2_selected import annotate, scorer, select
from tier_assets.partitions import backfill, corpora, key_of, partition_of
from tier_tables import SCORERS

QUALITY = "quality"  # the scorer that selects: the mean over the rated dimensions
BATCH_ROWS = 2_048
STEP_VERSION = 1
RETRY = dg.RetryPolicy(max_retries=2, delay=5)


def annotations_version(lake: Lake, model: GpuLanguageModel) -> str:
    """Version of the rating: model, prompts and settings."""
    settings = annotate_settings(lake)
    prompts = [annotate.prompt_version(d) for d in settings.dimensions]
    return code_version("l2_annotations", STEP_VERSION, model.identity, settings, prompts)


def annotate_settings(lake: Lake) -> annotate.Settings:
    """The lake's settings of the rating."""
    return annotate.SMOKE if lake.settings == "smoke" else annotate.DEFAULT


def policy_of(lake: Lake) -> select.Policy:
    """The lake's selection policy."""
    return select.SMOKE if lake.settings == "smoke" else select.DEFAULT


@dg.op(ins={"start": dg.In(dg.Nothing)}, pool="gpu", retry_policy=RETRY)
def rate_seed(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], llm: GpuLanguageModel, gate: dg.ResourceParam[Gate]
) -> Staged:
    """Draw the seed over all partitions and have the language model rate it."""
    cpu, start = cpu_seconds(), time.perf_counter()
    sound = gate.sound("l2")
    for refused in sound.refused:
        context.log.warning(refused.why)
    settings = annotate_settings(lake)
    staged = Staged({}, reads_of(lake, {"l1_filtered": {}}))
    pool = [lake.scan("l1_filtered", partition_of(key)) for key in sound.keys]
    seed = annotate.draw_seed(pl.concat([lake.scan("l1_filtered").head(0), *pool]), settings.size, settings.seed)
    if seed.is_empty():
        raise ValueError("no document in l1_filtered to rate; run the tiers below first")
    model = llm.replayed(lake, "l2_annotations")
    with bar("rating the seed", len(seed) * len(settings.dimensions)) as move:
        rated = annotate.rate(seed, model, settings.dimensions, settings.max_tokens, move)
    stage = lake.stage("l2_annotations", {})
    stage.write(rated.annotations)
    staged.stages.append(stage.close())
    kept = rated.annotations["doc_id"].n_unique()
    staged.counts = {"rows_in": len(seed), "rows_kept": kept, "rows_rejected": len(seed) - kept} | model.usage.counts()
    staged.cpu_s, staged.gpu_s = cpu_seconds() - cpu, llm.gpu_seconds(time.perf_counter() - start)
    context.add_output_metadata({"documents": len(seed), "rated": kept})
    return staged


@dg.op(out=dg.Out(dg.Nothing))
def keep_annotations(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], llm: GpuLanguageModel, staged: Staged
) -> None:
    """Commit the ratings and write the ledger row."""
    with Step(
        lake, "l2", "l2_annotations", None, context.run.run_id, annotations_version(lake, llm), staged.reads
    ) as step:
        step.take(staged)
    rows = lake.scan("l2_annotations").collect()
    shown = rows.group_by("dimension").agg(pl.col("rating").mean().round(3), pl.len().alias("documents"))
    context.add_asset_metadata(
        materialisation(step.all_counts(), pl.DataFrame({"reason": [], "count": []}), shown, rows["rating"])
    )


@dg.graph_asset(
    name="l2_annotations",
    group_name="l2_selected",
    kinds={"delta", "vllm"},
    metadata=described("l2_annotations"),
    ins={"start": dg.AssetIn("l1_filtered", dagster_type=dg.Nothing)},
)
def l2_annotations(start):  # type: ignore[no-untyped-def]
    """A language model's ratings of a seed sample over all partitions."""
    return keep_annotations(rate_seed(start))


def scorer_version(lake: Lake) -> str:
    """Version of the fit: its settings."""
    return code_version("l2_scorer", STEP_VERSION, scorer_settings(lake))


def scorer_settings(lake: Lake) -> scorer.Settings:
    """The lake's settings of the fit."""
    return scorer.SMOKE if lake.settings == "smoke" else scorer.DEFAULT


@dg.asset(deps=["l2_annotations"], group_name="l2_selected", kinds={"delta"}, metadata=described("scorers"))
def l2_scorer(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
    """The light scorer distilled from the ratings, published for every partition."""
    reads = reads_of(lake, {"l2_annotations": {}})
    with Step(lake, "l2", "l2_scorer", None, context.run.run_id, scorer_version(lake), reads) as step:
        ratings = annotate.ratings_of(lake.scan("l2_annotations").collect())
        texts = (
            lake.scan("l1_filtered").select("doc_id", "text").join(ratings.lazy(), on="doc_id").sort("doc_id").collect()
        )
        fitted = scorer.fit(texts["text"], texts["rating"], QUALITY, scorer_settings(lake))
        artefact = scorer.dump(fitted)
        row = {
            "scorer": QUALITY,
            "scorer_version": scorer.version(artefact),
            "annotation_version": max(s.version for s in lake.slices("l2_annotations")),
            "num_labels": fitted.num_labels,
            "spearman": fitted.spearman,
            "artefact": artefact,
        }
        # Published last stands last; earlier versions are kept.
        earlier = lake.scan("scorers").filter(pl.col("scorer_version") != row["scorer_version"]).collect()
        stage = step.stage("scorers")
        stage.write(pl.concat([earlier, pl.DataFrame([row], schema=SCORERS.schema)]))
        step.commit(stage)
        step.counts(rows_in=len(texts), rows_kept=len(texts))
    return dg.MaterializeResult(
        metadata={
            "scorer_version": str(row["scorer_version"]),
            "num_labels": fitted.num_labels,
            "spearman": round(fitted.spearman, 4) if fitted.spearman is not None else "not measurable",
            "calibration_error": round(fitted.calibration_error, 4),
        }
    )


def published_scorer(lake: Lake) -> tuple[str, scorer.Scorer]:
    """Version and model of the published quality scorer.

    Raises:
        ValueError: none was published yet.
    """
    rows = lake.scan("scorers").filter(pl.col("scorer") == QUALITY).collect()
    if rows.is_empty():
        raise ValueError("no scorer is published in this lake yet: materialise l2_annotations and l2_scorer (lake run)")
    last = rows.row(-1, named=True)
    return last["scorer_version"], scorer.load(last["artefact"])


def scores_inputs(partition: dict[str, str]) -> dict[str, dict[str, str]]:
    """What scoring a partition reads."""
    return {"l1_filtered": partition, "scorers": {}}


SCORES_VERSION = code_version("l2_scores", STEP_VERSION)


@dg.op(ins={"start": dg.In(dg.Nothing), "learnt": dg.In(dg.Nothing)}, pool="gpu", retry_policy=RETRY)
def score_documents(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], gate: dg.ResourceParam[Gate]
) -> list[Staged]:
    """Score every document of the partitions with the published scorer."""
    version, model = published_scorer(lake)
    found = []
    for key in context.partition_keys:
        partition = partition_of(key)
        gate.require("l2", **partition)
        cpu = cpu_seconds()
        staged = Staged(partition, reads_of(lake, scores_inputs(partition)))
        stage = lake.stage("l2_scores", {"scorer": QUALITY, **partition})
        total = sum(s.num_rows for s in lake.slices("l1_filtered", partition))
        with bar(f"scoring {key}", total) as move:
            done = 0
            for batch in lake.batches("l1_filtered", partition, ["doc_id", "corpus", "snapshot", "text"], BATCH_ROWS):
                scored = batch.select(
                    "doc_id",
                    "corpus",
                    "snapshot",
                    pl.lit(QUALITY).alias("scorer"),
                    pl.lit(version).alias("scorer_version"),
                    scorer.score(model, batch["text"]).alias("score"),
                )
                stage.write(scored)
                move(done := done + len(batch))
        staged.stages.append(stage.close())
        staged.counts = {"rows_in": total, "rows_kept": stage.num_rows}
        staged.cpu_s = cpu_seconds() - cpu
        found.append(staged)
    return found


@dg.op(out=dg.Out(dg.Nothing))
def keep_scores(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], found: list[Staged]) -> None:
    """Commit the scores, a ledger row a partition."""
    for staged in found:
        with Step(lake, "l2", "l2_scores", staged.partition, context.run.run_id, SCORES_VERSION, staged.reads) as step:
            step.take(staged)
        scores = lake.scan("l2_scores", {"scorer": QUALITY, **staged.partition}).select("score").collect()["score"]
        context.add_asset_metadata(
            materialisation(step.all_counts(), pl.DataFrame({"reason": [], "count": []}), pl.DataFrame(), scores),
            asset_key="l2_scores",
            partition_key=key_of(**staged.partition),
        )


@dg.graph_asset(
    name="l2_scores",
    group_name="l2_selected",
    kinds={"delta"},
    metadata=described("l2_scores"),
    partitions_def=corpora,
    backfill_policy=backfill,
    ins={
        "start": dg.AssetIn("l1_filtered", dagster_type=dg.Nothing),
        "learnt": dg.AssetIn("l2_scorer", dagster_type=dg.Nothing),
    },
)
def l2_scores(start, learnt):  # type: ignore[no-untyped-def]
    """Every document's scores by the published scorer."""
    return keep_scores(score_documents(start=start, learnt=learnt))


def selection_inputs(partition: dict[str, str]) -> dict[str, dict[str, str]]:
    """What selecting in a partition reads."""
    return {
        "l1_filtered": partition,
        "l2_scores": {"scorer": QUALITY, **partition},
        "influence_scores": partition,
        "influence_models": {},
    }


def selection_version(lake: Lake) -> str:
    """Version of the selection: its policy."""
    return code_version("l2_selected", STEP_VERSION, policy_of(lake).version)


def candidates_of(lake: Lake, partition: dict[str, str]) -> tuple[pl.DataFrame, int]:
    """The partition's candidates with quality and influence, and the round: one more than influence models promoted."""
    promoted = lake.scan("influence_models").filter(pl.col("promoted")).select("model_version").collect()
    numbers = ["doc_id", "corpus", "snapshot", "domain", "language", "num_tokens"]
    quality = lake.scan("l2_scores", {"scorer": QUALITY, **partition}).select("doc_id", quality="score")
    influence = lake.scan("influence_scores", partition)
    if len(promoted):
        influence = influence.filter(pl.col("model_version") == promoted["model_version"][-1])
    else:
        influence = influence.head(0)
    rows = (
        lake.scan("l1_filtered", partition)
        .select(numbers)
        .join(quality, on="doc_id", how="left")
        .join(influence.select("doc_id", influence="score"), on="doc_id", how="left")
        .sort("doc_id")
        .collect()
    )
    return rows, 1 + len(promoted)


@dg.asset(
    deps=["l2_scores", "l1_filtered"],
    partitions_def=corpora,
    backfill_policy=backfill,
    group_name="l2_selected",
    kinds={"delta"},
    metadata=described("l2_selected"),
)
def l2_selected(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], gate: dg.ResourceParam[Gate]) -> None:
    """L2: documents selected by models. Core pre-training."""
    for key in context.partition_keys:
        partition = partition_of(key)
        gate.require("l2", **partition)
        reads = reads_of(lake, selection_inputs(partition))
        candidates, round_ = candidates_of(lake, partition)
        policy = policy_of(lake)
        moves = lake.scan("tier_moves", partition).filter(pl.col("round") < round_).collect()
        chosen = select.select(candidates, select.membership_at(moves, round_ - 1), policy, round_)
        with Step(
            lake, "l2", "l2_selected", partition, context.run.run_id, selection_version(lake), reads, round_
        ) as step:
            for table, rows, extra in (
                ("verdicts", chosen.verdicts, {"tier": "l2"}),
                ("tier_moves", chosen.moves, {"round": str(round_)}),
                ("l2_selected", chosen.rows, {}),
            ):
                stage = step.stage(table, **extra)
                stage.write(rows)
                step.commit(stage)
            tokens = candidates.select("doc_id", "num_tokens")
            kept_tokens = int(tokens.join(chosen.rows.select("doc_id"), on="doc_id", how="semi")["num_tokens"].sum())
            all_tokens = int(tokens["num_tokens"].sum())
            step.counts(
                rows_in=len(candidates),
                rows_kept=len(chosen.rows),
                rows_rejected=len(chosen.verdicts),
                tokens_in=all_tokens,
                tokens_kept=kept_tokens,
                tokens_rejected=all_tokens - kept_tokens,
            )
        best = (
            chosen.rows.sort("quality", "doc_id", descending=[True, False])
            .head(3)
            .select("doc_id", "quality", "reason")
        )
        text = lake.scan("l1_filtered", partition).select("doc_id", "title", "text")
        context.add_asset_metadata(
            materialisation(
                step.all_counts(),
                chosen.verdicts.group_by("reason").agg(pl.len().alias("count")),
                best.lazy().join(text, on="doc_id", maintain_order="left").drop("doc_id").collect(),
                candidates["quality"],
                policy=policy.version,
                round=round_,
            ),
            asset_key="l2_selected",
            partition_key=key,
        )


assets = [l2_annotations, l2_scorer, l2_scores, l2_selected]

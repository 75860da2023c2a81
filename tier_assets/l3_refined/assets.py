"""L3 in Dagster: selected documents are edited, asked and answered; each record is verified before it is kept."""

import time
from collections.abc import Iterator

import dagster as dg
import polars as pl

from resources.dagster_resources import Gate
from resources.lake import Lake
from resources.language_models.resource import GpuLanguageModel
from resources.progress import bar
from resources.report import described, materialisation
from resources.step import Staged, Step, code_version, cpu_seconds, reads_of
from resources.tokenizer import count_tokens
from tier_assets.l3_refined import refine
from tier_assets.partitions import backfill, corpora, key_of, partition_of

BATCH_DOCUMENTS = 512
BATCH_RECORDS = 8_192
STEP_VERSION = 2


def refine_settings(lake: Lake) -> refine.Settings:
    """The lake's settings of the refinement."""
    return refine.SMOKE if lake.settings == "smoke" else refine.DEFAULT


def refinement_inputs(partition: dict[str, str]) -> dict[str, dict[str, str]]:
    """What refining a partition reads."""
    return {"l1_filtered": partition, "l2_selected": partition, "out_of_policy": partition}


def refinement_version(lake: Lake, model: GpuLanguageModel) -> str:
    """Version of the refinement: model, prompts and settings."""
    settings = refine_settings(lake)
    prompts = [version for task in settings.tasks for version in task.prompt_versions]
    numbers = (settings.num_documents, settings.num_passages, settings.passage_tokens, settings.min_passage_words)
    return code_version("l3_refined", STEP_VERSION, model.identity, numbers, prompts)


def chosen_documents(
    lake: Lake, partition: dict[str, str], ranked: pl.DataFrame, settings: refine.Settings
) -> Iterator[pl.DataFrame]:
    """The partition's documents to refine, best first, in batches [doc_id, corpus, snapshot, title, language, text]."""
    ids = refine.choose(ranked, settings)["doc_id"]
    text = lake.scan("l1_filtered", partition).select("doc_id", "corpus", "snapshot", "title", "language", "text")
    for start in range(0, len(ids), BATCH_DOCUMENTS):
        wanted = ids.slice(start, BATCH_DOCUMENTS).to_frame().with_row_index()
        yield text.join(wanted.lazy(), on="doc_id").sort("index").drop("index").collect(engine="streaming")


def kept_out_of_policy(lake: Lake, partition: dict[str, str]) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Standing records of demoted documents, as they are, and their lineage: kept while their documents are in L1."""
    marked = lake.scan("out_of_policy", partition).filter(pl.col("child_table") == "l3_refined")
    ids = marked.select(record_id="child_id").unique().collect()
    if ids.is_empty():
        return
    documents = lake.scan("l1_filtered", partition).select(source_doc_ids="doc_id").collect()
    parents = lake.scan("lineage", {"child_table": "l3_refined", **partition})
    for batch in lake.batches("l3_refined", partition, rows=BATCH_RECORDS):
        found = batch.join(ids, on="record_id", how="semi")
        sources = found.select("record_id", "source_doc_ids").explode("source_doc_ids")
        gone = sources.join(documents, on="source_doc_ids", how="anti")
        kept = found.join(gone, on="record_id", how="anti")
        children = kept.lazy().select(child_id="record_id")
        yield kept, parents.join(children, on="child_id", how="semi").collect()


@dg.op(ins={"start": dg.In(dg.Nothing)}, pool="gpu", retry_policy=dg.RetryPolicy(max_retries=2, delay=5))
def edit_documents(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[Lake],
    llm: GpuLanguageModel,
    gate: dg.ResourceParam[Gate],
) -> list[Staged]:
    """Have the language model edit, ask and answer; stage what was verified and verdicts for the rest."""
    settings = refine_settings(lake)
    found = []
    for key in context.partition_keys:
        partition = partition_of(key)
        gate.require("l3", **partition)
        cpu, start = cpu_seconds(), time.perf_counter()
        staged = Staged(partition, reads_of(lake, refinement_inputs(partition)))
        verdicts = lake.stage("verdicts", {"tier": "l3", **partition})
        lineage = lake.stage("lineage", {"child_table": "l3_refined", **partition})
        rows = lake.stage("l3_refined", partition)
        # Members and what is out of policy are of one selection.
        standing = lake.at_one_moment()
        tokens_kept = 0
        for kept, parents in kept_out_of_policy(standing, partition):
            rows.write(kept)
            lineage.write(parents)
            tokens_kept += int(count_tokens(kept["text"]).sum())
        model = llm.replayed(lake, "l3_refined")
        ranked = standing.scan("l2_selected", partition).select("doc_id", "corpus", "snapshot", "quality").collect()
        verdicts.write(refine.left_out(ranked, settings))
        total = min(settings.num_documents, len(ranked))
        with bar(f"refining {key}", total) as move:
            done = 0
            for batch in chosen_documents(lake, partition, ranked, settings):
                refined = refine.refine(batch, model, settings)
                verdicts.write(refined.verdicts)
                lineage.write(refined.lineage)
                rows.write(refined.rows)
                tokens_kept += int(count_tokens(refined.rows["text"]).sum())
                move(done := done + len(batch))
        staged.stages = [verdicts.close(), lineage.close(), rows.close()]
        staged.counts = {
            "rows_in": rows.num_rows + verdicts.num_rows,
            "rows_kept": rows.num_rows,
            "rows_rejected": verdicts.num_rows,
            "tokens_in": tokens_kept,
            "tokens_kept": tokens_kept,
        } | model.usage.counts()
        staged.cpu_s, staged.gpu_s = cpu_seconds() - cpu, llm.gpu_seconds(time.perf_counter() - start)
        staged.llm_s = model.usage.seconds
        found.append(staged)
    return found


@dg.op(out=dg.Out(dg.Nothing))
def keep_records(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], llm: GpuLanguageModel, found: list[Staged]
) -> None:
    """Commit verdicts, lineage and records, a ledger row a partition."""
    for staged in found:
        version = refinement_version(lake, llm)
        with Step(lake, "l3", "l3_refined", staged.partition, context.run.run_id, version, staged.reads) as step:
            step.take(staged)
        verdicts = lake.scan("verdicts", {"tier": "l3", **staged.partition})
        rows = lake.scan("l3_refined", staged.partition)
        context.add_asset_metadata(
            materialisation(
                step.all_counts(),
                verdicts.group_by("reason").agg(pl.len().alias("count")).collect(),
                rows.select("task", "verification_level", "text").head(4).collect(),
            ),
            asset_key="l3_refined",
            partition_key=key_of(**staged.partition),
        )


@dg.graph_asset(
    name="l3_refined",
    group_name="l3_refined",
    kinds={"delta", "vllm"},
    metadata=described("l3_refined"),
    partitions_def=corpora,
    backfill_policy=backfill,
    ins={"start": dg.AssetIn("l2_selected", dagster_type=dg.Nothing)},
)
def l3_refined(start):  # type: ignore[no-untyped-def]
    """L3: records written or edited by a language model, each verified. Mid-training, decay and alignment."""
    return keep_records(edit_documents(start))


assets = [l3_refined]

"""L3 in Dagster: selected documents are edited, asked and answered; each record is verified before it is kept."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg
import polars as pl

from resources.dagster_resources import Gate
from resources.encoder_resource import GpuEncoder
from resources.lake import Lake
from resources.language_models.resource import GpuLanguageModel
from resources.progress import bar
from resources.report import described, materialisation
from resources.step import Staged, Step, code_version, cpu_seconds, reads_of
from resources.tokenizer import count_tokens
from tier_assets.l3_refined.diversity import diversity
from tier_assets.l3_refined.refine import DEFAULT, SMOKE, Models, Settings, choose, left_out, refine_all
from tier_assets.l3_refined.undo import undone_ids
from tier_assets.partitions import backfill, corpora, key_of, partition_of

BATCH_DOCUMENTS = 512
BATCH_RECORDS = 8_192
STEP_VERSION = 3


def refine_settings(lake: Lake) -> Settings:
    """The lake's settings of the refinement."""
    return SMOKE if lake.settings == "smoke" else DEFAULT


def refinement_inputs(partition: dict[str, str]) -> dict[str, dict[str, str]]:
    """What refining a partition reads."""
    return dict.fromkeys(("l1_filtered", "l2_selected", "out_of_policy", "edit_undos"), partition)


def refinement_version(lake: Lake, model: GpuLanguageModel, encoder: GpuEncoder) -> str:
    """Version of the refinement: models, prompts and settings."""
    settings = refine_settings(lake)
    prompts = [version for task in settings.tasks for version in task.prompt_versions]
    numbers = (settings.num_documents, settings.num_passages, settings.passage_tokens, settings.min_passage_words)
    models = (model.identity, model.checker_identity, encoder.identity)
    return code_version("l3_refined", STEP_VERSION, models, numbers, settings.limits, prompts)


def chosen_documents(
    lake: Lake, partition: dict[str, str], ranked: pl.DataFrame, settings: Settings
) -> Iterator[pl.DataFrame]:
    """The partition's documents to refine, best first, in batches [doc_id, corpus, snapshot, title, language, text]."""
    ids = choose(ranked, settings)["doc_id"]
    text = lake.scan("l1_filtered", partition).select("doc_id", "corpus", "snapshot", "title", "language", "text")
    for start in range(0, len(ids), BATCH_DOCUMENTS):
        wanted = ids.slice(start, BATCH_DOCUMENTS).to_frame().with_row_index()
        yield text.join(wanted.lazy(), on="doc_id").sort("index").drop("index").collect(engine="streaming")


@dataclass(frozen=True, slots=True)
class Carried:
    """Standing records of demoted documents, as they are, with their edits and lineage."""

    rows: pl.DataFrame
    edits: pl.DataFrame
    lineage: pl.DataFrame


def kept_out_of_policy(lake: Lake, partition: dict[str, str]) -> Iterator[Carried]:
    """Records of demoted documents, batch by batch: kept while their documents are in L1."""
    marked = lake.scan("out_of_policy", partition).filter(pl.col("child_table") == "l3_refined")
    ids = marked.select(record_id="child_id").unique().collect()
    if ids.is_empty():
        return
    documents = lake.scan("l1_filtered", partition).select(source_doc_ids="doc_id").collect()
    parents = lake.scan("lineage", {"child_table": "l3_refined", **partition})
    edits = lake.scan("l3_edits", partition)
    for batch in lake.batches("l3_refined", partition, rows=BATCH_RECORDS):
        found = batch.join(ids, on="record_id", how="semi")
        sources = found.select("record_id", "source_doc_ids").explode("source_doc_ids")
        gone = sources.join(documents, on="source_doc_ids", how="anti")
        kept = found.join(gone, on="record_id", how="anti")
        children = kept.lazy().select("record_id")
        yield Carried(
            kept,
            edits.join(children, on="record_id", how="semi").collect(),
            parents.join(children, left_on="child_id", right_on="record_id", how="semi").collect(),
        )


@dg.op(ins={"start": dg.In(dg.Nothing)}, pool="gpu", retry_policy=dg.RetryPolicy(max_retries=2, delay=5))
def write_records(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[Lake],
    llm: GpuLanguageModel,
    encoder: GpuEncoder,
    gate: dg.ResourceParam[Gate],
) -> list[Staged]:
    """Ask the language model every task; stage what was verified and verdicts for the rest."""
    found = []
    for key in context.partition_keys:
        partition = partition_of(key)
        gate.require("l3", **partition)
        cpu, start = cpu_seconds(), time.perf_counter()
        writer, checker = llm.replayed(lake, "l3_refined"), llm.replayed_checker(lake, "l3_refined")
        staged = refine_partition(lake, partition, Models(writer, checker, encoder.open() if encoder.enabled else None))
        usage = writer.usage + checker.usage if checker else writer.usage
        staged.counts |= usage.counts()
        staged.cpu_s, staged.gpu_s = cpu_seconds() - cpu, llm.gpu_seconds(time.perf_counter() - start)
        staged.llm_s = usage.seconds
        found.append(staged)
    return found


def refine_partition(lake: Lake, partition: dict[str, str], models: Models) -> Staged:
    """The staged slices of one partition, verdicts first, and their counts."""
    settings = refine_settings(lake)
    staged = Staged(partition, reads_of(lake, refinement_inputs(partition)))
    verdicts = lake.stage("verdicts", {"tier": "l3", **partition})
    lineage = lake.stage("lineage", {"child_table": "l3_refined", **partition})
    edits, varied, rows = (lake.stage(name, partition) for name in ("l3_edits", "l3_diversity", "l3_refined"))
    # Members and what is out of policy are of one selection.
    standing = lake.at_one_moment()
    tokens_kept = 0
    for carried in kept_out_of_policy(standing, partition):
        rows.write(carried.rows)
        edits.write(carried.edits)
        lineage.write(carried.lineage)
        tokens_kept += int(count_tokens(carried.rows["text"]).sum())
    ranked = standing.scan("l2_selected", partition).select("doc_id", "corpus", "snapshot", "quality").collect()
    verdicts.write(left_out(ranked, settings))
    undone = undone_ids(standing.scan("edit_undos", partition).collect())

    def written() -> Iterator[pl.DataFrame]:
        """The new records beside their sources, once they are staged."""
        nonlocal tokens_kept
        documents = chosen_documents(standing, partition, ranked, settings)
        with bar(f"refining {key_of(**partition)}", min(settings.num_documents, len(ranked))) as move:
            for refined in refine_all(documents, models, settings, undone, move):
                verdicts.write(refined.verdicts)
                lineage.write(refined.lineage)
                edits.write(refined.edits)
                rows.write(refined.rows)
                tokens_kept += int(count_tokens(refined.rows["text"]).sum())
                columns = ("record_id", "corpus", "snapshot", "task", "text")
                yield refined.rows.select(columns).with_columns(source=refined.sources)

    varied.write(diversity(written(), models.encoder))
    staged.stages = [stage.close() for stage in (verdicts, lineage, edits, varied, rows)]
    staged.counts = {
        "rows_in": rows.num_rows + verdicts.num_rows,
        "rows_kept": rows.num_rows,
        "rows_rejected": verdicts.num_rows,
        "tokens_in": tokens_kept,
        "tokens_kept": tokens_kept,
    }
    return staged


@dg.op(out=dg.Out(dg.Nothing))
def keep_records(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[Lake],
    llm: GpuLanguageModel,
    encoder: GpuEncoder,
    found: list[Staged],
) -> None:
    """Commit verdicts, lineage, edits and records, a ledger row a partition."""
    for staged in found:
        version = refinement_version(lake, llm, encoder)
        with Step(lake, "l3", "l3_refined", staged.partition, context.run.run_id, version, staged.reads) as step:
            step.take(staged)
        verdicts = lake.scan("verdicts", {"tier": "l3", **staged.partition})
        rows = lake.scan("l3_refined", staged.partition)
        context.add_asset_metadata(
            materialisation(
                step.all_counts(),
                verdicts.group_by("reason").agg(pl.len().alias("count")).collect(),
                rows.select("task", "style", "verification_level", "text").head(4).collect(),
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
    return keep_records(write_records(start))


assets = [l3_refined]

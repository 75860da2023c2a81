"""The reference sets in Dagster: what influence is measured on, and the documents that leave the pool for it."""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from resources.dagster_resources import Gate
from resources.lake import Lake
from resources.report import described, table_of
from resources.step import Step, code_version, reads_of
from resources.texts import texts_of
from tier_assets.m2_influence import references
from tier_assets.partitions import sound_partitions

BATCH_ROWS = 2_048
SEED = 0
# The dimensions of which L2's quality is the mean.
QUALITY = ("general_quality", "educational_value")
Partition = dict[str, str]


def references_inputs() -> dict[str, Partition]:
    """What the reference sets are built from; what L3 or L4 hold enters when the sets are built again."""
    return {"l1_filtered": {}, "l2_annotations": {}, "reference_sets": {}}


def references_version(lake: Lake) -> str:
    """Version of the sets: their settings."""
    return code_version("reference_items", 1, references.DEFAULT)


@dg.asset(
    deps=["l1_filtered", "l2_annotations"],
    group_name="m2_influence",
    kinds={"delta"},
    metadata=described("reference_items"),
)
def reference_items(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], gate: dg.ResourceParam[Gate]
) -> dg.MaterializeResult:
    """The reference (what training should become better at), the guard, and the documents held out for both."""
    partitions = sound_partitions(context, gate, "l2")
    reads = reads_of(lake, references_inputs())
    with Step(lake, "l2", "reference_items", None, context.run.run_id, references_version(lake), reads) as step:
        out, kept = step.stage("held_out"), step.stage("reference_items")
        try:
            items, held_out = references.build(lake.scan("reference_sets").collect(), held(lake, partitions), SEED)
        except ValueError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        out.write(held_out)
        kept.write(items)
        step.commit(out)
        step.commit(kept)
        step.counts(rows_in=len(items), rows_kept=len(items))
    shown = items.group_by("role", "name", "domain").agg(items=pl.len()).sort("role", "domain")
    return dg.MaterializeResult(
        metadata={
            "reference_version": items["reference_version"][0],
            "items": len(items),
            "held_out": len(held_out),
            "near_duplicates": int((held_out["reason"] == "near_duplicate").sum()),
            "sets": table_of(shown),
        }
    )


def held(lake: Lake, partitions: list[Partition]) -> references.Held:
    """What the lake holds to build reference sets from."""
    columns = ["doc_id", "corpus", "snapshot", "domain", "num_chars"]
    documents = [lake.scan("l1_filtered", partition).select(columns) for partition in partitions]
    ratings = (
        lake.scan("l2_annotations")
        .filter(pl.col("dimension").is_in(QUALITY))
        .group_by("doc_id")
        .agg(quality=pl.col("rating").mean())
    )
    fallen = lake.scan("out_of_policy").select("child_id")
    return references.Held(
        documents=pl.concat([lake.scan("l1_filtered").head(0).select(columns), *documents]).collect(),
        ratings=ratings.collect(),
        records=lake.scan("l3_refined")
        .join(fallen, left_on="record_id", right_on="child_id", how="anti")
        .select(item_id="record_id", text="text", doc_ids="source_doc_ids"),
        facts=lake.scan("l4_facts")
        .filter(pl.col("state") == "verified")
        .join(fallen, left_on="fact_id", right_on="child_id", how="anti")
        .select(item_id="fact_id", text="statement", doc_ids=pl.concat_list("doc_id")),
        texts=lambda rows: texts_of(lake, rows),
        pool=pool(lake, partitions),
    )


def pool(lake: Lake, partitions: list[Partition]) -> Iterator[pl.DataFrame]:
    """Texts of all documents, a batch at a time [doc_id, corpus, snapshot, text]."""
    for partition in partitions:
        yield from lake.batches("l1_filtered", partition, ["doc_id", "corpus", "snapshot", "text"], BATCH_ROWS)


assets = [reference_items]

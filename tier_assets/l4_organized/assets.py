"""L4 in Dagster: statements with the exact span of their evidence, verified against it, searchable."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import dagster as dg
import polars as pl

from resources.dagster_resources import Gate
from resources.lake import Lake
from resources.progress import bar
from resources.report import described, materialisation
from resources.step import Step, code_version, reads_of
from resources.tokenizer import count_tokens
from tier_assets.l4_organized import carried, facts, search
from tier_assets.partitions import backfill, corpora, partition_of

BATCH_DOCUMENTS = 4_096
STEP_VERSION = 2


def organize_settings(lake: Lake) -> facts.Settings:
    """The lake's settings of L4."""
    return facts.SMOKE if lake.settings == "smoke" else facts.DEFAULT


def organization_inputs(partition: dict[str, str]) -> dict[str, dict[str, str]]:
    """What organizing a partition reads."""
    tables = ("l0_raw", "l1_filtered", "l2_selected", "l3_refined", "out_of_policy")
    return dict.fromkeys(tables, partition)


def organization_version(lake: Lake) -> str:
    """Version of L4: its settings."""
    return code_version("l4_facts", STEP_VERSION, organize_settings(lake))


def documents_of(lake: Lake, partition: dict[str, str], ids: pl.Series) -> Iterator[pl.DataFrame]:
    """Documents that are in L1, in batches [doc_id, corpus, snapshot, text, title, byte_offset, num_bytes]."""
    place = lake.scan("l0_raw", partition).select("doc_id", "byte_offset", "num_bytes")
    text = lake.scan("l1_filtered", partition).select("doc_id", "corpus", "snapshot", "text", "title")
    for start in range(0, len(ids), BATCH_DOCUMENTS):
        wanted = ids.slice(start, BATCH_DOCUMENTS).to_frame().lazy()
        yield text.join(wanted, on="doc_id").join(place, on="doc_id").sort("doc_id").collect(engine="streaming")


def organized(lake: Lake, partition: dict[str, str], settings: facts.Settings, key: str) -> Iterator[facts.Organized]:
    """The facts of the selected documents, batch by batch."""
    ids = lake.scan("l2_selected", partition).select("doc_id").collect()["doc_id"].sort()
    marked = lake.scan("out_of_policy", partition).filter(pl.col("child_table") == "l3_refined")
    records = lake.scan("l3_refined", partition).join(marked.select(record_id="child_id"), on="record_id", how="anti")
    with bar(f"organizing {key}", len(ids)) as move:
        done = 0
        for documents in documents_of(lake, partition, ids):
            of_these = records.join(documents.lazy().select("doc_id"), on="doc_id", how="semi").collect()
            yield facts.organize(documents, of_these, settings)
            move(done := done + len(documents))


def kept_out_of_policy(lake: Lake, partition: dict[str, str]) -> Iterator[facts.Organized]:
    """Standing facts of demoted documents, as they are, batch by batch: kept while their documents are in L1."""
    marked = lake.scan("out_of_policy", partition).filter(pl.col("child_table") == "l4_facts")
    ours = marked.select(fact_id="child_id").unique().collect().lazy()
    members = lake.scan("l2_selected", partition).select("doc_id")
    known = lake.scan("l4_facts", partition).join(ours, on="fact_id", how="semi")
    stated = known.join(members, on="doc_id", how="anti").collect()
    if stated.is_empty():
        return
    records = lake.scan("l3_refined", partition).select("record_id").collect()
    for documents in documents_of(lake, partition, stated["doc_id"].unique().sort()):
        these = stated.join(documents, on="doc_id", how="semi").sort("doc_id", "fact_id")
        children = these.lazy().select("fact_id")
        evidence = lake.scan("l4_evidence", partition).join(children, on="fact_id", how="semi")
        parents = lake.scan("lineage", {"child_table": "l4_facts", **partition})
        parents = parents.join(children.rename({"fact_id": "child_id"}), on="child_id", how="semi")
        yield carried.carry(documents, these, evidence.collect(), parents.collect(), records["record_id"])


@dg.asset(
    deps=["l2_selected", "l3_refined"],
    partitions_def=corpora,
    backfill_policy=backfill,
    group_name="l4_organized",
    kinds={"delta"},
    metadata=described("l4_facts"),
)
def l4_facts(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], gate: dg.ResourceParam[Gate]) -> None:
    """L4: organized, verifiable knowledge with evidence (tables l4_facts and l4_evidence). Retrieval."""
    for key in context.partition_keys:
        partition = partition_of(key)
        gate.require("l4", **partition)
        reads = reads_of(lake, organization_inputs(partition))
        version = organization_version(lake)
        with Step(lake, "l4", "l4_facts", partition, context.run.run_id, version, reads) as step:
            verdicts, lineage = step.stage("verdicts", tier="l4"), step.stage("lineage", child_table="l4_facts")
            evidence, stated = step.stage("l4_evidence"), step.stage("l4_facts")
            # Members and what is out of policy are of one selection.
            standing = lake.at_one_moment()
            settings, tokens = organize_settings(lake), 0
            for found in chain(kept_out_of_policy(standing, partition), organized(standing, partition, settings, key)):
                verdicts.write(found.verdicts)
                lineage.write(found.lineage)
                evidence.write(found.evidence)
                stated.write(found.facts)
                tokens += int(count_tokens(found.facts["statement"]).sum())
            for stage in (verdicts, lineage, evidence, stated):
                step.commit(stage)
            step.counts(
                rows_in=stated.num_rows + verdicts.num_rows,
                rows_kept=stated.num_rows,
                rows_rejected=verdicts.num_rows,
                tokens_in=tokens,
                tokens_kept=tokens,
            )
        reasons = lake.scan("verdicts", {"tier": "l4", **partition}).group_by("reason").agg(pl.len().alias("count"))
        rows = lake.scan("l4_facts", partition)
        context.add_asset_metadata(
            materialisation(
                step.all_counts(),
                reasons.collect(),
                rows.select("statement", "topic", "confidence").head(5).collect(),
                rows.select("confidence").collect()["confidence"],
            ),
            asset_key="l4_facts",
            partition_key=key,
        )


def find(lake: Lake, query: str, k: int) -> list[search.Hit]:
    """The `k` facts in policy that match `query` best; the full-text index is built when it is not of these facts."""
    path = Path(lake.root, "search.duckdb")
    version = "-".join(lake.state(name) for name in ("l4_facts", "l4_evidence", "out_of_policy"))
    if search.index_version(path) != version:
        marked = lake.scan("out_of_policy").filter(pl.col("child_table") == "l4_facts")
        in_policy = lake.scan("l4_facts").join(marked.select(fact_id="child_id"), on="fact_id", how="anti")
        search.build_index(in_policy, lake.scan("l4_evidence"), path, version)
    return search.search(path, query, k)


assets = [l4_facts]

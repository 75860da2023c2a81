"""The tables as described hold together, and the views are the SQL contract."""

from __future__ import annotations

import hashlib

import polars as pl
import pytest

from resources.catalog import open_catalog
from resources.lake import FORMAT_VERSION, Lake
from tier_tables import MAIN_TABLES, ROLES, TABLES, TIERS, Table, table
from tier_tables.books import VERDICTS
from tier_tables.documents import L1_FILTERED

DOCUMENT = "doc_id corpus snapshot "
# What a reader of `lake.duckdb` may rely on, view by view.
SQL_CONTRACT = {
    "sources": "corpus snapshot source_id uri path num_bytes sha256 format licence registered_at",
    "l0_raw": DOCUMENT + "uri content_type raw raw_sha256 num_bytes source_id byte_offset licence fetched_at",
    "l1_filtered": DOCUMENT
    + "text title language language_score domain num_chars num_words num_tokens rule_margin extractor edits",
    "l2_annotations": DOCUMENT + "dimension part char_start char_end rating distribution model prompt_version",
    "l2_scores": DOCUMENT + "scorer scorer_version score",
    "l2_selected": DOCUMENT + "text quality influence policy reason round title language domain num_tokens",
    "l3_refined": DOCUMENT
    + "record_id task style source_doc_ids source_spans parent_record_id messages text answer tests model "
    + "prompt_version temperature seed max_tokens prompt_tokens output_tokens seconds verification_level levels "
    + "check_model entailment in_policy",
    "l4_facts": DOCUMENT + "fact_id statement topic state confidence in_policy",
    "l4_evidence": DOCUMENT + "fact_id char_start char_end quote byte_offset num_bytes",
    "verdicts": DOCUMENT + "tier record_id task reason detail reply kept_doc_id similarity round",
    "tier_moves": DOCUMENT + "round from_tier to_tier reason",
    "training_telemetry": "run step domain tokens domain_tokens loss lr checkpoint optimizer received_at",
    "influence_probes": DOCUMENT
    + "domain run checkpoint kind char_start char_end score effect step_length flops cpu_s "
    "reference_version",
    "influence_models": "model_version kind run step checkpoint reference_version data_versions num_labels spearman "
    "spearman_within spearman_domain_mean audit_spearman num_audited drift flops audit_flops stage_flops cpu_s "
    "promoted refused fitted_at artefact",
    "influence_scores": DOCUMENT + "model_version score uncertainty",
    "mixtures": "stage run arm step domain weight policy num_documents num_tokens table_versions seed made_at",
    "tier_ledger": "tier step corpus snapshot round run_id input_versions output_versions rows_in rows_kept "
    "rows_rejected tokens_in tokens_kept tokens_rejected cpu_s gpu_s llm_s prompt_tokens cached_prompt_tokens "
    "output_tokens code_version started_at finished_at",
    "lineage": "corpus snapshot child_table child_id parent_table parent_id",
}
# Beyond the contract: books of the lake itself.
OWN_VIEWS = {
    "scorers", "check_results", "model_replies", "funnel", "l2_selected_rows", "l3_refined_rows", "l4_facts_rows",
    "corpora", "l1_texts", "l1_contaminated", "l1_duplicates", "benchmarks", "withdrawals",
    "l2_page_labels", "embeddings", "policies", "verifications", "verification_curves", "tier_rounds",
    "telemetry_refused", "steering_runs", "reference_sets", "reference_items", "held_out", "influence_rounds",
    "out_of_policy", "stage_draws", "l3_edits", "edit_undos", "l3_diversity", "training_uses",
    "uses_in_force", "l3_for_training", "l3_funnel", "l3_losses",
}  # fmt: skip


def test_views_are_the_sql_contract_on_an_empty_lake(lake: Lake) -> None:
    with open_catalog(lake) as catalog:
        views = [
            row[0] for row in catalog.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
        ]
        found = {view: {row[0] for row in catalog.execute(f"DESCRIBE {view}").fetchall()} for view in views}
    assert set(found) == set(SQL_CONTRACT) | OWN_VIEWS
    assert {view: found[view] for view in SQL_CONTRACT} == {v: set(c.split()) for v, c in SQL_CONTRACT.items()}


def test_every_column_of_the_contract_can_be_named_without_quotes(lake: Lake) -> None:
    with open_catalog(lake) as catalog:
        for view, columns in SQL_CONTRACT.items():
            assert catalog.execute(f"SELECT {columns.replace(' ', ', ')} FROM {view}").fetchall() == []


@pytest.mark.parametrize("described", TABLES, ids=lambda t: t.name)
def test_table_describes_columns_keys_and_partitions_that_exist(described: Table) -> None:
    names = [column.name for column in described.columns]
    assert len(names) == len(set(names))
    assert set(described.key) <= set(names)
    assert described.key
    assert set(described.partition_by) <= set(names)
    nullable = {column.name for column in described.columns if column.nullable}
    assert not nullable & set(described.partition_by)
    assert all(column.meaning for column in described.columns)
    assert described.meaning.endswith(".")
    folders = {described.schema[name] for name in described.partition_by}
    assert folders <= {pl.String(), pl.Int64()}
    assert list(described.file_schema) == [name for name in names if name not in described.partition_by]


def leaves(dtype: pl.DataType) -> list[pl.DataType]:
    """The plain types within a type."""
    if isinstance(dtype, pl.List):
        return leaves(dtype.inner)  # type: ignore[arg-type]
    if isinstance(dtype, pl.Struct):
        return [leaf for field in dtype.fields for leaf in leaves(field.dtype)]  # type: ignore[arg-type]
    return [dtype]


@pytest.mark.parametrize("described", TABLES, ids=lambda t: t.name)
def test_table_has_only_types_that_delta_and_duckdb_share(described: Table) -> None:
    plain = {pl.String(), pl.Int64(), pl.Float64(), pl.Float32(), pl.Boolean(), pl.Binary(), pl.Datetime("us", "UTC")}
    found = {leaf for dtype in described.schema.values() for leaf in leaves(dtype)}
    assert not [leaf for leaf in found if leaf.is_unsigned_integer()]
    assert found <= plain


def test_table_names_are_unique_and_each_is_found() -> None:
    names = [described.name for described in TABLES]
    assert len(names) == len(set(names))
    assert all(table(name).name == name for name in names)
    with pytest.raises(ValueError, match=r"unknown table 'l9'; known: \['benchmarks', 'check_results', 'corpora'"):
        table("l9")


def test_each_tier_has_a_main_table_of_its_name_and_a_role() -> None:
    assert TIERS == ("l0", "l1", "l2", "l3", "l4")
    assert list(MAIN_TABLES) == list(ROLES) == list(TIERS)
    assert [described.name for described in MAIN_TABLES.values()] == [
        "l0_raw", "l1_filtered", "l2_selected", "l3_refined", "l4_facts",
    ]  # fmt: skip
    for described in MAIN_TABLES.values():
        assert described.partition_by == ("corpus", "snapshot")
        assert described.key in {("doc_id",), ("record_id",), ("fact_id",)}


def test_every_document_row_bears_its_corpus_and_snapshot() -> None:
    for described in TABLES:
        if "doc_id" in described.schema:
            assert {"corpus", "snapshot"} <= set(described.schema), described.name


def test_conform_orders_casts_and_drops_the_folders_columns() -> None:
    rows = pl.LazyFrame({"reason": ["too_few_words"], "round": [3], "tier": ["l1"], "doc_id": ["d"]})
    absent = [n for n in VERDICTS.file_schema.names() if n not in rows.collect_schema().names()]
    typed = rows.with_columns(pl.lit(None).alias(n) for n in absent).cast({"round": pl.UInt8})
    conformed = VERDICTS.conform(typed).collect()
    assert conformed.schema == VERDICTS.file_schema
    assert conformed.select("doc_id", "reason", "round").rows() == [("d", "too_few_words", 3)]


def test_conform_refuses_missing_and_unknown_columns_by_name() -> None:
    rows = L1_FILTERED.empty().drop("text", "title").with_columns(body=pl.lit("")).lazy()
    with pytest.raises(
        ValueError, match=r"'l1_filtered' miss columns \['text', 'title'\] and have unknown columns \['body'\]"
    ):
        L1_FILTERED.conform(rows)


def test_empty_frame_has_the_whole_schema() -> None:
    for described in TABLES:
        assert described.empty().schema == described.schema
        assert described.empty().height == 0


def test_contract_changed_only_with_the_lake_format() -> None:
    told = repr([(t.name, t.key, t.partition_by, t.stepped, list(t.schema.items())) for t in TABLES])
    found = hashlib.blake2b(told.encode(), digest_size=8).hexdigest()
    # A lake of the old contract cannot be read by the new: raise FORMAT_VERSION, then write its hash here.
    assert found == {5: "82d7ecd179ebd2e6"}[FORMAT_VERSION]

"""The funnel of the whole lake, read from the catalog by DuckDB: documents, tokens and costs by tier and corpus,
and by tier and round."""

import dagster as dg
import duckdb
import polars as pl
from dagster_duckdb import DuckDBResource

from resources.catalog import refresh
from resources.charts import bars, stacked_bars
from resources.lake import Lake
from resources.report import drop_reasons

FUNNEL = """
    SELECT corpus || '@' || snapshot AS partition, tier, rows_in, rows_kept, rows_rejected, tokens_kept, cpu_s,
           prompt_tokens, output_tokens
    FROM funnel ORDER BY corpus, snapshot, tier"""
TIERS = """
    SELECT tier, sum(rows_in)::BIGINT AS rows_in, sum(rows_kept)::BIGINT AS rows_kept,
           sum(rows_rejected)::BIGINT AS rows_rejected, sum(tokens_kept)::BIGINT AS tokens_kept
    FROM funnel GROUP BY tier ORDER BY tier"""
ROUNDS = """
    SELECT tier, round, tokens_kept, cpu_s, gpu_s, llm_s, prompt_tokens, cached_prompt_tokens, output_tokens,
           cpu_s_per_kept_million_tokens, reference_gain, reference_error, gates
    FROM tier_rounds ORDER BY tier, round"""
REASONS = """
    SELECT tier, corpus AS name, reason AS part, count(*) AS count FROM verdicts GROUP BY ALL"""


def read(connection: duckdb.DuckDBPyConnection, query: str) -> pl.DataFrame:
    """The rows of a report's query: aggregates, a few hundred rows."""
    return pl.DataFrame(connection.execute(query).pl())


@dg.asset(deps=["l4_facts"], group_name="reports", kinds={"duckdb"})
def funnel(lake: dg.ResourceParam[Lake], catalog: DuckDBResource) -> dg.MaterializeResult:
    """Rows, tokens and costs of every tier and corpus, as they stand in the catalog; drop reasons as pictures."""
    refresh(lake)
    with catalog.get_connection() as connection:
        rows, tiers, rounds, reasons = (read(connection, query) for query in (FUNNEL, TIERS, ROUNDS, REASONS))
    told: dict[str, dg.MetadataValue] = {}
    costs = rounds.filter(pl.col("cpu_s_per_kept_million_tokens") > 0).select(
        pl.col("tier").alias("name"),
        pl.format("round {}", "round").alias("part"),
        pl.col("cpu_s_per_kept_million_tokens").alias("value"),
    )
    if len(costs):
        told["cost_by_round"] = dg.MetadataValue.md(
            bars(costs.sort("part", "name"), "cost by tier and round", "CPU seconds a million tokens kept")
        )
    for tier in reasons["tier"].unique().sort():
        found = reasons.filter(tier=tier)
        by_reason = found.group_by(reason="part").agg(pl.col("count").sum())
        told[f"drop_reasons_{tier}"] = dg.MetadataValue.md(drop_reasons(by_reason))
        told[f"drop_reasons_{tier}_by_corpus"] = dg.MetadataValue.md(stacked_bars(found, f"rows dropped at {tier}"))
    return dg.MaterializeResult(
        metadata={
            "documents_in_l2": int(rows.filter(tier="l2")["rows_kept"].sum()),
            "facts": int(rows.filter(tier="l4")["rows_kept"].sum()),
            "tiers": _records(tiers),
            "tier_rounds": _records(rounds),
            **told,
            "funnel": _records(rows),
        }
    )


def _records(frame: pl.DataFrame) -> dg.TableMetadataValue:
    columns = [dg.TableColumn(name, type=str(dtype)) for name, dtype in frame.schema.items()]
    records = [dg.TableRecord(row) for row in frame.iter_rows(named=True)]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns))

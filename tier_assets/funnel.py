"""The funnel of the whole lake, read from the catalog by DuckDB: documents, tokens and costs by tier and corpus."""

import dagster as dg
import duckdb
import polars as pl
from dagster_duckdb import DuckDBResource

from resources.catalog import refresh
from resources.lake import Lake

FUNNEL = """
    SELECT tier, corpus, snapshot, rows_in, rows_kept, rows_rejected, tokens_kept, cpu_s, prompt_tokens, output_tokens
    FROM funnel ORDER BY corpus, snapshot, tier"""
REASONS = """
    SELECT tier, reason, count(*) AS rows FROM verdicts GROUP BY ALL ORDER BY tier, rows DESC, reason"""


def read(connection: duckdb.DuckDBPyConnection, query: str) -> pl.DataFrame:
    """The rows of a report's query: aggregates, a few hundred rows."""
    return pl.DataFrame(connection.execute(query).pl())


@dg.asset(deps=["l4_facts"], group_name="reports", kinds={"duckdb"})
def funnel(lake: dg.ResourceParam[Lake], catalog: DuckDBResource) -> dg.MaterializeResult:
    """Rows, tokens and costs of every tier and corpus, as they stand in the catalog."""
    refresh(lake)
    with catalog.get_connection() as connection:
        rows, reasons = read(connection, FUNNEL), read(connection, REASONS)
    return dg.MaterializeResult(
        metadata={
            "funnel": _records(rows),
            "drop_reasons": _records(reasons),
            "documents_in_l2": int(rows.filter(pl.col("tier") == "l2")["rows_kept"].sum()),
            "facts": int(rows.filter(pl.col("tier") == "l4")["rows_kept"].sum()),
        }
    )


def _records(frame: pl.DataFrame) -> dg.TableMetadataValue:
    columns = [dg.TableColumn(name, type=str(dtype)) for name, dtype in frame.schema.items()]
    records = [dg.TableRecord(row) for row in frame.iter_rows(named=True)]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns))

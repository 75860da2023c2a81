"""The catalog: `lake.duckdb` under the lake's root, one view a table over the files that readers may see.

It opens anywhere, offline, at 1-2 ms a count, without Delta. It is rebuilt as a whole in a file with a unique name
that then takes the old one's place, so readers never block nor are blocked. It never goes back: the versions it shows
are read under the lock that builders hold. It is checked when opened: stale, made by other code, or the lake was moved
(paths in it are absolute), means rebuilt.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import polars as pl

from resources.lake import Lake
from tier_tables import MAIN_TABLES, TABLES, Table
from tier_tables import table as named
from tier_tables.uses import DEFAULT_USES


def _default_uses() -> str:
    """The default rules as SQL rows."""
    rows = []
    for rule in DEFAULT_USES:
        task = "NULL" if rule.task is None else _literal(rule.task)
        rows.append(f"({_literal(rule.use)}, {task}, {rule.min_level}, {_literal(rule.reason)})")
    return ", ".join(rows)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


# Views that show more, or other rows, than their own files: text is joined in where it is read, and records and facts
# tell whether their document is in L2.
JOINED = {
    "l2_selected": """
        SELECT s.*, t.text, t.title, t.language, t.domain, t.num_tokens
        FROM l2_selected_rows s LEFT JOIN l1_filtered t USING (corpus, snapshot, doc_id)""",
    **{
        name: f"""
        SELECT r.*, o.child_id IS NULL AS in_policy
        FROM {name}_rows r LEFT JOIN out_of_policy o ON o.child_table = '{name}' AND o.child_id = r.{key}"""
        for name, key in (("l3_refined", "record_id"), ("l4_facts", "fact_id"))
    },
}
COUNTED = ("rows_in", "rows_kept", "rows_rejected", "tokens_in", "tokens_kept", "tokens_rejected")
ASKED = ("prompt_tokens", "cached_prompt_tokens", "output_tokens")
MAIN_STEPS = ", ".join(f"'{main.name}'" for main in MAIN_TABLES.values())
# Views of their own: what stands of each partition, and what each tier cost in each round.
FUNNEL = f"""
    CREATE VIEW funnel AS
    WITH last AS (
        SELECT * FROM tier_ledger WHERE corpus IS NOT NULL
        QUALIFY row_number() OVER (PARTITION BY step, corpus, snapshot ORDER BY finished_at DESC) = 1),
    costs AS (
        SELECT tier, corpus, snapshot, sum(cpu_s) AS cpu_s, sum(prompt_tokens)::BIGINT AS prompt_tokens,
               sum(output_tokens)::BIGINT AS output_tokens
        FROM last GROUP BY ALL)
    SELECT tier, corpus, snapshot, rows_in, rows_kept, rows_rejected, tokens_in, tokens_kept, tokens_rejected,
           costs.cpu_s, costs.prompt_tokens, costs.output_tokens, finished_at
    FROM last JOIN costs USING (tier, corpus, snapshot)
    WHERE step IN ({MAIN_STEPS})"""
# A step that names no round counts to the latest round of which a selection had finished by then, before all to the
# first. Costs are those of every finished step, repeated ones too; rows and tokens those of each partition's last.
TIER_ROUNDS = f"""
    CREATE VIEW tier_rounds AS
    WITH steps AS (
        SELECT * REPLACE (coalesce(round, max(round) OVER (ORDER BY finished_at), 1) AS round) FROM tier_ledger),
    costs AS (
        SELECT tier, round, {", ".join(f"sum({name}) AS {name}" for name in ("cpu_s", "gpu_s", "llm_s"))},
               {", ".join(f"sum({name})::BIGINT AS {name}" for name in ASKED)}
        FROM steps GROUP BY tier, round),
    standing AS (
        SELECT * FROM steps WHERE step IN ({MAIN_STEPS}) AND corpus IS NOT NULL
        QUALIFY row_number() OVER (PARTITION BY step, corpus, snapshot, round ORDER BY finished_at DESC) = 1),
    rows AS (
        SELECT tier, round, {", ".join(f"sum({name})::BIGINT AS {name}" for name in COUNTED)}
        FROM standing GROUP BY tier, round),
    verified AS (
        SELECT 'l2' AS tier, round, reference_gain, reference_error, gates FROM verifications
        QUALIFY row_number() OVER (PARTITION BY round ORDER BY judged_at DESC) = 1)
    SELECT tier, round, {", ".join(f"coalesce({name}, 0) AS {name}" for name in COUNTED)},
           cpu_s, gpu_s, llm_s, {", ".join(ASKED)},
           cpu_s / nullif(tokens_kept, 0) * 1e6 AS cpu_s_per_kept_million_tokens,
           reference_gain, reference_error, gates
    FROM costs LEFT JOIN rows USING (tier, round) LEFT JOIN verified USING (tier, round)
    ORDER BY tier, round"""
# Which verification level each use asks of each task, and the records in policy that meet it: a task's own rule goes
# before one for all tasks, a row of `training_uses` before a default.
USES_IN_FORCE = f"""
    CREATE VIEW uses_in_force AS
    SELECT * FROM (
        SELECT use, task, min_level, reason, set_at FROM training_uses
        UNION ALL
        SELECT col0, col1, col2::BIGINT, col3, NULL::TIMESTAMPTZ FROM (VALUES {_default_uses()}))
    QUALIFY row_number() OVER (PARTITION BY use, task ORDER BY set_at DESC NULLS LAST) = 1"""
FOR_TRAINING = """
    CREATE VIEW l3_for_training AS
    SELECT u.use, r.*
    FROM l3_refined r CROSS JOIN (SELECT DISTINCT use FROM uses_in_force) u
    LEFT JOIN uses_in_force o ON o.use = u.use AND o.task = r.task
    JOIN uses_in_force a ON a.use = u.use AND a.task IS NULL
    WHERE r.in_policy AND r.verification_level >= coalesce(o.min_level, a.min_level)"""
# Candidates of L3 by what became of them; a document without a candidate has no task.
L3_FUNNEL = """
    CREATE VIEW l3_funnel AS
    SELECT corpus, snapshot, task, 'kept' AS reason, verification_level AS level, count(*) AS count
    FROM l3_refined GROUP BY ALL
    UNION ALL
    SELECT corpus, snapshot, task, reason, NULL, count(*) FROM verdicts WHERE tier = 'l3' GROUP BY ALL"""
# What became of the candidates of each task, and of the documents of each language and topic (the one with the largest
# share); what was not attempted is not lost. `most` is the reason that took most.
L3_LOSSES = """
    CREATE VIEW l3_losses AS
    WITH topics AS (
        SELECT corpus, snapshot, doc_id, arg_max(substr(scorer, 7), score) AS topic
        FROM l2_scores WHERE starts_with(scorer, 'topic_') GROUP BY ALL),
    candidates AS (
        SELECT corpus, snapshot, doc_id, task, NULL AS reason FROM l3_refined WHERE in_policy
        UNION ALL
        SELECT corpus, snapshot, doc_id, task, reason FROM verdicts WHERE tier = 'l3' AND reason <> 'over_budget'),
    sliced AS (
        SELECT corpus, snapshot, reason, unnest([
            {kind: 'task', name: task}, {kind: 'language', name: language}, {kind: 'topic', name: topic}
        ], recursive := true)
        FROM candidates LEFT JOIN l1_filtered USING (corpus, snapshot, doc_id)
        LEFT JOIN topics USING (corpus, snapshot, doc_id))
    SELECT corpus, snapshot, kind, name, count(*) AS candidates, count(*) FILTER (reason IS NULL) AS kept,
           mode(reason) AS most
    FROM sliced WHERE name IS NOT NULL GROUP BY ALL"""
VIEWS = (FUNNEL, TIER_ROUNDS, USES_IN_FORCE, FOR_TRAINING, L3_FUNNEL, L3_LOSSES)


def catalog_path(lake: Lake) -> Path:
    """Where the catalog of a lake lies: under a local root; for a remote one under `LAKE_CATALOG` or here."""
    if lake.is_local:
        return Path(lake.root, "lake.duckdb")
    return Path(os.environ.get("LAKE_CATALOG", "lake.duckdb")).absolute()


def open_catalog(lake: Lake) -> duckdb.DuckDBPyConnection:
    """A connection whose current database is the up-to-date catalog, read-only."""
    return _attach(refresh(lake))


def _attach(path: Path) -> duckdb.DuckDBPyConnection:
    # Not `connect(path)`: DuckDB would hand out the file that any older connection of this process still reads,
    # even when another has taken its place.
    connection = duckdb.connect()
    try:
        connection.execute(f"ATTACH {_literal(str(path))} AS lake (READ_ONLY)")
        connection.execute("USE lake")
    except duckdb.Error:
        connection.close()
        raise
    return connection


def refresh(lake: Lake) -> Path:
    """Rebuild the catalog if it is stale, of another place, or absent; returns its path."""
    path = catalog_path(lake)
    if _shown(path) == _wanted(lake):
        return path
    with _lock(path):
        wanted = _wanted(lake)  # read under the lock: never older than what stands there
        if _shown(path) == wanted:
            return path
        waiting = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            _build(lake, waiting, wanted)
            os.replace(waiting, path)
        finally:
            waiting.unlink(missing_ok=True)
        _write_delta_scan(lake, path.with_name("lake_delta_scan.sql"))
    return path


def _wanted(lake: Lake) -> dict[str, object]:
    """What a fresh catalog shows: root, Delta versions (stepped tables change with the ledger alone), and views."""
    return {
        "root": lake.root,
        "versions": {t.name: lake.version(t.name) for t in TABLES if not t.stepped},
        "views": hashlib.blake2b(repr((TABLES, JOINED, VIEWS)).encode(), digest_size=8).hexdigest(),
    }


def _shown(path: Path) -> dict | None:
    """What the catalog at `path` says it shows; None where there is none that can be read."""
    if not path.exists():
        return None
    try:
        with _attach(path) as connection:
            row = connection.execute("SELECT shown FROM catalog_info").fetchone()
    except duckdb.Error:
        return None  # torn by a full disk, or of another DuckDB: it is derived data, and rebuilt
    return json.loads(row[0]) if row else None


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with open(path.with_name(".catalog.lock"), "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _build(lake: Lake, path: Path, shown: dict[str, object]) -> None:
    lake = lake.at_one_moment()
    with duckdb.connect(str(path)) as connection:
        connection.execute("BEGIN")  # one write to disk, not one a statement
        connection.execute("CREATE TABLE catalog_info AS SELECT ? AS shown", [json.dumps(shown)])
        for table in TABLES:
            files = [file for s in lake.slices(table.name) if s.num_rows for file in s.files]
            name = f"{table.name}_rows" if table.name in JOINED else table.name
            connection.execute(f"CREATE VIEW {name} AS {_view(table, files)}")
            _comment(connection, name, table)
        for name, query in JOINED.items():
            connection.execute(f"CREATE VIEW {name} AS {query}")
            _comment(connection, name, named(name))
        for query in VIEWS:
            connection.execute(query)
        connection.execute("COMMIT")


def _comment(connection: duckdb.DuckDBPyConnection, view: str, table: Table) -> None:
    """What the table and its columns mean, on a view that shows them."""
    for column in table.columns:
        connection.execute(f"COMMENT ON COLUMN {view}.{_quoted(column.name)} IS {_literal(column.meaning)}")
    connection.execute(f"COMMENT ON VIEW {view} IS {_literal(table.meaning)}")


def _view(table: Table, files: list[str]) -> str:
    columns = [(_quoted(name), _sql_type(dtype)) for name, dtype in table.schema.items()]
    if not files:
        return f"SELECT {', '.join(f'NULL::{kind} AS {name}' for name, kind in columns)} WHERE false"
    hive = ""
    if table.partition_by:
        types = ", ".join(f"{_literal(c)}: {_sql_type(table.schema[c])}" for c in table.partition_by)
        hive = f", hive_partitioning=true, hive_types={{{types}}}"
    selected = ", ".join(f"{name}::{kind} AS {name}" for name, kind in columns)
    listed = ", ".join(_literal(f) for f in files)
    return f"SELECT {selected} FROM read_parquet([{listed}], union_by_name=true{hive})"


def _write_delta_scan(lake: Lake, path: Path) -> None:
    """The same views by DuckDB's delta extension, as SQL: tables at their latest version, finished or not."""
    lines = [
        "-- Views over the Delta tables themselves, by DuckDB's delta extension (elsewhere: INSTALL and LOAD delta).",
        "-- They show each table's latest version, unfinished steps included; lake.duckdb shows finished steps only.",
        f"LOAD {_literal(str(delta_extension()))};",
    ]
    for table in TABLES:
        if lake.version(table.name) >= 0:
            lines.append(
                f"CREATE OR REPLACE VIEW {table.name} AS SELECT * FROM delta_scan({_literal(lake.path(table.name))});"
            )
    waiting = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    waiting.write_text("\n".join(lines) + "\n")
    os.replace(waiting, path)


def delta_extension() -> Path:
    """The delta extension that the wheel `duckdb-extension-delta` brings: it loads offline."""
    import duckdb_extension_delta

    folder = Path(duckdb_extension_delta.__file__).parent / "extensions" / f"v{duckdb.__version__}"
    return folder / "delta.duckdb_extension"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _sql_type(dtype: pl.DataType | pl.datatypes.DataTypeClass) -> str:
    """DuckDB's name of a Polars type of the contract.

    Raises:
        ValueError: a type that no table of the contract uses.
    """
    if isinstance(dtype, pl.List):
        return f"{_sql_type(dtype.inner)}[]"
    if isinstance(dtype, pl.Struct):
        return f"STRUCT({', '.join(f'{_quoted(f.name)} {_sql_type(f.dtype)}' for f in dtype.fields)})"
    if isinstance(dtype, pl.Datetime):
        return "TIMESTAMPTZ"
    plain = {
        pl.String: "VARCHAR",
        pl.Int64: "BIGINT",
        pl.Float64: "DOUBLE",
        pl.Float32: "FLOAT",
        pl.Boolean: "BOOLEAN",
        pl.Binary: "BLOB",
    }
    for kind, name in plain.items():
        if dtype == kind:
            return name
    raise ValueError(f"no SQL type for {dtype}; known: {[str(k) for k in plain]}")

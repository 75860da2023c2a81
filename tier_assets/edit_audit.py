"""`lake edits` and `lake undo`: the program that made a record, shown as it stands, and operations taken back.

An undo is a row in `edit_undos`, beside the document: the next refinement of the partition makes the program again
without the operation, from replies that are in the replay cache. Until then the record stands as it is.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import polars as pl

from resources.lake import Lake
from tier_assets.l3_refined.programs import replay
from tier_assets.l3_refined.undo import UNDONE, undone_ids
from tier_tables.refinement import EDIT_UNDOS

SHOWN_CHARS: Final = 60


def shown_edits(lake: Lake, record_id: str) -> str:
    """The parent, the numbered operations with state and reason, and the text that they make.

    A rejected candidate has its operations only.

    Raises:
        ValueError: no operation belongs to a record of this id.
    """
    lake = lake.at_one_moment()
    edits = lake.scan("l3_edits").filter(pl.col("record_id") == record_id).sort("number").collect()
    if edits.is_empty():
        raise ValueError(f"no edit program belongs to {record_id!r}; ids of records are in l3_edits")
    place = dict(edits.select("corpus", "snapshot").row(0, named=True))
    taken = undone_ids(lake.scan("edit_undos", place).collect())
    operations = [_operation(row, taken) for row in edits.iter_rows(named=True)]
    found = lake.scan("l3_refined", place).filter(pl.col("record_id") == record_id)
    record = found.select("task", "style", "model", "source_spans").collect()
    about = f"{record_id} of {edits['doc_id'][0]} in {place['corpus']}@{place['snapshot']}"
    if record.is_empty():
        return "\n".join([f"rejected candidate {about}", *operations])
    task, style, model, (span, *_) = record.row(0)
    start, end = span["char_start"], span["char_end"]
    text = lake.scan("l1_filtered", place).filter(pl.col("doc_id") == span["doc_id"]).select("text").collect().item()
    return "\n".join(
        [
            f"record {about}: {task}, {style}, by {model}",
            f"parent, characters {start} to {end}:",
            *_indented(text[start:end]),
            *operations,
            "text:",
            *_indented(replay(text[start:end], edits, start)),
        ]
    )


def _operation(row: dict[str, object], taken: set[str]) -> str:
    """One line on an operation: what, where, by whom, and how it stands."""
    lines = f"line {row['line']}" if row["line"] == row["last_line"] else f"lines {row['line']} to {row['last_line']}"
    change = f"{_short(row['old'])} -> {_short(row['new'])}"
    pending = ""
    if (row["operation_id"] in taken) != (row["state"] == UNDONE) and row["state"] != "refused":
        pending = ", undone from the next refinement on" if row["state"] == "applied" else ", done again from then on"
    why = f" ({row['reason']})" if row["state"] == "refused" else ""
    return (
        f"{row['number']:>3}  {row['state']}{pending}{why}: {row['operation']} in {lines} by {row['proposer']}\n"
        f"     {change}\n     {row['operation_id']}"
    )


def _short(text: object) -> str:
    whole = str(text)
    return repr(whole if len(whole) <= SHOWN_CHARS else whole[: SHOWN_CHARS - 3] + "...")


def _indented(text: str) -> list[str]:
    return [f"  | {line}" for line in text.split("\n")]


def take_back(lake: Lake, operation_id: str, reason: str | None) -> str:
    """Record that an operation is undone because of `reason`, or with None done again; says what follows.

    Raises:
        ValueError: no such operation, or it stands so already.
    """
    moment = lake.at_one_moment()
    edits = moment.scan("l3_edits").filter(pl.col("operation_id") == operation_id).collect()
    if edits.is_empty():
        raise ValueError(f"no operation has the id {operation_id!r}; `lake edits RECORD_ID` shows a record's")
    row = edits.row(0, named=True)
    if row["state"] == "refused":
        raise ValueError(f"operation {operation_id} was refused ({row['reason']}): there is nothing to undo")
    place = {"corpus": row["corpus"], "snapshot": row["snapshot"]}
    undone = operation_id in undone_ids(lake.scan("edit_undos", place).collect())
    if undone == (reason is not None):
        raise ValueError(f"operation {operation_id} is {'undone' if undone else 'not undone'} already")
    entry = {"doc_id": row["doc_id"], **place, "operation_id": operation_id, "reason": reason}
    lake.append("edit_undos", pl.DataFrame([entry | {"undone_at": datetime.now(UTC)}], schema=EDIT_UNDOS.schema))
    what = "leaves it out" if reason is not None else "does it again"
    command = f"lake run --corpus {place['corpus']} --snapshot {place['snapshot']}"
    return f"{row['operation']} in line {row['line']}: the next refinement of the partition {what}: `{command}`"
